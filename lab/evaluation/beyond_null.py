"""How far a statistic lies beyond that of draws from the null, over prompts and draws; P prompts, N draws."""

from collections.abc import Callable

import numpy as np

from lab.evaluation.family_wise import RESOLUTION
from lab.evaluation.intervals import Estimate

RESAMPLES = 1000

Rows = np.ndarray


def beyond_null(statistic: Callable[[Rows, int | None], float], prompts: int, draws: int) -> Estimate:
    """Returns a statistic minus its mean over the draws, with an interval over prompts and draws.

    The interval holds 95 % of the differences to single draws, prompts resampled and draws taken in turn. So it lies
    above 0 only if hardly any random direction comes near, however many prompts there are.

    Args:
        statistic: Takes prompt indices and the number of a draw, None for the adapter asked about.
        prompts: How many.
        draws: How many.
    """
    generator, every = np.random.default_rng(0), np.arange(prompts)
    differences = []
    for number in range(RESAMPLES):
        rows = generator.integers(0, prompts, prompts)
        differences.append(statistic(rows, None) - statistic(rows, number % draws))
    low, high = np.percentile(differences, [2.5, 97.5])
    value = statistic(every, None) - float(np.mean([statistic(every, draw) for draw in range(draws)]))
    covers = f"prompts (n={prompts}) and random directions ({draws} draws), not training seeds"
    return Estimate(value, float(low), float(high), covers)


def relative(own: np.ndarray, null: np.ndarray, rows: Rows, draw: int | None) -> np.ndarray:
    """Returns ln(change / mean change of the draws) by head [L, H]; a draw is held against the other draws.

    Args:
        own: [P, L, H] nats.
        null: [P, N, L, H] nats.
        rows: Prompt indices.
        draw: Takes the adapter's place; None for the adapter itself.
    """
    draws = over(null, rows)
    mine = over(own, rows) if draw is None else draws[draw]
    others = draws.mean(0) if draw is None else (draws.sum(0) - draws[draw]) / (len(draws) - 1)
    return np.log(np.maximum(mine, RESOLUTION) / np.maximum(others, RESOLUTION))


def over(values: np.ndarray, rows: Rows) -> np.ndarray:
    """Returns the mean over resampled prompts, which come first in `values`."""
    return np.tensordot(np.bincount(rows, minlength=len(values)) / len(rows), values, 1)


def prompts_first(null: np.ndarray) -> np.ndarray:
    """Returns draws [N, P, …] as [P, N, …], laid out so that `over` is fast."""
    return np.ascontiguousarray(np.moveaxis(null, 1, 0))
