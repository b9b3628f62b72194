"""Learning against forgetting, arm by arm, and how many directions a whole model's update has."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.ticker import MaxNLocator

from lab.figures.arrays import as_floats
from lab.figures.layout import own_axes
from lab.figures.theme import MUTED, SEQUENTIAL, WARNING, color, legend, nothing, reference


def trajectories(arms: Mapping[str, Sequence[tuple[Any, Any]]], ax: Axes | None = None, *, xlabel: str, ylabel: str) -> Axes:
    """What was lost against what was learned along training: an arm a colour, a seed a thin line, the mean a thick one.

    All start at the bare base, in the origin; a circle is a checkpoint of the mean and a larger one the end. The lower of
    two curves loses less at the same learning.

    Args:
        arms: By name, (C,) learned and (C,) lost of each seed, the bare base first.
        xlabel: What is learned, with the unit.
        ylabel: What is lost, with the unit.
    """
    ax = own_axes(ax)
    ax.set(xlabel=xlabel, ylabel=ylabel)
    if not any(arms.values()):
        nothing(ax, "no arm has a training that ran to its end")
        return ax
    reference(ax, 0.0, "bare base: nothing lost")
    for index, (name, seeds) in enumerate(arms.items()):
        pairs = [(as_floats(learned), as_floats(lost)) for learned, lost in seeds]
        if not pairs:
            continue
        tint = color(index)
        if len(pairs) > 1:
            for learned, lost in pairs:
                ax.plot(learned, lost, color=tint, linewidth=0.8, alpha=0.45, zorder=2)
        learned, lost = (np.mean([pair[axis] for pair in pairs], axis=0) for axis in (0, 1))
        label = f"{name}, mean of {len(pairs)} seeds" if len(pairs) > 1 else name
        ax.plot(learned, lost, color=tint, linewidth=1.8, marker="o", markersize=4, label=label, zorder=3)
        ax.plot(learned[-1], lost[-1], color=tint, marker="o", markersize=9, zorder=4)
    legend(ax, least=1)
    return ax


def rates_tried(arms: Mapping[str, tuple[Any, Any]], ax: Axes | None = None, *, unit: str = "nats/token") -> Axes:
    """Last held-out loss by learning rate, an arm a line; the rate chosen is ringed.

    Args:
        arms: By name, (N,) rates rising and (N,) losses, nan where a training diverged.
        unit: Of the loss.
    """
    from lab.figures.ranks import around, mark_diverged
    from lab.figures.ticks import log_ticks

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
        ax.axhline(paper, color="black", linestyle=":", linewidth=1.2, zorder=1, label="paper: W_q of Llama-2-7B, above")
    ax.set_xticks(range(kinds), roles, rotation=30 if kinds > 5 else 0, ha="right" if kinds > 5 else "center")
    ax.set(xlim=(-0.6, kinds - 0.4), ylim=(0, 1.05), ylabel="directions that hold 90 % of the\nsquared singular values "
           "(share of full rank)")
    ax.grid(False, axis="x")
    legend(ax, loc="upper left", ncols=1)
    if layers > 1:
        assert ax.figure is not None
        ax.figure.colorbar(depth, ax=ax, label="layer", ticks=MaxNLocator(integer=True))
    return ax
