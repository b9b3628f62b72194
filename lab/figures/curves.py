"""Loss curves beside one another, and the laws fitted to them."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LogNorm, Normalize, to_hex

from lab.figures.arrays import as_floats
from lab.figures.direct_labels import label_ends
from lab.figures.layout import own_axes
from lab.figures.theme import MOST_LABELS, SEQUENTIAL, WARNING, color, legend, nothing, reference
from lab.figures.ticks import log_ticks, step_axis

_MANY_TIMES = 8.0


def curve_fit(steps: Any, loss: Any, fits: Mapping[str, tuple[Any, Any]], ax: Axes | None = None, *,
              floor: tuple[float, float] | None = None, floor_words: str = "", predicted_from: float | None = None,
              known_floor: float | None = None, unit: str = "nats/token") -> Axes:
    """Held-out loss with the laws fitted to it and the interval of the floor as a band.

    Args:
        steps: (N,) steps above 0.
        loss: (N,) held-out loss.
        fits: Name of a law -> its steps and losses.
        floor: Interval of the floor.
        floor_words: What may be said about the floor, for the legend.
        predicted_from: Step from which points were held back, so that the lines beyond it are predictions.
        known_floor: Entropy of the data, where it is known exactly.
        unit: Of the loss.
    """
    ax = own_axes(ax)
    steps, loss = as_floats(steps), as_floats(loss)
    step_axis(ax)
    ax.set_ylabel(f"held-out loss ({unit})")
    if not np.isfinite(loss).any():
        nothing(ax, "no finite held-out loss after step 0")
        return ax
    if floor is not None:
        ax.axhspan(*floor, color=color(2), alpha=0.15, linewidth=0, label=floor_words or "95 % interval of the floor")
    for index, (name, (x, y)) in enumerate(fits.items()):
        ax.plot(as_floats(x), as_floats(y), color=color(index), linestyle=("-", "--")[index % 2], label=name, zorder=2)
    ax.plot(steps, loss, linestyle="", marker="o", color="black", markersize=4, label="held-out loss", zorder=3)
    if predicted_from is not None:
        ax.axvline(predicted_from, color="black", linestyle=":", linewidth=1, label="right of it: predicted")
    if known_floor is not None:
        reference(ax, known_floor, "entropy of the data", color=WARNING, style="-.")
    # a band up to many times the loss (a floor that is not identified) must not flatten the curve
    low, high = np.nanmin(loss), np.nanmax(loss)
    bottom = min([low] + [end for end in (*(floor or ()), known_floor) if end is not None])
    ax.set_ylim(bottom - 0.06 * (high - bottom or 1), high + 0.5 * (high - bottom or 1))  # room for the legend
    legend(ax, loc="upper right")
    return ax


def overlay(curves: Sequence[tuple[Any, Any]], ax: Axes | None = None, *, labels: Sequence[str],
            values: Sequence[float] | None = None, value_name: str = "", ylabel: str = "held-out loss (nats/token)",
            diverged: Sequence[int | None] | None = None) -> Axes:
    """Curves of several runs: named at their ends up to eight, beyond that coloured by a value with a colour bar.

    Args:
        curves: Steps and values of every run.
        labels: A short name for each.
        values: What to colour more than eight runs by, such as their ranks; their order where there is none.
        value_name: Of the colour bar.
        ylabel: What the curves show, with the unit.
        diverged: First non-finite step of every run, or None.
    """
    ax = own_axes(ax)
    series = [(as_floats(x), as_floats(y)) for x, y in curves]
    many = len(series) > MOST_LABELS
    numbers = np.asarray(values if values is not None else range(len(series)), dtype=float)
    tints = _tints(numbers) if many else None
    ends = []
    for index, (x, y) in enumerate(series):
        tint = to_hex(tints.to_rgba(numbers)[index]) if tints else color(index)
        finite = np.isfinite(y)
        if finite.any():
            ax.plot(x, y, color=tint, linewidth=1.3, marker="." if len(x) <= 40 else "", alpha=0.8 if many else 1)
            ends.append((float(x[finite][-1]), float(y[finite][-1]), labels[index], tint))
            if diverged is not None and diverged[index] is not None:
                ax.plot(x[finite][-1], y[finite][-1], marker="X", markersize=8, color=tint, linestyle="", zorder=4)
    step_axis(ax)
    ax.set_ylabel(ylabel)
    if diverged is not None and any(step is not None for step in diverged):
        ax.plot([], [], marker="X", markersize=8, linestyle="", color="black", label="diverged after this")
        legend(ax, least=1)
    lowest = min((float(np.nanmin(y)) for _, y in series if np.isfinite(y).any()), default=0.0)
    highest = max((float(np.nanmax(y)) for _, y in series if np.isfinite(y).any()), default=0.0)
    if lowest > 0 and highest > _MANY_TIMES * lowest:
        log_ticks(ax.yaxis)
    if not ends:
        nothing(ax, "no run has a finite value")
    elif tints is not None:
        assert ax.figure is not None
        bar = ax.figure.colorbar(tints, ax=ax, label=value_name or "run, in the order given")
        if isinstance(tints.norm, LogNorm):
            log_ticks(bar.ax.yaxis, numbers)
    else:
        label_ends(ax, ends)
    return ax


def _tints(numbers: np.ndarray) -> ScalarMappable:
    low, high = float(numbers.min()), float(numbers.max())
    if low > 0 and high / low >= 8:
        return ScalarMappable(LogNorm(low, high), SEQUENTIAL)
    return ScalarMappable(Normalize(low, high if high > low else low + 1), SEQUENTIAL)
