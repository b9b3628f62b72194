"""Ticks a person can read on logarithmic axes: 1, 4, 16 or 0.002, 0.02, never 10^0."""

import math
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, MaxNLocator, NullFormatter, NullLocator

_UNITS = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))
_MOST = 10


def plain(value: float) -> str:
    """A number as it would be typed: 22k, 1.5M, 16, 0.003, 2e-5."""
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    size = abs(value)
    for unit, letter in _UNITS:
        if size >= unit * (10 if unit == 1e3 else 1):
            return f"{value / unit:.3g}{letter}"
    if size < 1e-3:
        mantissa, exponent = f"{value:.2e}".split("e")
        return f"{mantissa.rstrip('0').rstrip('.')}e{int(exponent)}"
    return f"{value:.4g}"


def step_axis(ax: Axes, label: str = "optimiser step") -> None:
    """An x axis of whole steps."""
    ax.set_xlabel(label)
    ax.xaxis.set_major_locator(MaxNLocator(nbins=8, steps=[1, 2, 2.5, 5, 10], integer=True, min_n_ticks=1))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: plain(value)))


def log_ticks(axis: Axis, values: Any = None) -> None:
    """Makes an axis logarithmic with readable ticks.

    Args:
        axis: `ax.xaxis` or `ax.yaxis`.
        values: Label exactly these where they are few enough, such as the rates of a sweep.
    """
    scale = axis.axes.set_xscale if axis is axis.axes.xaxis else axis.axes.set_yscale
    scale("log")
    shown = np.unique(values) if values is not None else np.array([])
    shown = shown[np.isfinite(shown) & (shown > 0)] if len(shown) else shown
    if 0 < len(shown) <= _MOST and _apart(shown):
        axis.set_major_locator(FixedLocator(shown.tolist()))
    elif 0 < 2 * min(axis.get_view_interval()) > max(axis.get_view_interval()):
        axis.set_major_locator(MaxNLocator(6))  # so little of a decade that round numbers are evenly apart
    else:
        axis.set_major_locator(LogLocator(base=10, subs=_subs(axis), numticks=_MOST))
    axis.set_major_formatter(FuncFormatter(lambda value, _: plain(value)))
    axis.set_minor_locator(NullLocator())
    axis.set_minor_formatter(NullFormatter())


def _apart(values: np.ndarray) -> bool:
    """Whether labels at these values would not run into one another on axes of usual size."""
    if len(values) == 1:
        return True
    steps = np.diff(np.log(values))
    return bool(steps.min() >= 0.05 * steps.sum())


def _subs(axis: Axis) -> tuple[float, ...]:
    low, high = sorted(axis.get_view_interval())
    if low <= 0:
        return (1.0,)
    decades = math.log10(high / low)
    if decades < 0.7:
        return (1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0)
    if decades < 1.5:
        return (1.0, 2.0, 3.0, 5.0, 7.0)
    return (1.0, 2.0, 5.0) if decades < 3 else (1.0,)
