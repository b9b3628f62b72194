"""What a suite can be asked for."""

import difflib
from collections.abc import Sequence

from lab.errors import OptionError


def check_known(option: str, value: str, allowed: Sequence[str]) -> None:
    """Passes a value that is allowed.

    Raises:
        OptionError: it is not.
    """
    if value not in allowed:
        near = difflib.get_close_matches(str(value).lower(), allowed, n=2, cutoff=0.5)
        meant = f"; near: {', '.join(near)}" if near else ""
        raise OptionError(f"{option}={value!r} is unknown{meant}; allowed are {', '.join(allowed)}")


def check_count(count: int, existing: int, what: str) -> None:
    """Passes a count that there is.

    Raises:
        OptionError: nothing is asked for, or more than exists.
    """
    if count < 1:
        raise OptionError(f"count={count} asks for zero {what}; write a count from 1 to {existing}")
    if count > existing:
        raise OptionError(f"count={count} asks for more {what} than the {existing} there are; write a count from 1 to "
                          f"{existing}")
