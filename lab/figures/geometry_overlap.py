"""How far the directions of two updates overlap: LoRA's Figure 3, and the same along its diagonal beside chance."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lab.figures.arrays import as_floats
from lab.figures.heat import heat_map, span
from lab.figures.layout import grid, panels
from lab.figures.theme import MUTED, color, legend


def overlap_maps(values: Mapping[str, Any], chance: Mapping[str, Any], names: Mapping[str, str], *, one: str, other: str
                 ) -> Figure:
    """A figure of one map a kind of directions: φ(i, j), mean over modules, on one scale from 0, with chance marked.

    Args:
        values: By kind, (R, R').
        chance: By kind, (R, R') of random subspaces.
        names: By kind, what it is called.
        one: What the training along the rows is called.
        other: What the training along the columns is called.
    """
    figure, axes = grid(2, -(-len(values) // 2), width=4.6, height=3.7)
    shared = span(*values.values(), *chance.values(), zero=True)
    for ax, (kind, each) in zip(axes.flat, values.items(), strict=False):
        shown = as_floats(each)
        rows, columns = ([str(index + 1) for index in range(size)] for size in shown.shape)
        heat_map(shown, rows, columns, ax, label="φ(i, j)", ylabel=f"first i of {one}", xlabel=f"first j of {other}",
                 written=None if len(columns) <= 8 else "", norm=shared)
        by_chance = as_floats(chance[kind])
        _mark(ax, float(by_chance.min()), float(by_chance.max()))
        ax.set_title(f"{names[kind]}\nφ(1, 1) = {shown[0, 0]:.3f}, by chance {by_chance[0, 0]:.3f}", loc="left")
    for spare in list(axes.flat)[len(values):]:
        spare.remove()
    return figure


def _mark(ax: Axes, low: float, high: float) -> None:
    """Where on the colour bar the overlaps of random subspaces lie, from the smallest cell to the largest."""
    bar = ax.images[0].colorbar
    assert bar is not None
    for place in (low, high):
        bar.ax.axhline(place, color="white", linewidth=2.6)
        bar.ax.axhline(place, color=color(1), linewidth=1.4)
    bar.set_label("φ(i, j); lines: chance, smallest and largest", fontsize=9)


def overlap_curves(values: Mapping[str, Any], null: Mapping[str, Any], names: Mapping[str, str], labels: Sequence[str]
                   ) -> Figure:
    """A figure of one panel a kind of directions: φ(i, i) of the first i directions against i, a line for each pair.

    Args:
        values: By kind, (pairs, R).
        null: By kind, (draws, R) of random subspaces of the first pair's sizes.
        names: By kind, what it is called.
        labels: Of the pairs.
    """
    figure, axes = panels(len(values), width=4.8, height=3.3)
    top = min(1.02, 1.25 * max(np.nanmax(as_floats(each)) for kind in values for each in (values[kind], null[kind])))
    for ax, (kind, each) in zip(axes, values.items(), strict=True):
        lines, drawn = as_floats(each), as_floats(null[kind])
        index = np.arange(1, lines.shape[1] + 1)
        low, high = np.percentile(drawn, [2.5, 97.5], axis=0)
        ax.fill_between(index, low, high, color=MUTED, alpha=0.3, linewidth=0, label="random subspaces, 95 % of draws")
        ax.plot(index, drawn.mean(0), color=MUTED, linestyle="--", linewidth=1, marker="_" if len(index) == 1 else "")
        for number, (line, label) in enumerate(zip(lines, labels, strict=True)):
            ax.plot(index, line, color=color(number), marker="o", markersize=4, label=label)
        ax.set(xlabel="first i directions", ylabel="φ(i, i), mean over modules", ylim=(0, top))
        ax.set_xticks(index[::max(1, len(index) // 8)])
        ax.set_title(names[kind], loc="left")
    legend(axes[0], least=1)
    return figure
