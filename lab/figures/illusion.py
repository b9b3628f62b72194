"""Intruder dimensions beside forgetting, and what is kept and lost when they are scaled down."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lab.figures.arrays import as_floats
from lab.figures.layout import grid
from lab.figures.theme import MUTED, color, nothing

_MARKERS = "osD^vP*X"


def against_forgetting(count: Any, null_count: Any, lost: Any, norm: Any, arms: Sequence[str], count_left: Any,
                       lost_left: Any, arms_left: Sequence[str], *, count_title: str, partial_title: str, k: int,
                       epsilon: float) -> Figure:
    """A figure of three panels: forgetting against intruders, against size, and what is left of the first without size.

    Args:
        count: (N,) intruders per weight of every training.
        null_count: (N,) those that random directions of the same sizes make.
        lost: (N,) bits per byte.
        norm: (N,) ‖Δ‖ / ‖W‖.
        arms: Of the trainings, such as `r=8`.
        count_left: (M,) what is left of the ranks of intruders, adapters only.
        lost_left: (M,) likewise of forgetting.
        arms_left: Of those.
        count_title: Correlation of the first panel, in words.
        partial_title: Of the third.
        k: Strongest directions that were looked at.
        epsilon: Threshold of an intruder.
    """
    figure, axes = grid(1, 3, width=4.6, height=4.0)
    names = list(dict.fromkeys(arms))
    first, second, third = axes.flat
    first.plot([], [], linestyle="", marker="|", color=MUTED, markersize=9, label="random directions of the same sizes")
    first.hlines(as_floats(lost), as_floats(null_count), as_floats(count), color=MUTED, linewidth=0.8, zorder=1)
    first.plot(as_floats(null_count), as_floats(lost), linestyle="", marker="|", color=MUTED, markersize=9, zorder=1)
    _points(first, count, lost, arms, names)
    first.set(xlabel=f"intruders per weight, of {k} (ε = {epsilon:g})", ylabel="forgetting (bits per byte of documents)")
    first.set_title(f"adapters: {count_title}", loc="left")
    _points(second, norm, lost, arms, names)
    second.set(xlabel="size of the update, ‖Δ‖ / ‖W‖", ylabel="forgetting (bits per byte of documents)")
    second.set_title("size and forgetting", loc="left")
    _points(third, count_left, lost_left, arms_left, names)
    third.set(xlabel="rank by intruders, size taken out", ylabel="rank by forgetting, size taken out")
    third.set_title(f"at equal size: {partial_title}", loc="left")
    handles, labels = first.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=max(1, len(labels)), fontsize=8.5, frameon=False)
    return figure


def scaled_down(saved: Any, cost: Any, forgot: Any, learned: Any, *, arms: Sequence[str], factors: Sequence[float],
                names: Sequence[str]) -> Figure:
    """A figure of two panels a row, one row each group of adapters: forgetting saved and learning lost by factor and arm.

    Args:
        saved: (groups, arms, factors, 3) bits per byte and the 95 % interval.
        cost: (groups, arms, factors, 3) nats per token.
        forgot: (groups,) bits per byte forgotten by the whole adapters.
        learned: (groups,) nats per token.
        arms: In words.
        factors: What was multiplied by.
        names: Of the groups.
    """
    saved, cost = as_floats(saved), as_floats(cost)
    figure, axes = grid(len(names), 2, width=5.6, height=0.9 + 0.42 * len(factors), sharey=True)
    for row, name in enumerate(names):
        axes[row, 0].axvline(as_floats(forgot)[row], color=MUTED, linestyle=":", linewidth=1.2,
                             label="all that was forgotten")
        _arms(axes[row, 0], saved[row], arms, factors)
        _arms(axes[row, 1], cost[row], arms, factors)
        axes[row, 0].set_title(f"{name}: forgot {as_floats(forgot)[row]:.3g} bits per byte", loc="left")
        axes[row, 1].set_title(f"learned {as_floats(learned)[row]:.3g} nats per token", loc="left")
    axes[-1, 0].set_xlabel("forgetting saved (bits per byte), right is better")
    axes[-1, 1].set_xlabel("loss added on what was learned (nats per token), left is better")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), fontsize=8.5, frameon=False)
    return figure


def _points(ax: Axes, x: Any, y: Any, arms: Sequence[str], names: Sequence[str]) -> None:
    x, y = as_floats(x), as_floats(y)
    if not len(x):
        nothing(ax, "no adapter ran to its end")
    for index, name in enumerate(names):
        mine = np.array([arm == name for arm in arms], dtype=bool)
        if mine.any():
            ax.plot(x[mine], y[mine], linestyle="", marker=_MARKERS[index % len(_MARKERS)], markersize=6, color=color(index),
                    alpha=0.85, label=name)
    ax.margins(x=0.08, y=0.08)


def _arms(ax: Axes, values: np.ndarray, arms: Sequence[str], factors: Sequence[float]) -> None:
    places = np.arange(len(factors))
    ax.axvline(0, color=MUTED, linewidth=1.2)
    for index, name in enumerate(arms):
        one = values[index]                                   # factors 3
        ax.errorbar(one[:, 0], places + 0.2 * (index - (len(arms) - 1) / 2), xerr=np.abs(one[:, 1:].T - one[:, 0]),
                    fmt=_MARKERS[index], color=color(index), markersize=5, capsize=3, linewidth=1.2, label=name, zorder=3)
    ax.set_yticks(places, [f"times {factor:g}" for factor in factors])
    ax.set_ylim(len(factors) - 0.5, -0.5)
    ax.margins(x=0.12)
