"""Intervals for means and differences: over evaluation items, or over training seeds."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

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


def over_groups(values: np.ndarray, groups: np.ndarray, *, fewest: int = 2, seed: int = 0, draws: int = 2000
                ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns the mean over items and the ends of its 95 % interval, whole groups resampled with replacement.

    The same resamples for every position, so that paired quantities stay paired. A position that no item defines is nan, and
    one that fewer groups define has no interval.

    Args:
        values: [N, …], nan where an item leaves it undefined.
        groups: [N], items of one group are no independent evidence.
        fewest: Groups over which there is an interval.
        seed: Of the resampling.
        draws: Resamples.
    """
    flat = values.reshape(len(values), -1)
    member = (np.unique(groups)[:, None] == groups).astype(float)  # groups × items
    defined = np.isfinite(flat)
    sums, counts = member @ np.where(defined, flat, 0.0), member @ defined
    low, high = np.full((2, flat.shape[1]), np.nan)
    times = np.random.default_rng(seed).multinomial(len(member), np.full(len(member), 1 / len(member)), draws)
    some = (counts > 0).sum(0) >= fewest
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = sums.sum(0) / counts.sum(0)
        if some.any():
            drawn = (times @ sums[:, some]) / (times @ counts[:, some])
            low[some], high[some] = np.nanpercentile(drawn, [2.5, 97.5], axis=0)
    shape = values.shape[1:]
    return mean.reshape(shape), low.reshape(shape), high.reshape(shape)


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


def all_alike(value: np.ndarray | float, count: int, *, least: float, most: float) -> tuple[Any, Any]:
    """Returns the ends of the 95 % interval of a mean of which all independent parts show the same value.

    Resampling those would show no doubt at all. But if more than 1 − 0.025^(1/count) of all there are say something else, so
    many alike are seen in less than 2.5 % of cases, and at worst what they say is `least` or `most`. For shares that are
    all right or all wrong this is the interval of Clopper and Pearson (1934).

    Args:
        value: What every part shows; an array for many quantities.
        count: Of the parts.
        least: The lowest value that a part can show.
        most: The highest.
    """
    others = 1 - 0.025 ** (1 / count)
    return value + others * (least - value), value + others * (most - value)


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
