"""The 95 % interval of a difference of two shares of the same items, from how many flipped each way."""

import numpy as np


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


def _score(lost: np.ndarray, gained: np.ndarray, items: np.ndarray, difference: np.ndarray) -> np.ndarray:
    """The score statistic of the hypothesis that the difference is this; the share of gains is then its likeliest one."""
    linear = (2 * items - lost + gained) * difference - lost - gained
    root = np.sqrt(np.maximum(linear**2 + 8 * items * gained * difference * (1 - difference), 0))
    nuisance = (root - linear) / (4 * items)
    variance = np.maximum(items * (2 * nuisance + difference * (1 - difference)), 1e-300)
    return (lost - gained - items * difference) / np.sqrt(variance)
