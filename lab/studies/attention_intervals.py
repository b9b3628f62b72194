"""Means over prompts with their intervals, of whole arrays at once."""

import numpy as np

RESAMPLES = 2000


def over_prompts(values: np.ndarray, *, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns the mean over prompts and the ends of its 95 % interval, prompts resampled with replacement.

    The same resamples for every position, as `lab.evaluation.intervals.over_items` does for one number. A position that no
    prompt defines is nan; with one prompt there is no interval.

    Args:
        values: [prompts, …], nan where a prompt leaves it undefined.
        seed: Of the resampling.
    """
    prompts = len(values)
    flat = values.reshape(prompts, -1)
    defined = np.isfinite(flat)
    filled = np.where(defined, flat, 0.0)
    weights = np.random.default_rng(seed).multinomial(prompts, np.full(prompts, 1 / prompts), RESAMPLES)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = filled.sum(0) / defined.sum(0)
        drawn = (weights @ filled) / (weights @ defined)  # resamples × positions
    low, high = np.full((2, flat.shape[1]), np.nan)
    some = (defined.sum(0) > 1)
    if some.any():
        low[some], high[some] = np.nanpercentile(drawn[:, some], [2.5, 97.5], axis=0)
    shape = values.shape[1:]
    return mean.reshape(shape), low.reshape(shape), high.reshape(shape)
