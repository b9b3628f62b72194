"""What a linear probe is asked: tokens of prompts, a label for each, and what its controls have to hold fixed.

A row is one token of one prompt, at which an activation is read. N counts rows.
"""

from dataclasses import dataclass, field

import numpy as np

from lab.data.prompts import Prompt
from lab.errors import DataError

CUES = ("position", "template", "token")
ROWS = ("prompt", "position", "label", "type", "group", "context", "template")


@dataclass(frozen=True, eq=False)
class Labelled:
    """A probing task.

    Two splits belong to it. One shares types and keeps contexts apart: on it a control task, a fixed random label per
    type (Hewitt and Liang, 2019, arXiv:1909.03368), says how much of an accuracy the probe could have memorised. The
    other keeps types apart: on it a probe has to generalise.

    Attributes:
        name: As it was asked for, such as `carry` or `attribute:home@last`.
        question: What is asked of an activation, in words.
        prompts: Each as the model reads it.
        classes: What each label is called.
        prompt: [N], which of `prompts`.
        position: [N], the token whose activation is read, counted from the prompt's first.
        label: [N], which of `classes`.
        type: [N], what a control label is fixed on: rows of one type share it.
        group: [N], rows that are no independent evidence: resampled, and where labels are permuted moved, together.
        context: [N], what training and test may not share in the split that shares types.
        template: [N], the form of words around what is asked.
        type_is: What a type is, in words.
        context_is: What a context is, in words.
        follows: Which of `position`, `template` and `token` (the one read) say something about the label by
            themselves, so that a probe has to be held to a baseline that knows only them.
        no_disjoint: Why a split with types kept apart would have no meaning; empty where it has one.
        no_shared: Why a split with shared types would have no meaning; empty where it has one.
        source: Where the rows were read, for errors; empty where they were made.
        whole: Whether these are all the rows there are, so that a larger count would give no more.
    """

    name: str
    question: str
    prompts: list[Prompt] = field(repr=False)
    classes: tuple[str, ...]
    prompt: np.ndarray = field(repr=False)
    position: np.ndarray = field(repr=False)
    label: np.ndarray = field(repr=False)
    type: np.ndarray = field(repr=False)
    group: np.ndarray = field(repr=False)
    context: np.ndarray = field(repr=False)
    template: np.ndarray = field(repr=False)
    type_is: str
    context_is: str
    follows: tuple[str, ...] = ()
    no_disjoint: str = ""
    no_shared: str = ""
    source: str = ""
    whole: bool = False

    def __post_init__(self) -> None:
        """Refuses what no probe could be fitted to.

        Raises:
            DataError: There is no row, there are fewer rows than classes, or every label is the same.
        """
        shapes = {name: np.shape(getattr(self, name)) for name in ROWS}
        assert len(set(shapes.values())) == 1 and len(shapes["label"]) == 1, f"{self.name}: rows differ: {shapes}"
        assert set(self.follows) <= set(CUES), f"{self.name}: {self.follows} are not among {CUES}"
        if not len(self.label):
            raise DataError(f"{self.called}: holds no rows; a probe needs at least two of each class")
        present = np.unique(self.label)
        if len(present) == 1:
            raise DataError(f"{self.called}: every one of its {len(self.label)} labels is "
                            f"'{self.classes[present[0]]}'; a probe needs two classes or more")
        if len(self.label) < len(self.classes):
            raise DataError(f"{self.called}: {len(self.label)} rows came for {len(self.classes)} classes; a probe needs "
                            "at least two rows of each class: give more rows or fewer classes")
        lengths = np.array([len(prompt.input_ids) for prompt in self.prompts])
        assert (self.position >= 0).all() and (self.position < lengths[self.prompt]).all(), f"{self.name}: no such token"
        assert present[0] >= 0 and present[-1] < len(self.classes), f"{self.name}: a label without a class"

    def __len__(self) -> int:
        """Returns N."""
        return len(self.label)

    @property
    def called(self) -> str:
        """What errors call it: where its rows were read, or its name."""
        return self.source or self.name

    @property
    def token(self) -> np.ndarray:
        """[N], the id of the token that is read."""
        return np.array([self.prompts[p].input_ids[t] for p, t in zip(self.prompt, self.position, strict=True)])

    @property
    def majority(self) -> float:
        """Share of rows in the most frequent class: the accuracy of always saying that class."""
        return float(np.bincount(self.label).max() / len(self))

    @property
    def type_decides(self) -> bool:
        """Whether all rows of one type have one label, so that knowing types by heart is enough on shared types."""
        return len(np.unique(self.type)) == np.unique(np.stack([self.type, self.label]), axis=1).shape[1]

    @property
    def recurring(self) -> int:
        """Types that occur in two contexts or more; the others cannot be on both sides of a split that shares types."""
        pairs = np.unique(np.stack([self.type, self.context]), axis=1)[0]
        return int((np.unique(pairs, return_counts=True)[1] > 1).sum())
