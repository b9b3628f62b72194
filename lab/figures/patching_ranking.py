"""What patching the best few places together does, by how they were ranked."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from lab.figures.arrays import as_floats
from lab.figures.layout import own_axes
from lab.figures.theme import MUTED, color, legend

_MARKERS = ("o", "s", "D", "^")


def by_ranking(effects: Mapping[str, Any], ax: Axes | None = None, *, total: float, covers: str, pool: int,
               title: str = "") -> Axes:
    """Effects of the 1, 2, … best places, a line each way of ranking, with intervals; everything patched is a line too.

    Args:
        effects: Ranking -> (k, 3) value, lower and upper end, nats.
        total: What patching everything does, nats.
        covers: What the intervals cover.
        pool: How many places were ranked.
        title: Above the axes.
    """
    ax = own_axes(ax, width=5.4, height=4.0)
    for index, (name, values) in enumerate(effects.items()):
        value, low, high = as_floats(values).T
        aside = 0.06 * (2 * index - len(effects) + 1)  # side by side, since good rankings lie on one another
        ax.errorbar(np.arange(1, len(value) + 1) + aside, value, yerr=[value - low, high - value], capsize=2.5,
                    marker=_MARKERS[index % len(_MARKERS)], markersize=5, linewidth=1.2, color=color(index), label=name)
    ax.axhline(total, color=MUTED, linestyle=":", linewidth=1.4, zorder=1, label="everything patched")
    ax.axhline(0, color="black", linewidth=0.8)
    ax.set_xticks(range(1, max(len(as_floats(values)) for values in effects.values()) + 1))
    ax.set(xlabel=f"best places patched together, of {pool}", ylabel="effect on the answer (nats)")
    ax.set_title(title, loc="left", fontsize=9.5)
    low, high = ax.get_ylim()
    ax.set_ylim(low, high + 0.06 * (high - low))
    legend(ax, title=f"ranked by; 95 % interval over {covers}", title_fontsize=8, fontsize=8, loc="upper center",
           bbox_to_anchor=(0.5, -0.16), ncols=3)
    return ax
