"""How an error about a cell reads: where it is, what was found, what is allowed."""

from typing import Any

from lab.errors import DataError


def malformed(where: str, column: str, found: Any, allowed: str) -> DataError:
    """Returns the error for a cell that cannot be used, to be raised by the caller.

    Args:
        where: File and row.
        column: Column, and the path inside it if the cell is nested.
        found: The value itself.
        allowed: What may stand there.
    """
    return DataError(f"{where}, column '{column}': found {described(found)}; allowed is {allowed}")


def described(value: Any) -> str:
    """Returns a short phrase for a value, such as `the number 12` or `nothing (null)`."""
    match value:
        case None:
            return "nothing (null)"
        case bool():
            return f"the truth value {str(value).lower()}"
        case int() | float():
            return f"the number {value}"
        case str():
            # quoted as Python does: one line, and no lone surrogate, which could be neither printed nor stored
            return f"the text {value if len(value) <= 40 else value[:39] + '…'!r}" if value.strip() else "an empty text"
        case list() | tuple():
            return f"a list of {len(value)}" if value else "an empty list"
        case dict():
            return f"an object with {listed(value)}"
    return f"a {type(value).__name__}"


def listed(names: Any) -> str:
    """Returns names quoted and joined, or `nothing` if there are none."""
    return ", ".join(f"'{name}'" for name in names) or "nothing"
