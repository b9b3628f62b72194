"""Means over prompts and their shares of the whole, with intervals over prompts."""

from dataclasses import replace

import numpy as np

from lab.evaluation.intervals import Estimate, over_items
from lab.studies.attention_intervals import over_prompts

__all__ = ["mean", "ratio", "over_prompts"]


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
