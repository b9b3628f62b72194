"""Intruder dimensions over thresholds, beside what random directions of the same sizes make."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lab.figures.arrays import as_floats
from lab.figures.layout import panels
from lab.figures.theme import MUTED, color, legend


def intruder_curves(thresholds: Any, counts: Any, null_counts: Any, energy: Any, null_energy: Any, *, names: Sequence[str],
                    k: int, epsilon: float) -> Figure:
    """A figure of two panels: intruders per module, and the energy they hold, against the threshold.

    Args:
        thresholds: (E,) cosines.
        counts: (trainings, E) intruders per module, mean over modules.
        null_counts: (trainings, draws, E) the same of random directions.
        energy: (trainings, E) share of the energy of the k strongest directions, mean over modules.
        null_energy: (trainings, draws, E).
        names: Of the trainings.
        k: Strongest directions that are looked at.
        epsilon: The threshold that verdicts and maps use.
    """
    figure, (left, right) = panels(2, width=5.2, height=3.9)
    _curves(left, thresholds, counts, null_counts, names, epsilon)
    left.set(ylabel=f"intruders per module, of {k}", title="How many")
    _curves(right, thresholds, energy, null_energy, names, epsilon)
    right.set(ylabel=f"share of the energy of the {k} strongest", title="How strong")
    for ax in (left, right):
        ax.set_xlabel("threshold ε: largest cosine with any direction of the weight")
        ax.set_ylim(bottom=0)
        ax.set_title(ax.get_title(), loc="left")
        ax.set_title("")
    legend(left, least=1, loc="upper left")
    return figure


def _curves(ax: Axes, thresholds: Any, values: Any, null: Any, names: Sequence[str], epsilon: float) -> None:
    x, values, null = as_floats(thresholds), as_floats(values), as_floats(null)
    ax.axvline(epsilon, color=MUTED, linestyle=":", linewidth=1)
    for index, name in enumerate(names):
        tint = color(index)
        low, high = np.percentile(null[index], [2.5, 97.5], axis=0)
        single = len(names) == 1
        ax.plot(x, values[index], color=tint, marker="o", markersize=4, label=name, zorder=3)
        ax.plot(x, null[index].mean(0), color=tint, linestyle="--", linewidth=1,
                label="random directions, mean and 95 % of draws" if single else None)
        ax.fill_between(x, low, high, color=tint, alpha=0.18, linewidth=0)
    if len(names) > 1:
        ax.plot([], [], color=MUTED, linestyle="--", linewidth=1, label="random directions, mean and 95 % of draws")
