"""Accuracy during pretraining, by category."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from lab.figures.arrays import as_floats
from lab.figures.direct_labels import label_ends
from lab.figures.layout import own_axes
from lab.figures.theme import MUTED, color, nothing
from lab.figures.ticks import step_axis


def accuracy_by_category(steps: Any, accuracies: Mapping[str, Any], ax: Axes | None = None, *,
                         chance: Mapping[str, float] | None = None) -> Axes:
    """Held-out accuracy of every category over training, labelled at the line's end; chance as a tick at the left.

    Args:
        steps: (N,) steps.
        accuracies: Category -> (N,) accuracy between 0 and 1; nan where not measured.
        chance: Category -> accuracy of guessing.
    """
    ax = own_axes(ax)
    steps = as_floats(steps)
    ends = []
    for index, (name, values) in enumerate(accuracies.items()):
        values = as_floats(values)
        measured = np.isfinite(values)
        if not measured.any():
            continue
        ax.plot(steps[measured], values[measured], color=color(index), marker="." if measured.sum() <= 40 else "")
        ends.append((float(steps[measured][-1]), float(values[measured][-1]), f"{name} {values[measured][-1]:.2f}",
                     color(index)))
    step_axis(ax, "training step")
    ax.set(ylabel="held-out accuracy (share of questions)", ylim=(-0.02, 1.04))
    for index, name in enumerate(accuracies):
        if chance and name in chance:
            ax.axhline(chance[name], color=color(index), linestyle=":", linewidth=1, zorder=1)
    if not ends:
        nothing(ax, "no accuracy was measured")
        return ax
    label_ends(ax, ends)
    if chance:
        ax.set_title("dotted: chance, by colour", loc="left", fontsize=9, color=MUTED)
    return ax
