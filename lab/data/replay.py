"""Rows of what a base was trained on, mixed among the rows of a task, so that less of the base is forgotten."""

from dataclasses import dataclass, field
from random import Random
from typing import Any

from lab.data import files
from lab.data.chat import preview, render_each
from lab.data.conversation import Conversation, digest
from lab.data.split import without_duplicates
from lab.errors import DataError

EMBEDDED = "embedded:"
WORLD = "embedded:placebo"


@dataclass(frozen=True)
class Replay:
    """Rows to train on beside those of the task.

    Attributes:
        name: As it was asked for.
        sha256: Of the different rows.
        rows: With `input_ids`, `labels`, `trained_bytes`; one that is needed more than once is repeated.
        different: How many of them are.
        preview: The first of them, its trained tokens marked.
    """

    name: str
    sha256: str
    rows: list[dict[str, Any]] = field(repr=False)
    different: int
    preview: str = field(repr=False)


def needed(task: int, share: float) -> int:
    """Returns how many rows beside `task` others make `share` of all, to the nearest row.

    A batch drawn from all of them has this share on average; a training of as many steps sees that much less of its task.
    """
    return round(task * share / (1 - share))


def build(name_or_source: str, tokenizer: Any, count: int, *, max_length: int, seed: int) -> Replay:
    """Returns replayed rows as the model of `tokenizer` trains on them.

    `embedded:placebo` gives as many different rows as are wanted, drawn as the embedded base's pretraining drew them, from
    the part of the world that was not withheld: none is a question of a held-out suite.

    Args:
        name_or_source: `embedded:<set>`, of which the training rows are taken, or what `lab.data.files.read` takes.
        tokenizer: The model's.
        count: Rows wanted, at least one.
        max_length: Tokens after which a row is cut.
        seed: Of what is drawn.

    Raises:
        DataError: The data is missing or malformed, or no row is wanted.
    """
    if count < 1:
        raise DataError("replay: so small a share of so few rows is not one row; type a larger share, or replay=0")
    found = _read(name_or_source, count, seed)
    rendered = list(render_each(tokenizer, found, max_length, name_or_source))
    rows = [{"input_ids": row.input_ids, "labels": row.labels, "trained_bytes": row.trained_bytes} for row in rendered]
    return Replay(name_or_source, digest(found), [rows[i % len(rows)] for i in range(count)], len(rows),
                  preview(rendered[0], tokenizer))


def _read(name_or_source: str, count: int, seed: int) -> list[Conversation]:
    from lab.data import embedded

    if name_or_source == WORLD:
        return embedded.pretrained(count, seed)
    if name_or_source.startswith(EMBEDDED):
        rows = embedded.load(name_or_source.removeprefix(EMBEDDED), seed=seed)[0]
    else:
        rows = without_duplicates(files.read(name_or_source))
    return Random(f"replay {seed}").sample(rows, min(count, len(rows)))
