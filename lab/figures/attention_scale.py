"""The scale of change, which is never negative, spans decades, and is exactly zero where nothing changed."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from lab.figures.theme import dress
from lab.figures.ticks import log_ticks

_WIDE = 20.0


def change_scale(ax: Axes, *values: Any) -> bool:
    """Sets the y axis for these values, logarithmic where they span much; true if it is logarithmic.

    Call it before drawing zeros: on a logarithmic axis they have no place and go through `draw_zeros`.
    """
    every = np.concatenate([np.ravel(value) for value in values])
    positive = every[np.isfinite(every) & (every > 0)]
    wide = bool(positive.size) and float(positive.max() / positive.min()) > _WIDE
    if wide:
        ax.set_ylim(float(positive.min()) / 2, float(positive.max()) * 2)
        log_ticks(ax.yaxis)
    else:
        ax.set_ylim(0, float(positive.max()) * 1.15 if positive.size else 1.0)
    return wide


def draw_zeros(ax: Axes, x: np.ndarray, y: np.ndarray, *, color: str) -> None:
    """Hollow triangles at the foot of a logarithmic axis where a value is exactly zero, named once in the legend."""
    at = x[y == 0]
    if len(at):
        named = "exactly 0" in ax.get_legend_handles_labels()[1]
        ax.plot(at, np.full(len(at), 0.02), transform=ax.get_xaxis_transform(), linestyle="", marker="v", color=color,
                markerfacecolor="white", markersize=6, label=None if named else "exactly 0", clip_on=False, zorder=4)


def layer_axis(ax: Axes, layers: int) -> None:
    """An x axis of layers, each tick a whole one."""
    dress(ax)
    ax.set_xlabel("layer")
    ax.set_xlim(-0.6, layers - 0.4)
    ax.xaxis.set_major_locator(MaxNLocator(nbins=12, integer=True, min_n_ticks=1))
