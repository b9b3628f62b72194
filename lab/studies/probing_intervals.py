"""Means over questions with intervals over whole clusters of them: questions about one entity or of one template."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lab.data.questions import Question
from lab.evaluation.intervals import Estimate, all_alike, over_groups

FEWEST = 5  # clusters; a bootstrap over fewer says nothing
ENTITY, TEMPLATE, PAIR, QUESTION, AUTO = "entity", "template", "pair", "question", "auto"
_ENOUGH = 8  # templates from which they are resampled unless something else is asked for


@dataclass(frozen=True)
class Clusters:
    """Which questions are resampled together.

    Attributes:
        of: [N], number of each question's cluster.
        covers: What an interval covers, for verdicts and legends.
    """

    of: np.ndarray
    covers: str

    def __len__(self) -> int:
        """How many there are."""
        return len(np.unique(self.of))


def clusters(questions: Sequence[Question], how: str) -> Clusters:
    """Returns the clusters of questions.

    Args:
        questions: In their order.
        how: `template`: those of one template. `entity`: those that share an entity, directly or through others, or that
            exchange answers, so that neither's foil is a free choice; where that leaves fewer than 5, the latter alone.
            `question`: each its own. `auto`: templates where there are at least 8, else entities.
    """
    templates = [f"{question.category} {question.template}" for question in questions]
    if how == AUTO:
        how = TEMPLATE if len(set(templates)) >= _ENOUGH else ENTITY
    if how == QUESTION:
        of = np.arange(len(questions))
    elif how == TEMPLATE:
        of = np.unique(templates, return_inverse=True)[1]
    else:
        of = _hanging_together(questions, [question.entities for question in questions])
        if len(np.unique(of)) < FEWEST:  # a few names or digits in all of them: only what exchanges answers is one
            of, how = _hanging_together(questions, [()] * len(questions)), PAIR
    count = len(np.unique(of))
    words = {TEMPLATE: "whole templates", ENTITY: "whole entities", PAIR: "pairs that exchange answers",
             QUESTION: "questions"}[how]
    return Clusters(of, f"{words} (n={count})")


def over_clusters(values: np.ndarray, grouped: Clusters, *, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns the mean over questions and the ends of its 95 % interval, whole clusters resampled with replacement.

    With fewer than 5 clusters there is no interval.

    Args:
        values: [N, …], nan where a question leaves it undefined.
        grouped: Of the N questions.
        seed: Of the resampling.
    """
    return over_groups(values, grouped.of, fewest=FEWEST, seed=seed)


def ends(values: np.ndarray, grouped: Clusters) -> np.ndarray:
    """Returns lower and upper end of `over_clusters` […, 2], as figures take them."""
    _, low, high = over_clusters(values, grouped)
    return np.stack([low, high], -1)


def estimate(values: np.ndarray, grouped: Clusters, limits: tuple[float, float] | None = None) -> Estimate | None:
    """Returns the mean of one number a question with its interval; None where fewer than 5 clusters define it.

    Args:
        values: [N], nan where undefined.
        grouped: Of the N questions.
        limits: The lowest and the highest value that there can be, from which there is an interval even where all clusters
            agree (see `lab.evaluation.intervals.all_alike`).
    """
    mean, low, high = over_clusters(values, grouped)
    if not np.isfinite([mean, low, high]).all():
        return None
    there = np.isfinite(values)
    count = len(np.unique(grouped.of[there]))
    left = f", {count} of them with values" if not there.all() else ""
    if limits is not None and np.ptp(values[there]) == 0:
        low, high = all_alike(mean, count, least=limits[0], most=limits[1])
    return Estimate(float(mean), float(low), float(high), grouped.covers + left)


def _hanging_together(questions: Sequence[Question], named: Sequence[Sequence[str]]) -> np.ndarray:
    """[N], number of the set that a question hangs together with by what is named in it, or by exchanged answers."""
    parent = list(range(len(questions)))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    holders: dict[tuple, int] = {}
    for i, question in enumerate(questions):
        alike = question.category, question.template, len(question.input_ids)
        exchanged = (*alike, *sorted((question.answer, question.foil)))
        for key in [*((question.category, "entity", entity) for entity in named[i]), exchanged]:
            parent[root(i)] = root(holders.setdefault(key, i))
    return np.unique([root(i) for i in range(len(questions))], return_inverse=True)[1]
