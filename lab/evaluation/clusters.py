"""Items that are no independent evidence: their clusters' sums, what the clustering costs, and the sign-flip test."""

from dataclasses import dataclass

import numpy as np

from lab.errors import DataError

EXACT_CLUSTERS = 14  # 2^14 sign patterns are enumerated; above that they are drawn
DRAWS = 9999


@dataclass(frozen=True, eq=False)
class Clusters:
    """Which cluster each item is in.

    Attributes:
        of: [N], index of the item's cluster.
        count: Of clusters.
    """

    of: np.ndarray
    count: int

    @property
    def independent(self) -> bool:
        """Whether every cluster is a single item."""
        return self.count == len(self.of)

    def sums(self, values: np.ndarray) -> np.ndarray:
        """[G] sums of `values` [N] over each cluster's items."""
        return np.bincount(self.of, weights=values, minlength=self.count)


def grouped(names: np.ndarray | list | tuple | None, items: int) -> Clusters:
    """Returns the clusters by number; without names every item is one of its own.

    Args:
        names: [N], equal where items share an entity or a template.
        items: N.

    Raises:
        DataError: There is not one name per item, or all items share one: nothing then says how clusters differ.
    """
    if names is None:
        return Clusters(np.arange(items), items)
    if len(names) != items:
        raise DataError(f"{len(names)} cluster names came for {items} items; give one per item, or None if all are "
                        "independent")
    distinct, of = np.unique(np.asarray(names), return_inverse=True)
    if len(distinct) < 2 <= items:
        raise DataError(f"all {items} items are in the cluster {str(distinct[0])!r}; an interval needs at least 2 clusters, "
                        "so take more templates or entities")
    return Clusters(of, len(distinct))


def standard_error(values: np.ndarray, weights: np.ndarray, groups: Clusters) -> tuple[float, float]:
    """Returns the standard error of a weighted mean over items, and the degrees of freedom of its Student t.

    Cluster-robust with the correction CR2, and the degrees of freedom of its variance where items are independent (Bell and
    McCaffrey, 2002; Imbens and Kolesár, 2016). Both are written for a mean: with the share hᵍ of cluster g in all weight and
    eᵍ its summed deviation from the mean, the variance is Σ eᵍ² / (1 − hᵍ). For independent items of equal weight it is
    the textbook's standard error with N − 1 degrees of freedom.

    Args:
        values: [N].
        weights: [N], positive.
        groups: Of the items.
    """
    share = groups.sums(weights) / weights.sum()
    mean = float(np.average(values, weights=weights))
    deviation = groups.sums(weights * (values - mean)) / weights.sum()
    variance = float((deviation**2 / (1 - share)).sum())
    ratio = share**2 / (1 - share)
    cross = ratio.sum()**2 - (ratio**2).sum()
    return variance**0.5, float(1 / ((share**2).sum() + cross))


def sign_flip_counts(sums: np.ndarray) -> float:
    """Returns the exact two-sided p of whole numbers per cluster, if each cluster's sign had been a coin's.

    All sign patterns are counted by adding one cluster after another. With clusters of single items this is McNemar's
    exact test (1947).

    Args:
        sums: [G], lost minus gained items of each cluster.
    """
    sizes = np.abs(np.rint(sums)).astype(int)
    reach = int(sizes.sum())
    chance = np.zeros(2 * reach + 1)  # of each total from -reach to reach
    chance[reach] = 1.0
    for size in sizes[sizes > 0]:
        chance = 0.5 * (np.roll(chance, size) + np.roll(chance, -size))
    total = abs(int(np.rint(sums).sum()))
    totals = np.abs(np.arange(-reach, reach + 1))
    return min(1.0, float(chance[totals >= total].sum()))


def sign_flip(sums: np.ndarray, seed: int) -> tuple[float, str]:
    """Returns the two-sided p of the clusters' total, if each cluster's sign had been a coin's, and how it was found.

    All patterns are tried up to 14 clusters that changed; above that 9,999 are drawn, and the one that was observed counts
    as one of them, so that p is never 0 (Phipson and Smyth, 2010).

    Args:
        sums: [G], of changes.
        seed: Of the drawn patterns.
    """
    moved = sums[sums != 0]
    if not len(moved):
        return 1.0, "nothing changed"
    total = abs(moved.sum())
    near = total - 1e-9 * np.abs(moved).sum()  # patterns equal but for rounding count as equal
    if len(moved) <= EXACT_CLUSTERS:
        signs = 1 - 2 * ((np.arange(2**len(moved))[:, None] >> np.arange(len(moved))) & 1)
        return float((np.abs(signs @ moved) >= near).mean()), "sign-flip of whole clusters, all patterns"
    generator, reached = np.random.default_rng(seed), 1
    for _ in range(9):
        drawn = generator.integers(0, 2, (DRAWS // 9, len(moved)), dtype=np.int8) * 2.0 - 1
        reached += int((np.abs(drawn @ moved) >= near).sum())
    return reached / (DRAWS + 1), f"sign-flip of whole clusters, {DRAWS} patterns drawn"
