"""What probes read, layer by layer: accuracy beside its band and baselines, and differences from zero."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
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
                      ylabel: str = "accuracy (share of rows)", own_legend: bool = True) -> Axes:
    """Accuracy over layers on a scale from 0 to 1, with the band of permuted labels and level baselines.

    Args:
        layers: [L], -1 for the embedding.
        lines: Name -> curve.
        band: [L, 2], the middle 95 % under permuted labels.
        references: Name -> accuracy that does not depend on the layer, such as of the most frequent class.
        covers: What the intervals cover, for the legend.
        title: Above the axes.
        ylabel: What is drawn, with its unit.
        own_legend: Whether it gets a legend; else see `one_legend`.
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
    if own_legend:
        legend(ax)
    return ax


def difference_by_layer(layers: Sequence[int], lines: Mapping[str, Line], ax: Axes | None = None, *, covers: str = "",
                        title: str = "", ylabel: str, zero: str = "no difference",
                        limits: tuple[float, float] | None = None, own_legend: bool = True) -> Axes:
    """Differences over layers around zero, with their intervals.

    Args:
        layers: [L], -1 for the embedding.
        lines: Name -> curve.
        covers: What the intervals cover, for the legend.
        title: Above the axes.
        ylabel: What minus what, with its unit.
        zero: What zero means, for the legend.
        limits: Of the scale, where several axes share it, from `limits_of`.
        own_legend: As in `accuracy_by_layer`.
    """
    ax = own_axes(ax)
    x = _layers(ax, layers)
    ax.axhline(0, color="black", linewidth=1.1, linestyle=":", label=f"0: {zero}", zorder=1)
    _curves(ax, x, lines, covers)
    ax.set(ylim=limits or limits_of(lines.values()), ylabel=ylabel)
    ax.set_title(title, loc="left")
    if own_legend:
        legend(ax)
    return ax


def limits_of(lines: Iterable[Line]) -> tuple[float, float]:
    """Returns the ends of a scale that holds all curves, their intervals and zero, never so short that noise looks large."""
    every = np.concatenate([as_floats(line.values if line.ends is None else line.ends).ravel() for line in lines])
    low, high = min(float(np.nanmin(every)), -0.05), max(float(np.nanmax(every)), 0.05)
    return low - 0.08 * (high - low), high + 0.08 * (high - low)


def one_legend(figure: Figure, columns: int = 4) -> None:
    """Writes one legend below all axes, of everything that any of them names, where it covers no curve."""
    named: dict[str, Artist] = {}
    for ax in figure.axes:
        for handle, label in zip(*ax.get_legend_handles_labels(), strict=True):
            named.setdefault(label, handle)
    figure.legend(list(named.values()), list(named), loc="outside lower center", ncols=columns, fontsize=8.5, frameon=False)


def _layers(ax: Axes, layers: Sequence[int]) -> np.ndarray:
    """An axis of layers that begins with the embedding where it is among them; returns the places on it."""
    dress(ax)
    x = np.asarray(layers, dtype=float)
    ax.set_xlabel("layer (emb: what the first one receives)" if EMBEDDING in layers else "layer")
    first = max(min(layers), 0)
    crowded = EMBEDDING in layers and max(layers) > 12  # no room for 0 beside the embedding
    whole = MaxNLocator(nbins=10, integer=True, min_n_ticks=1).tick_values(first, max(max(layers), first + 1))
    ax.set_xticks(([EMBEDDING] if EMBEDDING in layers else [])
                  + [round(layer) for layer in whole if first + crowded <= layer <= max(layers)])
    ax.set_xlim(x.min() - 0.5, x.max() + 0.5)
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
