"""What patching a few named places together does, by how the places were named."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from lab.figures.arrays import as_floats
from lab.figures.layout import own_axes
from lab.figures.theme import color, legend, reference

_MARKERS = ("o", "s")


def by_ranking(effects: Mapping[str, Any], names: Sequence[str], ax: Axes | None = None, *, total: float, covers: str,
               title: str = "") -> Axes:
    """Effects of sets of places, a column each way of naming them, with intervals; the effect of everything is a line.

    Args:
        effects: Direction -> (N, 3) value, lower and upper end, nats.
        names: N ways of naming places; of several words, they are broken into lines.
        total: What patching everything does, nats.
        covers: What the intervals cover.
        title: Above the axes.
    """
    ax = own_axes(ax, width=6.8, height=4.0)
    for index, (direction, values) in enumerate(effects.items()):
        value, low, high = as_floats(values).T
        place = np.arange(len(names)) + 0.14 * (2 * index - len(effects) + 1)
        ax.errorbar(place, value, yerr=[value - low, high - value], fmt=_MARKERS[index % 2], color=color(index), capsize=3,
                    label=direction)
    ax.axhline(0, color="black", linewidth=0.8)
    reference(ax, total, "everything patched")
    ax.set_xticks(range(len(names)), [name.replace(" ", "\n") for name in names])
    ax.set(ylabel="effect on the answer (nats)", xlabel="places named by")
    ax.set_title(title, loc="left")
    ax.margins(x=0.08, y=0.12)
    legend(ax, least=1, title=f"95 % interval over {covers}", title_fontsize=8)
    return ax
