"""Means over rows with intervals over their groups; where all groups agree, with the doubt that so many leave."""

from collections.abc import Sequence

import numpy as np

from lab.evaluation.intervals import all_alike
from lab.probing import linear_scores
from lab.probing.linear_scores import Interval, resampled

Rows = tuple[np.ndarray, np.ndarray]  # scores [n] and groups [n]
_NO_WIDTH = 1e-9  # equal shares differ by the rounding of their sums


def shares(hits: np.ndarray, groups: np.ndarray) -> Interval:
    """Returns accuracies [...] of hits [..., n]; groups [n]."""
    return _doubted(linear_scores.interval(hits, resampled(groups)), groups, least=0.0)


def differences(scores: np.ndarray, groups: np.ndarray) -> Interval:
    """Returns differences of accuracies [...]; of hits on the same rows, row by row [..., n]; groups [n]."""
    return _doubted(linear_scores.interval(scores, resampled(groups)), groups, least=-1.0)


def selectivity(hits: np.ndarray, control: np.ndarray, groups: np.ndarray) -> Interval:
    """Returns accuracy of hits [..., n] minus that on M control tasks [..., M, n], [...]; groups [n]."""
    return _doubted(linear_scores.selectivity(hits, control, resampled(groups)), groups, least=-1.0)


def over_tasks(tasks: Sequence[Rows]) -> Interval:
    """Returns the mean over tasks of mean differences, groups of each task resampled.

    Another seed a task: their groups are resampled independently, though a person may be asked about in two.
    """
    if len(tasks) == 1:
        return differences(*tasks[0])
    drawn = np.mean([resampled(groups, seed=number) @ scores for number, (scores, groups) in enumerate(tasks)], axis=0)
    low, high = np.percentile(drawn, [2.5, 97.5])
    if high - low < _NO_WIDTH:
        each = [differences(*task) for task in tasks]
        low, high = np.mean([one.low for one in each]), np.mean([one.high for one in each])
    return Interval(np.mean([scores.mean() for scores, _ in tasks]), low, high)


def _doubted(found: Interval, groups: np.ndarray, *, least: float) -> Interval:
    low, high = all_alike(found.value, len(np.unique(groups)), least=least, most=1.0)
    agree = found.high - found.low < _NO_WIDTH
    ends = (found.value, np.where(agree, low, found.low), np.where(agree, high, found.high))
    return Interval(*(np.round(each, 12) + 0.0 for each in ends))  # what rounding leaves of 0 is 0
