"""Writes conversations for a model, tokenises them, and marks which tokens are trained."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from lab.data.conversation import Conversation, place
from lab.data.marking import Marked, mark_chats, mark_texts
from lab.data.template import ChatTemplate
from lab.errors import DataError

IGNORED = -100
ROWS_AT_ONCE = 256  # tokenised together; offsets of a whole dataset would not fit in memory


@dataclass(frozen=True)
class Rendered:
    """One row as a model trains on it.

    Attributes:
        text: The whole row, also what `max_length` cut.
        input_ids: [T].
        labels: [T], the token itself where it is trained, -100 elsewhere. The first is never trained: nothing comes
            before it that it could be predicted from.
        length: Tokens of the whole row, also those that were cut.
        answer_cut: Whether `max_length` cut tokens that would have been trained.
        trained_bytes: UTF-8 bytes of the trained text, special tokens left out.
    """

    text: str
    input_ids: list[int]
    labels: list[int]
    length: int
    answer_cut: bool
    trained_bytes: int

    @property
    def truncated(self) -> bool:
        """Whether `max_length` cut the row."""
        return len(self.input_ids) < self.length

    @property
    def trained(self) -> list[bool]:
        """[T], whether the token is trained."""
        return [label != IGNORED for label in self.labels]


def render(tokenizer: Any, conversation: Conversation, max_length: int | None = None) -> Rendered:
    """Returns one conversation as `render_each` makes it.

    Args:
        tokenizer: The model's.
        conversation: With `messages` or `text`.
        max_length: Tokens after which the row is cut, or None.
    """
    return next(render_each(tokenizer, [conversation], max_length))


def render_each(tokenizer: Any, conversations: Sequence[Conversation], max_length: int | None = None,
                source: str = "conversation") -> Iterator[Rendered]:
    """Yields every conversation as tokens, of which each assistant turn with its end-of-turn token is trained.

    The turns come from the template's generation markers or, without them, from rendering prefixes. Either way, what
    comes before a turn must make the same tokens alone, as a model is asked, and inside the whole. Of plain text every
    token is trained, and the end-of-sequence token after it.

    Args:
        tokenizer: The model's, one that reports offsets.
        conversations: With `messages` or `text`.
        max_length: Tokens after which a row is cut, or None.
        source: What an error calls the data.

    Raises:
        DataError: A row that trains nothing, that the template refuses or writes inconsistently, or in which a token
            reaches across the beginning or the end of an assistant turn.
    """
    if not getattr(tokenizer, "is_fast", False):
        raise DataError(f"{type(tokenizer).__name__} reports no offsets, so trained tokens cannot be told from the "
                        "others; choose a model with a fast tokenizer (a tokenizer.json)")
    template = ChatTemplate(tokenizer)
    for first in range(0, len(conversations), ROWS_AT_ONCE):
        for plain, group in groupby(conversations[first:first + ROWS_AT_ONCE], key=lambda c: "text" in c):
            rows = list(group)
            places = [place(conversation, source) for conversation in rows]
            marked = mark_texts(tokenizer, [conversation["text"] for conversation in rows]) if plain else \
                mark_chats(tokenizer, template, rows, places)
            for row, where in zip(marked, places, strict=True):
                yield _rendered(row, template, max_length, where)


def preview(rendered: Rendered, tokenizer: Any) -> str:
    """Returns the row's tokens as text, with ⟦ and ⟧ around those that are trained.

    Args:
        rendered: The row.
        tokenizer: The one that made it.
    """
    pieces = []
    for trained, run in groupby(zip(rendered.trained, rendered.input_ids, strict=True), key=lambda pair: pair[0]):
        piece = tokenizer.decode([token for _, token in run], skip_special_tokens=False,
                                 clean_up_tokenization_spaces=False)
        pieces.append(f"⟦{piece}⟧" if trained else piece)
    cut = " …cut by max_length" if rendered.truncated else ""
    return (f"{sum(rendered.trained)} of {len(rendered.input_ids)} tokens are trained, those between ⟦ and ⟧\n"
            f"{''.join(pieces)}{cut}")


def _rendered(row: Marked, template: ChatTemplate, max_length: int | None, where: str) -> Rendered:
    ids = row.positions.ids
    length = len(ids) if max_length is None else min(len(ids), max_length)
    runs = [(max(1, first), last) for first, last in row.runs]
    trained = [t for first, last in runs for t in range(first, last)]
    kept = [t for t in trained if t < length]
    if not trained:
        raise DataError(f"{where}: trains nothing, because it has no assistant turn; allowed are rows with at least "
                        "one answer")
    if not kept:
        raise DataError(f"{where}: trains nothing after max_length={max_length} cut it: the first trained token is at "
                        f"{trained[0] + 1} of {len(ids)}. Raise max_length above {trained[0]}, or shorten the row")
    labels = [IGNORED] * length
    for t in kept:
        labels[t] = ids[t]
    spoken = sum(row.positions.bytes(first, min(last, length), template.special_tokens) for first, last in runs)
    return Rendered(row.text, ids[:length], labels, len(ids), len(kept) < len(trained), spoken)
