"""What changes with the rank: directions used, size, intruders, strength of the weight there."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lab.figures.arrays import as_floats
from lab.figures.layout import panels
from lab.figures.ranks import around
from lab.figures.theme import MUTED, color, legend
from lab.figures.ticks import log_ticks


def by_rank(ranks: Any, values: Sequence[tuple[str, Any, Any, str]]) -> Figure:
    """A figure of one panel a measurement; every training is a point, the line joins the means of ranks.

    Args:
        ranks: (N,) of every training; seeds repeat it.
        values: Title, (N,) values, (N,) means of their null or None, and the label of the axis with its unit.
    """
    figure, axes = panels(len(values), width=4.8, height=3.3)
    for ax, (title, each, null, label) in zip(axes, values, strict=True):
        _panel(ax, as_floats(ranks), as_floats(each), None if null is None else as_floats(null))
        ax.set(xlabel="LoRA rank", ylabel=label)
        ax.set_title(title, loc="left")
    legend(axes[0], least=1)
    return figure


def _panel(ax: Axes, ranks: np.ndarray, values: np.ndarray, null: np.ndarray | None) -> None:
    distinct = np.unique(ranks)
    known = np.isfinite(values)
    ax.scatter(ranks[known], values[known], color=color(0), s=26, alpha=0.7, linewidths=0, zorder=3, label="one training")
    ax.plot(distinct, [_mean(values[ranks == rank]) for rank in distinct], color=color(0), linewidth=1.4,
            label="mean of a rank")
    if null is not None:
        ax.plot(distinct, [_mean(null[ranks == rank]) for rank in distinct], color=MUTED, linestyle="--", marker="_",
                label="null")
    around(ax, distinct)
    log_ticks(ax.xaxis, distinct)
    low, high = ax.get_ylim()
    ax.set_ylim(min(0.0, low), high)


def _mean(values: np.ndarray) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else float("nan")
