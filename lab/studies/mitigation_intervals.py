"""Intervals for what remedies keep and lose: rows, clusters of items and documents, the same for every remedy."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np

from lab.evaluation.clusters import grouped, standard_error
from lab.evaluation.intervals import Estimate
from lab.evaluation.paired import FEW

DRAWS = 4000
POINTS = 100.0
_CHUNK = 200  # resamples at once


def estimate(values: np.ndarray, covers: str) -> Estimate:
    """Returns the first value with the 95 % interval of the others.

    Args:
        values: [1 + draws], as measured first.
        covers: What varies.
    """
    low, high = np.percentile(values[1:], [2.5, 97.5])
    return Estimate(float(values[0]), float(low), float(high), covers)


def points(before: Mapping[str, np.ndarray], after: Mapping[str, np.ndarray], clusters: Mapping[str, np.ndarray], *,
           family: int = 1) -> Estimate:
    """Returns the percentage points by which one is right more often than another, mean over suites, with its interval.

    The interval is Student's with errors robust to clusters within each suite, the suites' variances added up and their
    degrees of freedom combined as Satterthwaite does (1946). With fewer than five flips it is made of the exact intervals of
    the two shares of flips (Clopper and Pearson, 1934), each with half of the doubt.

    Args:
        before: By suite, [N], whether each item is right, or the mean of that over several.
        after: By suite, [N], on the same items.
        clusters: By suite, [N]; items of one cluster are no independent evidence.
        family: Intervals that hold together in 95 % of cases (Bonferroni).
    """
    from scipy import stats

    differences = {suite: POINTS * (before[suite].astype(float) - after[suite]) for suite in clusters}
    value = float(np.mean([each.mean() for each in differences.values()]))
    items = sum(map(len, clusters.values()))
    covers = f"evaluation items only (n={items} in {sum(len(np.unique(each)) for each in clusters.values())} clusters)"
    more, fewer = (sum(int((sign * each > 0).sum()) for each in differences.values()) for sign in (1, -1))
    if more + fewer < FEW:
        ends = [_exact(flips, items, family) for flips in (more, fewer)]
        return Estimate(value, ends[0][0] - ends[1][1], ends[0][1] - ends[1][0], f"{covers}, few flips")
    errors = [standard_error(each, np.ones(len(each)), grouped(clusters[suite], len(each)))
              for suite, each in differences.items()]
    squares = np.array([(error / len(errors)) ** 2 for error, _ in errors])
    moved = squares > 0
    freedom = squares.sum() ** 2 / (squares[moved] ** 2 / np.array([each for _, each in errors])[moved]).sum()
    half = float(stats.t.ppf(1 - 0.025 / family, freedom)) * sqrt(squares.sum())
    return Estimate(value, value - half, value + half, covers)


def _exact(flips: int, items: int, family: int) -> tuple[float, float]:
    from scipy import stats

    found = stats.binomtest(flips, items).proportion_ci(1 - 0.025 / family, method="exact")
    return POINTS * float(found.low), POINTS * float(found.high)


@dataclass(frozen=True, eq=False)
class Drawn:
    """Sums over units [U] by which ratios are made, units resampled alike for all columns.

    Attributes:
        sums: [U, columns].
        counts: [U].
    """

    sums: np.ndarray
    counts: np.ndarray

    def ratios(self, generator: np.random.Generator) -> np.ndarray:
        """Sum over sum, [1 + draws, columns], as measured first."""
        units = len(self.counts)
        found = [(self.sums.sum(0) / self.counts.sum())[None]]
        for _ in range(DRAWS // _CHUNK):
            times = generator.multinomial(units, np.full(units, 1 / units), _CHUNK).astype(float)
            found.append((times @ self.sums) / (times @ self.counts)[:, None])
        return np.concatenate(found)


def by_cluster(columns: Sequence[np.ndarray], clusters: np.ndarray) -> Drawn:
    """Returns columns [N] summed over their clusters."""
    names, member = np.unique(clusters, return_inverse=True)
    sums = np.zeros((len(names), len(columns)))
    np.add.at(sums, member, np.stack(columns, 1).astype(float))
    return Drawn(sums, np.bincount(member))
