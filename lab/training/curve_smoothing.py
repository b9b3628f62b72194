"""Smoothing of a noisy series, with the raw one kept beside it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Smoothed:
    """A raw series, its smoothed form of the same length, and how it was smoothed, in words."""

    raw: np.ndarray
    smooth: np.ndarray
    method: str


def _centred(values: np.ndarray, window: int) -> np.ndarray:
    half = window // 2
    sums = np.concatenate([[0.0], np.cumsum(values)])
    index = np.arange(len(values))
    reach = np.minimum(half, np.minimum(index, len(values) - 1 - index))
    return (sums[index + reach + 1] - sums[index - reach]) / (2 * reach + 1)


def _exponential(values: np.ndarray, window: int) -> np.ndarray:
    keep = 1 - 2 / (window + 1)
    out, total, weight = np.empty_like(values), 0.0, 0.0
    for i, value in enumerate(values):
        total, weight = keep * total + value, keep * weight + 1
        out[i] = total / weight
    return out


_METHODS: dict[str, tuple[Callable[[np.ndarray, int], np.ndarray], str]] = {
    "centred": (_centred, "centred mean of {n} points, narrower towards the ends"),
    "exponential": (_exponential, "exponential mean with the memory of {n} points (lags behind the curve)"),
}
SMOOTHING = tuple(_METHODS)


def smooth(values: Any, *, window: int, method: str = "centred") -> Smoothed:
    """The series and its smoothed form.

    The centred window shrinks symmetrically towards both ends, so that a straight line stays itself and no end is
    pulled sideways. The exponential mean has the centre of mass of `window` points and is corrected for its start.

    Args:
        values: The raw series, finite.
        window: Points averaged; 1 leaves the series as it is. An even centred window acts as the next odd one.
        method: `centred` or `exponential`.

    Raises:
        ValueError: The method is unknown or the window is below 1.
    """
    if method not in _METHODS:
        raise ValueError(f"smoothing={method!r} is not known; use one of {', '.join(SMOOTHING)}.")
    if window < 1:
        raise ValueError(f"window={window} points cannot be averaged; use 1 (no smoothing) or more.")
    raw = np.asarray(values, dtype=np.float64)
    function, words = _METHODS[method]
    points = window if method == "exponential" or window % 2 else window + 1
    text = "not smoothed" if window == 1 or len(raw) == 0 else words.format(n=points)
    return Smoothed(raw, raw.copy() if window == 1 or len(raw) == 0 else function(raw, points), text)
