"""Where the characters of a text are among its tokens."""

from bisect import bisect_right
from collections.abc import Container, Sequence
from itertools import accumulate
from typing import Any


class Positions:
    """Token boundaries of one tokenised text.

    Token k is taken to reach from the end of token k-1 to its own end: byte-level tokenizers report offsets without
    the space a token begins with, and several tokens of one character each report all of it.

    Attributes:
        ids: The tokens.
        ends: For each token, one past its last character.
    """

    def __init__(self, tokenizer: Any, text: str, ids: list[int], offsets: Sequence[tuple[int, int]]):
        self._tokenizer, self._text, self._offsets = tokenizer, text, offsets
        self.ids = ids
        self.ends = list(accumulate([end for _, end in offsets], max))

    def tokens_before(self, char: int) -> int | None:
        """Returns how many tokens the text before a character makes, or None if a token reaches across it."""
        count = bisect_right(self.ends, char)
        if count and self.ends[count - 1] == char and self._offsets[count - 1][0] < char:
            return count
        # no clean boundary, yet perhaps only white space that the offsets leave out: the tokens themselves decide
        head = self._tokenizer(self._text[:char], add_special_tokens=False)["input_ids"]
        return len(head) if self.ids[:len(head)] == head else None

    def bytes(self, first: int, last: int, special: Container[int]) -> int:
        """Returns the UTF-8 bytes of the characters of tokens `first` to `last` - 1, those of special tokens left out.

        Args:
            first: First token.
            last: One past the last token; not after `first` for none.
            special: Ids of tokens that are no text.
        """
        marks = [t for t in range(first, last) if self.ids[t] in special]
        return self._length(first, last) - sum(self._length(t, t + 1) for t in marks)

    def _length(self, first: int, last: int) -> int:
        return len(self._text[self.ends[first - 1] if first else 0:self.ends[last - 1]].encode()) if first < last else 0
