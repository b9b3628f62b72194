"""The 95 % interval of a difference of two shares of the same items, from how many flipped each way."""

from functools import lru_cache

import numpy as np
from scipy import special, stats

FEW = 5  # expected flips
LATTICE = 70  # flips beyond so many are counted as extreme
STEP = 0.25  # flips


def few(flips: float) -> bool:
    """Whether fewer than five expected flips are in the exact 95 % interval of what was seen (Garwood, 1936): up to ten.

    Args:
        flips: Seen, either way; with clusters divided by the design effect.
    """
    return flips == 0 or float(stats.gamma.ppf(0.025, flips)) < FEW


def flip_interval(lost: float, gained: float, items: float, quantile: float) -> tuple[float, float]:
    """Returns the ends of the interval of (lost − gained) / items: the exact one for `few` flips, else Tango's.

    Tango's alone covers down to 0.93 where fewer than five flips are expected. For independent items the two together cover
    at least 0.953 there and 0.934 to 0.978 above, from the probabilities of all counts (`benchmarks/forgetting_intervals`);
    a percentile bootstrap of 200 items with two expected losses covers 0.86.

    Args:
        lost: Items that were right before only; with clusters divided by the design effect, so not always whole.
        gained: Items that were right after only.
        items: All of them.
        quantile: Of the statistic, 1.96 for 95 % of independent items.
    """
    if few(lost + gained):
        return exact_interval(lost, gained, items, quantile)
    low, high = score_interval(lost, gained, items, quantile)
    return float(low), float(high)


def score_interval(lost: np.ndarray | float, gained: np.ndarray | float, items: np.ndarray | float,
                   quantile: np.ndarray | float) -> tuple[np.ndarray, np.ndarray]:
    """Returns the ends of the score interval of (lost − gained) / items (Tango, 1998).

    Args:
        lost: Items that were right before only.
        gained: Items that were right after only.
        items: All of them.
        quantile: Of the statistic, 1.96 for 95 % of independent items.
    """
    lost, gained, items = (np.asarray(x, dtype=float) for x in (lost, gained, items))
    observed = (lost - gained) / items
    ends = []
    for side in (-1.0, 1.0):
        inside, outside = observed, np.full_like(observed, side)
        for _ in range(50):
            middle = (inside + outside) / 2
            within = np.abs(_score(lost, gained, items, middle)) <= quantile
            inside, outside = np.where(within, middle, inside), np.where(within, outside, middle)
        ends.append(inside)
    return ends[0], ends[1]


def exact_interval(lost: float, gained: float, items: float, quantile: float) -> tuple[float, float]:
    """Returns the outermost differences that the exact unconditional test does not reject.

    Its statistic is Tango's; its p is the probability of one at least as far from 0, summed over all counts and largest
    over the expected gains (Chan and Zhang, 1999; with one two-sided test rather than two of 2.5 %, Agresti and Min, 2001).

    Args:
        lost: Items that were right before only, few.
        gained: Items that were right after only, few.
        items: All of them.
        quantile: The level is what a normal variable exceeds it by, on both sides.
    """
    whole = max(1, round(items))
    lost, gained = min(whole, lost * whole / items), gained * whole / items
    return -_between(gained, lost, whole, quantile) / whole, _between(lost, gained, whole, quantile) / whole


def _between(lost: float, gained: float, items: int, quantile: float) -> float:
    """The upper end in flips; between whole counts a linear one, since p jumps as soon as a count is left."""
    level, end = float(2 * stats.norm.sf(quantile)), 0.0
    for more_lost, share in ((0, 1 - lost % 1), (1, lost % 1)):
        for more_gained, part in ((0, 1 - gained % 1), (1, gained % 1)):
            if share * part > 1e-9:
                a = int(lost) + more_lost
                end += share * part * _upper(a, min(int(gained) + more_gained, items - a), items, quantile, level)
    return end


@lru_cache(maxsize=16384)
def _upper(lost: int, gained: int, items: int, quantile: float, level: float) -> float:
    """The largest difference, in flips, that is not rejected; p has jumps, so it is searched from outside inward."""
    at = min(float(items), items * float(score_interval(lost, gained, items, quantile)[1]) + 1.5)
    while at < items and _p(lost, gained, items, at) > level:
        at += STEP
    while _p(lost, gained, items, at) <= level:
        at -= STEP
    inside, outside = at, min(float(items), at + STEP)
    for _ in range(5):
        middle = (inside + outside) / 2
        inside, outside = (middle, outside) if _p(lost, gained, items, middle) > level else (inside, middle)
    return inside


def _p(lost: int, gained: int, items: int, flips: float) -> float:
    """The exact two-sided p of an expected difference of so many flips."""
    counts, ways = _outcomes(items)
    observed = np.abs(_score(*(np.array(x) for x in (lost, gained, items, flips / items))))
    near = np.abs(_score(counts[0], counts[1], np.array(items), np.array(flips / items))) < observed - 1e-9
    probability = np.exp(ways[near] + np.log(_chances(items, flips)) @ counts[:, near])
    return float((1 - probability.sum(1)).max())


@lru_cache(maxsize=8)
def _outcomes(items: int) -> tuple[np.ndarray, np.ndarray]:
    """Lost, gained and unchanged items [3, outcomes] with at most so many flips, and the logarithm of the ways to each."""
    reach = min(items, LATTICE)
    lost, gained = np.indices((reach + 1, reach + 1)).reshape(2, -1).astype(float)
    counts = np.stack([lost, gained, items - lost - gained])[:, lost + gained <= reach]
    return counts, special.gammaln(items + 1) - special.gammaln(counts + 1).sum(0)


def _chances(items: int, flips: float) -> np.ndarray:
    """Chances of an item to be lost, gained, unchanged [gains, 3], for none to so many gains that more change nothing."""
    both = np.concatenate([[1e-9], np.geomspace(0.05, 12, 11)]) / items
    lost, gained = both + max(flips, 0) / items, both + max(-flips, 0) / items
    possible = lost + gained <= 1 + 1e-8
    return np.maximum(np.stack([lost, gained, 1 - lost - gained], 1)[possible], 1e-300)


def _score(lost: np.ndarray, gained: np.ndarray, items: np.ndarray, difference: np.ndarray) -> np.ndarray:
    """The score statistic of the hypothesis that the difference is this; the share of gains is then its likeliest one."""
    linear = (2 * items - lost + gained) * difference - lost - gained
    root = np.sqrt(np.maximum(linear**2 + 8 * items * gained * difference * (1 - difference), 0))
    nuisance = (root - linear) / (4 * items)
    variance = np.maximum(items * (2 * nuisance + difference * (1 - difference)), 1e-300)
    return (lost - gained - items * difference) / np.sqrt(variance)
