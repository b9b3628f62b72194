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
    at least 0.949 there and 0.937 to 0.975 above, from the probabilities of all counts; a percentile bootstrap does not.

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
    level = float(2 * stats.norm.sf(quantile))
    return (-_upper(gained, lost, items, quantile, level) / items, _upper(lost, gained, items, quantile, level) / items)


@lru_cache(maxsize=4096)
def _upper(lost: float, gained: float, items: float, quantile: float, level: float) -> float:
    """The largest difference, in flips, that is not rejected; p has jumps, so it is searched from outside inward."""
    at = min(items, items * float(score_interval(lost, gained, items, quantile)[1]) + 1.5)
    while at < items and _p(lost, gained, items, at) > level:
        at += STEP
    while _p(lost, gained, items, at) <= level:
        at -= STEP
    inside, outside = at, min(items, at + STEP)
    for _ in range(8):
        middle = (inside + outside) / 2
        inside, outside = (middle, outside) if _p(lost, gained, items, middle) > level else (inside, middle)
    return inside


def _p(lost: float, gained: float, items: float, flips: float) -> float:
    """The exact two-sided p of an expected difference of so many flips."""
    some_lost, some_gained = _lattice(int(items))
    observed = np.abs(_score(*(np.array(x) for x in (lost, gained, items, flips / items))))
    extreme = np.abs(_score(some_lost, some_gained, np.array(items), np.array(flips / items))) >= observed - 1e-9
    probability = _probability(items, flips)
    return float((1 - probability[:, ~extreme].sum(1)).max())


@lru_cache(maxsize=8)
def _lattice(items: int) -> tuple[np.ndarray, np.ndarray]:
    """Lost and gained [cells] of every outcome with at most so many flips."""
    reach = min(items, LATTICE)
    lost, gained = np.indices((reach + 1, reach + 1)).reshape(2, -1).astype(float)
    return lost[lost + gained <= reach], gained[lost + gained <= reach]


def _probability(items: float, flips: float) -> np.ndarray:
    """Trinomial probability of every outcome [gains, cells], for none to so many expected gains that more change nothing."""
    lost, gained = _lattice(int(items))
    least = np.concatenate([[0.0], np.geomspace(0.05, 12, 15)])[:, None] / items  # of both kinds of flips
    right, wrong = least + max(flips, 0) / items, least + max(-flips, 0) / items
    possible = (right + wrong <= 1).all(1)
    right, wrong = right[possible], wrong[possible]
    rest = items - lost - gained
    ways = (special.gammaln(items + 1) - special.gammaln(lost + 1) - special.gammaln(gained + 1) - special.gammaln(rest + 1))
    return np.exp(ways + special.xlogy(lost, right) + special.xlogy(gained, wrong) + special.xlogy(rest, 1 - right - wrong))


def _score(lost: np.ndarray, gained: np.ndarray, items: np.ndarray, difference: np.ndarray) -> np.ndarray:
    """The score statistic of the hypothesis that the difference is this; the share of gains is then its likeliest one."""
    linear = (2 * items - lost + gained) * difference - lost - gained
    root = np.sqrt(np.maximum(linear**2 + 8 * items * gained * difference * (1 - difference), 0))
    nuisance = (root - linear) / (4 * items)
    variance = np.maximum(items * (2 * nuisance + difference * (1 - difference)), 1e-300)
    return (lost - gained - items * difference) / np.sqrt(variance)
