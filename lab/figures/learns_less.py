"""The rates that each arm was given, and how many directions a whole model's update has."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.ticker import MaxNLocator

from lab.figures.arrays import as_floats
from lab.figures.layout import own_axes
from lab.figures.ranks import around, mark_diverged
from lab.figures.theme import MUTED, SEQUENTIAL, WARNING, color, legend
from lab.figures.ticks import log_ticks


def rates_tried(arms: Mapping[str, tuple[Any, Any]], ax: Axes | None = None, *, unit: str = "nats/token") -> Axes:
    """Last held-out loss by learning rate, an arm a line; the rate chosen is ringed.

    Args:
        arms: By name, (N,) rates rising and (N,) losses, nan where a training diverged.
        unit: Of the loss.
    """
    ax = own_axes(ax)
    ax.set(xlabel="learning rate", ylabel=f"held-out loss ({unit})")
    every = np.unique(np.concatenate([as_floats(rates) for rates, _ in arms.values()]))
    for index, (name, (rates, losses)) in enumerate(arms.items()):
        x, y = as_floats(rates), as_floats(losses)
        ax.plot(x, y, color=color(index), marker="o", markersize=4, linewidth=1.4, label=name)
        if np.isfinite(y).any():
            best = int(np.nanargmin(y))
            ax.plot(x[best], y[best], color=color(index), marker="o", markersize=11, fillstyle="none", markeredgewidth=1.6)
        mark_diverged(ax, x[~np.isfinite(y)])
    ax.plot([], [], linestyle="", color=MUTED, marker="o", markersize=11, fillstyle="none", label="chosen")
    log_ticks(ax.xaxis, every)
    around(ax, every)
    ax.margins(y=0.12)
    legend(ax)
    return ax


def directions(share: Any, weight: Any, gaussian: Any, roles: Sequence[str], ax: Axes | None = None, *, paper: float | None
               = None) -> Axes:
    """Rank-90 of a whole model's update as a share of full rank, by kind of matrix, beside noise and the base's weight.

    Args:
        share: (L, M), of the update; nan where a layer lacks a matrix.
        weight: (L, M), of the base's weight.
        gaussian: (M,), of a Gaussian matrix of the same shape.
        roles: Names of the M kinds.
        paper: What the paper reports, as a line.
    """
    ax = own_axes(ax, width=7.2)
    share, weight, gaussian = as_floats(share), as_floats(weight), as_floats(gaussian)
    layers, kinds = share.shape
    depth = ScalarMappable(Normalize(0, max(1, layers - 1)), SEQUENTIAL)
    spot = np.linspace(-0.24, 0.24, layers) if layers > 1 else np.zeros(1)
    for kind in range(kinds):
        ax.scatter(kind + spot, weight[:, kind], s=22, marker="s", facecolors="none", edgecolors=MUTED, linewidths=0.9,
                   label="the base's weight" if kind == 0 else None, zorder=2)
        ax.scatter(kind + spot, share[:, kind], s=30, c=depth.to_rgba(np.arange(layers)), linewidths=0.4, edgecolors="black",
                   label="the update, a layer a point" if kind == 0 else None, zorder=3)
        ax.plot([kind - 0.36, kind + 0.36], [gaussian[kind]] * 2, color=WARNING, linewidth=2,
                label="Gaussian matrix of the same shape" if kind == 0 else None, zorder=1)
    if paper is not None:
        ax.axhline(paper, color="black", linestyle=":", linewidth=1.2, zorder=1,
                   label="W_q of Llama-2-7B in the paper: above this")
    ax.set_xticks(range(kinds), roles, rotation=30 if kinds > 5 else 0, ha="right" if kinds > 5 else "center")
    ax.set(xlim=(-0.6, kinds - 0.4), ylim=(0, 1.05), ylabel="directions that hold 90 % of the\nsquared singular values "
           "(share of full rank)")
    ax.grid(False, axis="x")
    legend(ax, loc="upper left", ncols=1)
    if layers > 1:
        assert ax.figure is not None
        ax.figure.colorbar(depth, ax=ax, label="layer", ticks=MaxNLocator(integer=True))
    return ax
