"""What a model scored, item by item, so that any later model can be compared on the same items. N items, C choices."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np


@dataclass(frozen=True, eq=False)
class Ranked:
    """Questions whose alternatives were ranked by their likelihood after the prompt.

    Attributes:
        names: [N], of the items.
        kinds: [N], what each asks.
        clusters: [N]; items of one cluster are no independent evidence.
        gold: [N], index of the right alternative.
        loglikelihood: [N, C] nats of an alternative in any of the forms that were asked for; -inf where an item has fewer
            alternatives.
    """

    names: Sequence[str]
    kinds: Sequence[str]
    clusters: Sequence[str]
    gold: np.ndarray
    loglikelihood: np.ndarray

    @cached_property
    def correct(self) -> np.ndarray:
        """[N] whether the right alternative is the likeliest; the first of equal ones counts."""
        return self.loglikelihood.argmax(1) == self.gold

    @cached_property
    def probability(self) -> np.ndarray:
        """[N, C] likelihoods of the alternatives, normalised over them."""
        relative = np.exp(self.loglikelihood - self.loglikelihood.max(1, keepdims=True))
        return relative / relative.sum(1, keepdims=True)

    @cached_property
    def gold_nll(self) -> np.ndarray:
        """[N] nats, minus the logarithm of the right alternative's probability among the alternatives."""
        top = self.loglikelihood.max(1)
        total = top + np.log(np.exp(self.loglikelihood - top[:, None]).sum(1))
        return total - self.loglikelihood[np.arange(len(self.gold)), self.gold]

    @property
    def accuracy(self) -> float:
        """Share of items whose right alternative is the likeliest."""
        return float(self.correct.mean())

    @property
    def chance(self) -> float:
        """Expected accuracy of picking an alternative blindly."""
        return float((1 / np.isfinite(self.loglikelihood).sum(1)).mean())


@dataclass(frozen=True, eq=False)
class Greedy:
    """Questions that were answered by the likeliest token, one after another.

    Attributes:
        names: [N], of the items.
        said: [N], the answers, white space around them removed.
        exact: [N] bool, whether the answer is the right one to the letter.
        misformatted: [N] bool, whether it is no bare answer of the kind that was asked for, right or wrong: a changed style,
            which is no forgetting.
    """

    names: Sequence[str]
    said: Sequence[str]
    exact: np.ndarray
    misformatted: np.ndarray


@dataclass(frozen=True, eq=False)
class TextScores:
    """Loss of whole documents.

    Attributes:
        names: [N], of the documents.
        kinds: [N].
        nll: [N] nats, summed over a document's tokens.
        bytes: [N], of its UTF-8 text.
    """

    names: Sequence[str]
    kinds: Sequence[str]
    nll: np.ndarray
    bytes: np.ndarray

    @property
    def bits_per_byte(self) -> float:
        """Bits per UTF-8 byte over all documents; comparable between tokenizers."""
        return float(self.nll.sum() / math.log(2) / self.bytes.sum())


@dataclass(frozen=True, eq=False)
class Scores:
    """All that one model scored, by suite or task.

    Attributes:
        ranked: Questions with alternatives.
        greedy: The same questions, answered.
        text: Documents.
        frames: Forms in which a suite's alternatives were ranked; see `lab.evaluation.frames`.
    """

    ranked: dict[str, Ranked]
    greedy: dict[str, Greedy]
    text: dict[str, TextScores]
    frames: dict[str, list[tuple[str, str]]] = field(default_factory=dict)
