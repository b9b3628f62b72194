"""Means over prompts with their intervals, of whole arrays at once."""

import numpy as np

from lab.evaluation.intervals import over_groups


def over_prompts(values: np.ndarray, *, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns the mean over prompts and the ends of its 95 % interval, prompts resampled with replacement.

    Args:
        values: [prompts, …], nan where a prompt leaves it undefined.
        seed: Of the resampling.
    """
    return over_groups(values, np.arange(len(values)), seed=seed)


def between(low: float, high: float, form: str = ".3g") -> str | None:
    """Returns the ends of an interval for a table; None where there is none, or nothing varies in it."""
    ends = [round(float(end), 12) + 0.0 for end in (low, high)]  # what rounding leaves of 0 is 0
    return f"{ends[0]:{form}} to {ends[1]:{form}}" if ends[0] < ends[1] else None
