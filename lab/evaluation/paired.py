"""What a model lost against another on the same items."""

from dataclasses import dataclass

import numpy as np
from scipy import stats

from lab.errors import DataError
from lab.evaluation.clusters import Clusters, grouped, sign_flip, sign_flip_counts, standard_error
from lab.evaluation.detectable import FEWEST_CLUSTERS, detectable
from lab.evaluation.intervals import Estimate
from lab.evaluation.paired_interval import FEW as FEW
from lab.evaluation.paired_interval import few, flip_interval

TOLERATED = 2.0  # points
MOST_EVEN = 0.3  # a design effect below it is luck: an F variable of 11 and many degrees of freedom is so in 1.4 %


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
        few_flips: Fewer than five flips may have been expected, clustered ones divided by the design effect: the interval
            is the exact one. Clustered losses of one way, so few, are covered in less than 95 % (see `compare`).
        detectable: Points; the smallest loss that this test would detect with power 0.8 at 0.05, see `detectable`; infinite
            with fewer than six clusters, which no test of theirs can call.
        design_effect: How many clustered items say as much as one independent item.
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
    design_effect: float

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

    Items are independent if no two share a cluster. Then the test is McNemar's exact one (1947), the interval Tango's score
    interval (1998), or the exact one where flips are few. Otherwise the test flips the signs of whole clusters, and the
    interval is the same, of counts divided by the design effect (Rao and Scott, 1992; Korn and Graubard, 1998), with the
    quantile of Student's t: the effect is the cluster-robust variance CR2 over that of independent items.

    In simulation (`benchmarks/forgetting_intervals`), from nine unequal clusters to 600 and up to an intra-cluster
    correlation of 0.2, that covers 0.930 to 0.968 wherever at least five flips are expected after division by the design
    effect; there a percentile bootstrap over clusters covers as little as 0.86, Student's t on their sums 0.89. Fewer
    flips cover 0.947 and more where items are in fact independent or flip both ways, but down to 0.75 where losses of one
    way hit few clusters: clusters that nobody saw flip cannot be seen to hang together. The interval may leave out 0
    where the test calls nothing: with few flips the test is the more cautious of the two, and significance is the test's.

    Args:
        before: [N] bool, right answers of the base.
        after: [N] bool, of the tuned model on the same items.
        clusters: [N], equal where items are no independent evidence; none if all are.

    Raises:
        DataError: There are no items, the two differ in number, an answer is neither right nor wrong, or all items are in
            one cluster.
    """
    first, second = _paired(before, after)
    if not np.isin([first, second], (0, 1)).all():
        raise DataError("a right or wrong answer is neither 0 nor 1; compare graded or continuous scores with `change`")
    first, second = first.astype(bool), second.astype(bool)
    groups = grouped(clusters, len(first))
    difference = first.astype(float) - second
    lost, gained = int((difference > 0).sum()), int((difference < 0).sum())
    effect, freedom = _design(difference, groups)
    seen = detectable((lost + gained) / len(first), len(first) / effect, freedom)
    return Change(
        len(first), float(first.mean()), float(second.mean()), lost, gained, lost_points(difference, groups),
        sign_flip_counts(groups.sums(difference)),
        "McNemar's exact test" if groups.independent else "sign-flip of whole clusters, exact",
        few((lost + gained) / effect), seen if groups.count >= FEWEST_CLUSTERS else np.inf, effect)


def lost_points(difference: np.ndarray, groups: Clusters) -> Estimate:
    """Returns the points lost and their interval, see `compare`.

    Args:
        difference: [N], 1 where an item was lost, −1 where it was gained, else 0.
        groups: Of the items.
    """
    effect, freedom = _design(difference, groups)
    lost, gained = ((sign * difference > 0).sum() / effect for sign in (1, -1))
    ends = flip_interval(lost, gained, len(difference) / effect, float(stats.t.ppf(0.975, freedom)))
    return Estimate(100 * float(difference.sum()) / len(difference), 100 * ends[0], 100 * ends[1], _covers(groups))


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
    """The design effect and the degrees of freedom; without any flip the effect cannot be known and is taken as 1."""
    if groups.independent:
        return 1.0, np.inf
    error, freedom = standard_error(difference, np.ones(len(difference)), groups)
    independent = float(difference.var()) / len(difference)
    return (max(MOST_EVEN, error**2 / independent) if independent > 0 else 1.0), freedom


def _covers(groups: Clusters) -> str:
    return (f"evaluation items only (n={len(groups.of)})" if groups.independent
            else f"evaluation items only (n={len(groups.of)} in {groups.count} clusters)")
