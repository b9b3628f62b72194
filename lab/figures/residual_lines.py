"""Lines over the depth of a model, with their intervals: by layer, or by place on the stream, the embedding first."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from lab.figures.arrays import as_floats
from lab.figures.layout import own_axes
from lab.figures.theme import MUTED, color, dress, legend, nothing
from lab.figures.ticks import log_ticks

EMBEDDING = "emb."
MODELS = (("-", "o"), ("--", "x"), ("-.", "^"), (":", "s"))  # line style and marker of models that lie over each other
NULL = (MUTED, "--", "")  # look of what a line is held against
_MARKERS = ("o", "s", "D", "^", "v", "P", "X", "<")
_SINGLE = 0.12  # layers by which several marks at one layer stand apart
_WIDE = 20.0  # ratio from which sizes are drawn on a logarithmic axis


def by_layer(lines: Mapping[str, Any], ax: Axes | None = None, *, ylabel: str, intervals: Mapping[str, Any] | None = None,
             covers: str = "", looks: Mapping[str, tuple[str, str, str]] | None = None, embedding: bool = False,
             zero: str | None = None, sizes: bool = False, keys: bool = True, xlabel: str = "") -> Axes:
    """Values by layer as lines, each with its 95 % interval as a band.

    Args:
        lines: Name -> (L,), or (1 + L,) with the embedding first; nan where there is nothing.
        ylabel: What the values are, with the unit.
        intervals: Name -> (…, 2), lower and upper end.
        covers: What the intervals cover, for the legend.
        looks: Name -> colour, line style and marker; others get the next of the theme.
        embedding: Whether the first value of each line is the embedding's.
        zero: What zero means, in the legend beside the look of a line there; a line without words for an empty text, none
            for None.
        sizes: Whether values are never negative: the axis then starts at zero, or is logarithmic where they span much.
        keys: Whether there is a legend.
        xlabel: Instead of `layer`, or `after layer` with the embedding.
    """
    ax = own_axes(ax)
    drawn = {name: as_floats(values) for name, values in lines.items()}
    ends = {name: as_floats(values) for name, values in (intervals or {}).items() if name in drawn}
    places = max(len(values) for values in drawn.values())
    depth_axis(ax, places - embedding, embedding=embedding)
    ax.set(ylabel=ylabel, xlabel=xlabel or ax.get_xlabel())
    if not any(np.isfinite(values).any() for values in drawn.values()):
        nothing(ax, "nothing was measured", keep_x=True)
        return ax
    if zero is not None:
        ax.axhline(0, color=MUTED, linewidth=1.1, linestyle=":", zorder=1, label=zero or None)
    for index, (name, values) in enumerate(drawn.items()):
        tint, style, marker = (looks or {}).get(name) or (color(index), "-", _MARKERS[index % len(_MARKERS)])
        x = np.arange(len(values)) - int(embedding)
        ax.plot(x, values, color=tint, linestyle=style, marker=marker, markersize=4 if places <= 16 else 2.6,
                linewidth=1.5, label=name, zorder=3)
        if name in ends:
            _interval(ax, x, values, ends[name], tint, index - (len(drawn) - 1) / 2)
    if ends:
        ax.fill_between([], [], [], color=MUTED, alpha=0.3, linewidth=0,
                        label=f"95 % interval over {covers}" if covers else "95 % interval")
    if sizes:
        _from_zero(ax, [*drawn.values(), *ends.values()])
    if zero is not None:
        _reach_zero(ax)
    if keys:
        legend(ax)
    return ax


def depth_axis(ax: Axes, layers: int, *, embedding: bool = False) -> None:
    """An x axis of whole layers; with the embedding, it stands before layer 0 and a layer means its output."""
    dress(ax)
    ax.set_xlabel("after layer" if embedding else "layer")
    ax.set_xlim(-0.4 - int(embedding), layers - 0.6)
    if embedding:
        every = next(step for step in (1, 2, 3, 4, 5, 8, 10, 16, 20, 50, 100, 1000) if layers / step <= 12)
        ax.set_xticks([-1, *range(0 if every == 1 else every, layers, every)])
        ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: EMBEDDING if value < 0 else f"{value:.0f}"))
    else:
        ax.xaxis.set_major_locator(MaxNLocator(nbins=12, integer=True, min_n_ticks=1))


def figure_legend(figure: Figure, ax: Axes, *, columns: int = 4) -> None:
    """One legend below all panels of a figure, of what is on these axes; lines would hide behind one on the axes."""
    handles, labels = ax.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=min(columns, len(labels)), fontsize=8.5, frameon=False)


def depth_names(layers: int, *, embedding: bool = False) -> list[str]:
    """The names of layers, or of places on the stream with the embedding first."""
    return [EMBEDDING] * int(embedding) + [str(layer) for layer in range(layers)]


def model_looks(models: Sequence[str]) -> dict[str, tuple[str, str, str]]:
    """A colour, line style and marker a model, by which one is seen under another."""
    return {model: (color(i), *MODELS[i % len(MODELS)]) for i, model in enumerate(models)}


def paired_looks(names: Sequence[str], models: Sequence[str] = ("base", "tuned")) -> dict[str, tuple[str, str, str]]:
    """One colour a name and one line style a model, for lines that are called `name, model`."""
    styles = ("-", "--", "-.", ":")
    return {f"{name}, {model}": (color(i), styles[k % 4], _MARKERS[i % len(_MARKERS)] if k == 0 else "")
            for i, name in enumerate(names) for k, model in enumerate(models)}


def _interval(ax: Axes, x: np.ndarray, values: np.ndarray, ends: np.ndarray, tint: str, aside: float) -> None:
    low, high = ends.T
    alone = ~np.isfinite(np.pad(values, 1, constant_values=np.nan))
    alone = np.isfinite(values) & alone[:-2] & alone[2:]  # a band needs a neighbour
    ax.fill_between(x, low, high, color=tint, alpha=0.17, linewidth=0, zorder=2)
    if alone.any():
        ax.vlines(x[alone] + _SINGLE * aside * (len(x) == 1), low[alone], high[alone], color=tint, linewidth=1.4)


def _from_zero(ax: Axes, every: Sequence[np.ndarray]) -> None:
    flat = np.concatenate([np.ravel(each) for each in every])
    positive = flat[np.isfinite(flat) & (flat > 0)]
    if positive.size and positive.max() > _WIDE * positive.min():
        ax.set_ylim(float(positive.min()) / 1.6, float(positive.max()) * 1.6)
        log_ticks(ax.yaxis)
    else:
        ax.set_ylim(0, float(positive.max()) * 1.12 if positive.size else 1.0)


def _reach_zero(ax: Axes) -> None:
    low, high = ax.get_ylim()
    if not low <= 0 <= high:
        ax.set_ylim(min(low, 0 - 0.05 * high), max(high, 0 - 0.05 * low))
