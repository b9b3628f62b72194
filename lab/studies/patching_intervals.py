"""Means over prompts and their shares of the whole, with intervals over prompts."""

import numpy as np

from lab.evaluation.intervals import Estimate
from lab.studies.attention_intervals import over_prompts

_RESAMPLES = 2000


def mean(values: np.ndarray) -> Estimate:
    """Returns the mean of one number a prompt, with its interval.

    Args:
        values: [P], nan where there is none.
    """
    return _estimate(values, *over_prompts(values))


def ratio(part: np.ndarray, whole: np.ndarray) -> Estimate:
    """Returns the ratio of means, which stays steady where the whole of a single prompt is near 0.

    Args:
        part: [P], nan where there is none.
        whole: [P].
    """
    return _estimate(part, *(ends[0] for ends in shares(part[:, None], whole)))


def shares(parts: np.ndarray, whole: np.ndarray, *, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns `ratio` of many parts at once: values and ends of their 95 % intervals, [C] each.

    Args:
        parts: [P, C], nan where a prompt has none.
        whole: [P].
        seed: Of the resampling.
    """
    prompts = len(whole)
    defined = np.isfinite(parts)
    filled, same = np.where(defined, parts, 0.0), np.where(defined, whole[:, None], 0.0)
    weights = np.random.default_rng(seed).multinomial(prompts, np.full(prompts, 1 / prompts), _RESAMPLES)
    with np.errstate(invalid="ignore", divide="ignore"):
        low, high = np.nanpercentile((weights @ filled) / (weights @ same), [2.5, 97.5], axis=0)
        return filled.sum(0) / same.sum(0), low, high


def _estimate(values: np.ndarray, value: np.ndarray, low: np.ndarray, high: np.ndarray) -> Estimate:
    return Estimate(float(value), float(low), float(high), f"prompts (n={np.isfinite(values).sum()})")
