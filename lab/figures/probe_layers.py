"""What probes read, layer by layer: accuracy beside its band and baselines, and differences from zero."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator

from lab.figures.arrays import as_floats
from lab.figures.layout import own_axes
from lab.figures.theme import MUTED, color, dress, legend

EMBEDDING = -1  # where the embedding stands on the axis of layers
_MARKERS = ("o", "s", "D", "^", "v", "P")
_APART = 0.12


@dataclass(frozen=True)
class Line:
    """A curve over layers.

    Attributes:
        values: [L].
        ends: [L, 2], its interval; None where it has none.
        dashed: Whether it is a baseline rather than what is asked about.
        tint: Which of the theme's colours, so that one thing has one colour in all panels; None: in order.
    """

    values: Any
    ends: Any = None
    dashed: bool = False
    tint: int | None = None


def accuracy_by_layer(layers: Sequence[int], lines: Mapping[str, Line], ax: Axes | None = None, *, band: Any = None,
                      references: Mapping[str, float] | None = None, covers: str = "", title: str = "",
                      ylabel: str = "accuracy (share of rows)", least: int = 1) -> Axes:
    """Accuracy over layers on a scale from 0 to 1, with the band of permuted labels and level baselines.

    Args:
        layers: [L], -1 for the embedding.
        lines: Name -> curve.
        band: [L, 2], the middle 95 % under permuted labels.
        references: Name -> accuracy that does not depend on the layer, such as of the most frequent class.
        covers: What the intervals cover, for the legend.
        title: Above the axes.
        ylabel: What is drawn, with its unit.
        least: Curves from which on there is a legend; more than there are leaves it out.
    """
    ax = own_axes(ax)
    x = _layers(ax, layers)
    if band is not None:
        low, high = as_floats(band).T
        ax.fill_between(*_wide(x, low, high), color=MUTED, alpha=0.25, linewidth=0, step=None,
                        label="permuted labels, middle 95 %")
    for number, (name, value) in enumerate((references or {}).items()):
        ax.axhline(value, color="black", linestyle=((0, (1, 1.5)), (0, (5, 1.5, 1, 1.5)))[number % 2], linewidth=1.1,
                   label=name, zorder=2)
    _curves(ax, x, lines, covers)
    ax.set(ylim=(-0.02, 1.02), ylabel=ylabel)
    ax.set_title(title, loc="left")
    if least <= len(lines):
        legend(ax)
    return ax


def difference_by_layer(layers: Sequence[int], lines: Mapping[str, Line], ax: Axes | None = None, *, covers: str = "",
                        title: str = "", ylabel: str, zero: str = "no difference", least: int = 1) -> Axes:
    """Differences over layers around zero, with their intervals.

    Args:
        layers: [L], -1 for the embedding.
        lines: Name -> curve.
        covers: What the intervals cover, for the legend.
        title: Above the axes.
        ylabel: What minus what, with its unit.
        zero: What zero means, for the legend.
        least: As in `accuracy_by_layer`.
    """
    ax = own_axes(ax)
    x = _layers(ax, layers)
    ax.axhline(0, color="black", linewidth=1.1, linestyle=":", label=f"0: {zero}", zorder=1)
    _curves(ax, x, lines, covers)
    every = np.concatenate([as_floats(line.values if line.ends is None else line.ends).ravel() for line in lines.values()])
    low, high = min(float(np.nanmin(every)), -0.05), max(float(np.nanmax(every)), 0.05)  # zero is always seen
    ax.set(ylim=(low - 0.08 * (high - low), high + 0.08 * (high - low)), ylabel=ylabel)
    ax.set_title(title, loc="left")
    if least <= len(lines):
        legend(ax)
    return ax


def _layers(ax: Axes, layers: Sequence[int]) -> np.ndarray:
    """An axis of layers that begins with the embedding where it is among them; returns the places on it."""
    dress(ax)
    x = np.asarray(layers, dtype=float)
    ax.set_xlabel("layer (emb: what the first one receives)" if EMBEDDING in layers else "layer")
    ax.set_xlim(x.min() - 0.5, x.max() + 0.5)
    whole = [layer for layer in MaxNLocator(nbins=10, integer=True).tick_values(0, max(layers)) if 0 <= layer <= max(layers)]
    ax.set_xticks(([EMBEDDING] if EMBEDDING in layers else []) + [round(layer) for layer in whole])
    ax.xaxis.set_major_formatter(FuncFormatter(lambda place, _: "emb" if round(place) == EMBEDDING else f"{place:.0f}"))
    return x


def _wide(x: np.ndarray, low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A band reaches half a layer beyond its ends, so that one of a single layer can be seen."""
    return (np.concatenate([[x[0] - 0.4], x, [x[-1] + 0.4]]), np.concatenate([low[:1], low, low[-1:]]),
            np.concatenate([high[:1], high, high[-1:]]))


def _curves(ax: Axes, x: np.ndarray, lines: Mapping[str, Line], covers: str) -> None:
    spread = min(_APART, 0.5 / max(1, len(lines)))
    for number, (name, line) in enumerate(lines.items()):
        tint = color(number if line.tint is None else line.tint)
        place = x + spread * (number - (len(lines) - 1) / 2)
        values = as_floats(line.values)
        ax.plot(place, values, color=tint, linestyle="--" if line.dashed else "-", linewidth=1.4, label=name, zorder=3,
                marker=_MARKERS[(number if line.tint is None else line.tint) % len(_MARKERS)],
                markersize=4.5 if len(x) < 16 else 3, markerfacecolor="white" if line.dashed else tint)
        if line.ends is not None:
            ax.errorbar(place, values, yerr=np.maximum(np.abs(as_floats(line.ends).T - values), 0), fmt="none", ecolor=tint,
                        capsize=2 if len(x) < 16 else 0, linewidth=1, zorder=3)
    if any(line.ends is not None for line in lines.values()):
        ax.plot([], [], color="black", linewidth=1.1, marker="|", linestyle="",
                label=f"95 % interval over {covers}" if covers else "95 % interval")
