"""Rows gathered one by one and made into the arrays of a probing task."""

from collections.abc import Hashable, Sequence
from typing import NamedTuple

import numpy as np

from lab.data.labelled import Labelled
from lab.data.prompts import Prompt


class Row(NamedTuple):
    """One token to read, before anything is numbered; equal values become equal numbers."""

    prompt: int
    position: int
    label: str
    type: Hashable
    group: Hashable
    context: Hashable
    template: Hashable


def gathered(rows: Sequence[Row], prompts: list[Prompt], classes: Sequence[str], *, name: str, question: str,
             type_is: str, context_is: str, follows: tuple[str, ...] = (), no_disjoint: str = "", no_shared: str = "",
             source: str = "", whole: bool = False) -> Labelled:
    """Returns the rows as a probing task, its columns numbered from 0 in the order of first occurrence.

    Args:
        rows: In order.
        prompts: What `Row.prompt` counts.
        classes: Every label there may be, in their order; those that no row has are left out.
        name: And the rest: as `Labelled` has them.
    """
    present = {row.label for row in rows}
    kept = tuple(label for label in classes if label in present)
    number = {label: i for i, label in enumerate(kept)}
    return Labelled(
        name=name, question=question, prompts=prompts, classes=kept,
        prompt=np.array([row.prompt for row in rows], dtype=np.int64),
        position=np.array([row.position for row in rows], dtype=np.int64),
        label=np.array([number[row.label] for row in rows], dtype=np.int64),
        type=_numbered([row.type for row in rows]), group=_numbered([row.group for row in rows]),
        context=_numbered([row.context for row in rows]), template=_numbered([row.template for row in rows]),
        type_is=type_is, context_is=context_is, follows=follows, no_disjoint=no_disjoint, no_shared=no_shared,
        source=source, whole=whole)


def _numbered(values: Sequence[Hashable]) -> np.ndarray:
    number: dict[Hashable, int] = {}
    return np.array([number.setdefault(value, len(number)) for value in values], dtype=np.int64)
