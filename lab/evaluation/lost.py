"""How much of what a base could do a model lost while it trained. C checkpoints, the bare base first; N items of a suite."""

import math
from collections.abc import Mapping, Sequence

import numpy as np

from lab.evaluation.intervals import Estimate
from lab.evaluation.paired import compare

POINTS = 100  # percentage points in a share of 1


def by_suite(correct: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Returns each suite's percentage points of accuracy below the bare base's, [C]; positive is worse than the base.

    Args:
        correct: By suite, [C, N] bool.
    """
    return {suite: POINTS * (right[0].mean() - right.mean(1)) for suite, right in correct.items()}


def points(correct: Mapping[str, np.ndarray]) -> np.ndarray:
    """Returns the mean of `by_suite` over suites, each counting the same, [C].

    Raises:
        ValueError: There is no suite.
    """
    if not correct:
        raise ValueError("no suite was scored, so that no loss is known; train with evaluate=forgetting")
    return np.mean(list(by_suite(correct).values()), axis=0)


def interval(correct: Mapping[str, np.ndarray], clusters: Mapping[str, np.ndarray]) -> np.ndarray:
    """Returns the ends of the 95 % interval of `points`, [C, 2]; at the bare base itself both are 0.

    Each suite's interval is that of `lab.evaluation.paired.compare`; the suites are independent, so the mean's ends lie
    from it by the root of the summed squares of theirs, divided by how many there are (MOVER; Zou and Donner, 2008). It
    covers which items were asked, and neither another training seed nor other suites.

    Args:
        correct: By suite, [C, N] bool.
        clusters: By suite, [N].
    """
    ends = [[0.0, 0.0]]
    for checkpoint in range(1, len(points(correct))):
        found = estimate(correct, clusters, checkpoint)
        ends.append([found.low, found.high])
    return np.array(ends)


def estimate(correct: Mapping[str, np.ndarray], clusters: Mapping[str, np.ndarray], checkpoint: int = -1) -> Estimate:
    """Returns the lost points at one checkpoint with their interval, see `interval`.

    Args:
        correct: By suite, [C, N] bool.
        clusters: By suite, [N].
        checkpoint: Its place among the C.
    """
    each = [compare(right[0], right[checkpoint], clusters[suite]).estimate for suite, right in correct.items()]
    items, groups = sum(len(c) for c in clusters.values()), sum(len(np.unique(c)) for c in clusters.values())
    return mean(each, f"evaluation items only (n={items} in {groups} clusters of {len(each)} suites)")


def mean(each: Sequence[Estimate], covers: str) -> Estimate:
    """Returns the mean of several suites' estimates, each counting the same, with its interval; see `interval`.

    Args:
        each: Independent of one another, at least one.
        covers: What the interval covers.
    """
    value = float(np.mean([suite.value for suite in each]))
    below = math.hypot(*(suite.value - suite.low for suite in each)) / len(each)
    above = math.hypot(*(suite.high - suite.value for suite in each)) / len(each)
    return Estimate(value, value - below, value + above, covers)
