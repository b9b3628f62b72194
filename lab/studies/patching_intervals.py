"""Means over prompts and their shares of the whole, with intervals over prompts."""

from dataclasses import replace

import numpy as np

from lab.evaluation.intervals import Estimate, over_items
from lab.studies.attention_intervals import over_prompts

__all__ = ["mean", "over_prompts", "ratio", "shares"]
_RESAMPLES = 2000


def mean(values: np.ndarray) -> Estimate:
    """Returns the mean of one number a prompt, with its interval.

    Args:
        values: [P], nan where there is none.
    """
    kept = values[np.isfinite(values)]
    return replace(over_items(lambda rows: float(kept[rows].mean()), len(kept)), covers=f"prompts (n={len(kept)})")


def ratio(part: np.ndarray, whole: np.ndarray) -> Estimate:
    """Returns the ratio of means, which stays steady where the whole of a single prompt is near 0.

    Args:
        part: [P], nan where there is none.
        whole: [P].
    """
    at = np.flatnonzero(np.isfinite(part))
    return replace(over_items(lambda rows: float(part[at[rows]].mean() / whole[at[rows]].mean()), len(at)),
                   covers=f"prompts (n={len(at)})")


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
