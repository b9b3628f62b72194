"""Intervals for means and differences: over evaluation items, or over training seeds."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Estimate:
    """A value, its 95 % interval, and what the interval covers.

    Attributes:
        value: The point estimate.
        low: Lower bound.
        high: Upper bound.
        covers: What varies in the interval, for example `training seeds (n=3)`.
    """

    value: float
    low: float
    high: float
    covers: str


def over_items(statistic: Callable[[np.ndarray], float], items: int, *, seed: int = 0, draws: int = 2000) -> Estimate:
    """Returns a percentile bootstrap interval, evaluation items resampled with replacement.

    It says how much the number depends on which items were asked, and nothing about another training seed.

    Args:
        statistic: Takes item indices [items] and gives the number; paired quantities stay paired.
        items: How many items there are.
        seed: Of the resampling.
        draws: Resamples.
    """
    generator = np.random.default_rng(seed)
    values = [statistic(generator.integers(0, items, items)) for _ in range(draws)]
    low, high = np.percentile(values, [2.5, 97.5])
    return Estimate(statistic(np.arange(items)), float(low), float(high), f"evaluation items only (n={items})")


def over_seeds(values: Sequence[float]) -> Estimate:
    """Returns the mean over training seeds with its Student t interval.

    Args:
        values: One number per seed, at least two.

    Raises:
        ValueError: With fewer than two seeds there is no interval.
    """
    from scipy import stats

    sample = np.asarray(values, dtype=float)
    if len(sample) < 2:
        raise ValueError(f"an interval over seeds needs at least 2 of them, got {len(sample)}")
    mean = float(sample.mean())
    half = float(stats.t.ppf(0.975, len(sample) - 1) * sample.std(ddof=1) / np.sqrt(len(sample)))
    return Estimate(mean, mean - half, mean + half, f"training seeds (n={len(sample)})")


def of_share(successes: int, count: int, covers: str) -> Estimate:
    """Returns a share with its exact interval (Clopper and Pearson, 1934).

    Args:
        successes: How many of them.
        count: Independent trials.
        covers: What the trials were.
    """
    from scipy import stats

    bounds = stats.binomtest(successes, count).proportion_ci(0.95, method="exact")
    return Estimate(successes / count, float(bounds.low), float(bounds.high), covers)
