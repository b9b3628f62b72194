"""What a model lost against another on the same items."""

from dataclasses import dataclass

import numpy as np
from scipy import stats

from lab.errors import DataError
from lab.evaluation.clusters import Clusters, grouped, sign_flip, sign_flip_counts, standard_error
from lab.evaluation.detectable import detectable
from lab.evaluation.intervals import Estimate
from lab.evaluation.paired_interval import score_interval

FEW = 5
TOLERATED = 2.0  # points


@dataclass(frozen=True)
class Change:
    """Right and wrong answers of two models on the same items.

    Attributes:
        items: N.
        base: Accuracy before, 0 to 1.
        tuned: Accuracy after.
        lost: Items that were right before only.
        gained: Items that were right after only.
        estimate: Lost points, 100 · (base − tuned), positive when the tuned model is worse, and their 95 % interval.
        p: Two-sided, of no change.
        method: The test and the interval in words.
        few_flips: Fewer than five flips: the interval is exact and says little more than that they were few.
        detectable: Points; the smallest loss that this test would detect with power 0.8 at 0.05.
    """

    items: int
    base: float
    tuned: float
    lost: int
    gained: int
    estimate: Estimate
    p: float
    method: str
    few_flips: bool
    detectable: float

    @property
    def not_lost(self) -> bool:
        """Whether even the upper bound of the loss is under two points."""
        return self.estimate.high < TOLERATED

    @property
    def words(self) -> str:
        """`few flips`, or nothing."""
        return "few flips" if self.few_flips else ""


@dataclass(frozen=True)
class Shift:
    """Continuous scores of two models on the same items.

    Attributes:
        items: N.
        base: Weighted mean before.
        tuned: Weighted mean after.
        estimate: After minus before in the scores' unit, and its 95 % interval.
        p: Two-sided, of no change.
        method: The test and the interval in words.
    """

    items: int
    base: float
    tuned: float
    estimate: Estimate
    p: float
    method: str


def compare(before: np.ndarray, after: np.ndarray, clusters: np.ndarray | None = None) -> Change:
    """Returns lost points with their interval and test.

    Args:
        before: [N] bool, right answers of the base.
        after: [N] bool, of the tuned model on the same items.
        clusters: [N], equal where items are no independent evidence; none if all are.

    Raises:
        DataError: There are no items, the two differ in number, or all are in one cluster.
    """
    first, second = _paired(before, after)
    first, second = first.astype(bool), second.astype(bool)
    groups = grouped(clusters, len(first))
    lost, gained = int((first & ~second).sum()), int((second & ~first).sum())
    effect, freedom = _design(first.astype(float) - second, groups)
    items = len(first) / effect
    quantile = stats.t.ppf(0.975, freedom)
    low, high = score_interval(lost / effect, gained / effect, items, quantile)
    estimate = Estimate(100 * (lost - gained) / len(first), 100 * float(low), 100 * float(high), _covers(groups))
    p = sign_flip_counts(groups.sums(first.astype(float) - second))
    return Change(len(first), float(first.mean()), float(second.mean()), lost, gained, estimate, p,
                  "McNemar's exact test" if groups.independent else "sign-flip of whole clusters, exact",
                  lost + gained < FEW, detectable((lost + gained) / len(first), items, freedom))


def change(before: np.ndarray, after: np.ndarray, weights: np.ndarray | None = None, clusters: np.ndarray | None = None,
           *, seed: int = 0) -> Shift:
    """Returns the weighted mean of after minus before with its interval and test.

    Args:
        before: [N], such as nats per document.
        after: [N].
        weights: [N], positive; none if all count alike.
        clusters: [N], equal where items are no independent evidence; none if all are.
        seed: Of drawn sign patterns.

    Raises:
        DataError: There are no items, numbers differ, a value is not finite, or a weight is not positive.
    """
    first, second = (np.asarray(x, dtype=float) for x in _paired(before, after))
    scale = np.ones(len(first)) if weights is None else np.asarray(weights, dtype=float)
    if scale.shape != first.shape or not (scale > 0).all():
        raise DataError(f"weights have shape {scale.shape}; needed are {len(first)} positive numbers, one per item")
    if not (np.isfinite(first) & np.isfinite(second)).all():
        raise DataError("a score is not finite; leave the item out of both, and say so")
    groups = grouped(clusters, len(first))
    difference = second - first
    value = float(np.average(difference, weights=scale))
    error, freedom = standard_error(difference, scale, groups)
    half = float(stats.t.ppf(0.975, freedom)) * error
    p, method = sign_flip(groups.sums(scale * difference), seed)
    return Shift(len(first), float(np.average(first, weights=scale)), float(np.average(second, weights=scale)),
                 Estimate(value, value - half, value + half, _covers(groups)), p, method)


def _paired(before: np.ndarray, after: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    first, second = np.asarray(before), np.asarray(after)
    if first.shape != second.shape or first.ndim != 1 or not len(first):
        raise DataError(f"scores before have shape {first.shape}, after {second.shape}; both must be [N] of the same items, "
                        "N at least 1")
    return first, second


def _design(difference: np.ndarray, groups: Clusters) -> tuple[float, float]:
    """The design effect and the degrees of freedom: how many clustered items say as much as one independent one."""
    if groups.independent:
        return 1.0, np.inf
    error, freedom = standard_error(difference, np.ones(len(difference)), groups)
    independent = difference.var() / len(difference)
    return (max(1.0, error**2 / independent) if independent > 0 else 1.0), freedom


def _covers(groups: Clusters) -> str:
    return (f"evaluation items only (n={len(groups.of)})" if groups.independent
            else f"evaluation items only (n={len(groups.of)} in {groups.count} clusters)")
