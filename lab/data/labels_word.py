"""Where a word stands in its text, by the word itself or by its characters."""

import re
from typing import Any

from lab.data.malformed import malformed
from lab.errors import DataError

SPAN = re.compile(r"\[\s*(\d+)\s*,\s*(\d+)\s*\]")  # a csv cell can hold a span only as text
ALLOWED = "[first character, one past the last]"


def characters(text: str, word: Any, where: str, column: str) -> tuple[int, int]:
    """Returns the first character of a word in a text and one past its last.

    Args:
        text: The text.
        word: A cell: a word that the text has once, part of a longer word only if it stands nowhere by itself; or
            its [first character, one past the last].
        where: File and row, for errors.
        column: Its column, for errors.

    Raises:
        DataError: The word is not in the text, or there more than once; or there are no such characters.
    """
    if isinstance(word, str) and (written := SPAN.fullmatch(word.strip())):
        word = [int(written[1]), int(written[2])]
    match word:
        case [int(start), int(end)]:
            return _checked(text, start, end, f"{where}, column '{column}'")
        case str() if word.strip():
            return _only(text, word.strip(), f"{where}, column '{column}'")
    raise malformed(where, column, word, f"a word of the text, or {ALLOWED}")


def _checked(text: str, start: int, end: int, where: str) -> tuple[int, int]:
    if not 0 <= start < end <= len(text) or not text[start:end].strip():
        raise DataError(f"{where}: found characters {start} to {end} of a text of {len(text)}; allowed is {ALLOWED} within "
                        "the text, around more than white space")
    return start, end


def _only(text: str, word: str, where: str) -> tuple[int, int]:
    inside = [found.start() for found in re.finditer(re.escape(word), text)]
    alone = [found.start() for found in re.finditer(rf"(?<!\w){re.escape(word)}(?!\w)", text)]
    starts = alone or inside
    if len(starts) != 1:
        raise DataError(f"{where}: {word!r} occurs {len(starts)} times in the text; allowed is a word that occurs once, or "
                        f"{ALLOWED}")
    return starts[0], starts[0] + len(word)
