"""Accuracy before and after training, and the points lost with their intervals."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lab.figures.arrays import as_floats
from lab.figures.named_rows import beside, keys_below, name_rows, p_words, row_figure
from lab.figures.theme import MUTED, color

TUNED = "D"


def accuracy_change(suites: Sequence[str], base: Any, tuned: Any, chance: Any, lost: Any, p: Any, readings: Sequence[str],
                    *, tolerated: float = 2.0, covers: str = "items") -> Figure:
    """A figure of one row a suite: accuracy of base and tuned model beside chance, and lost points with what they say.

    Args:
        suites: Names, S of them.
        base: (S,) accuracy, 0 to 1.
        tuned: (S,) likewise.
        chance: (S,) accuracy of a blind pick; nan where there is none.
        lost: (S, 3) lost points and the ends of their 95 % interval, positive when the tuned model is worse.
        p: (S,) of no change, adjusted for all suites.
        readings: (S,) what a loss says in words, such as `not lost, few flips`.
        tolerated: Points; a loss is excluded where the interval ends below it.
        covers: What the intervals cover.
    """
    figure, (left, right) = row_figure(len(suites), 2, width=4.6, per_row=0.5, around=1.5)
    _accuracies(left, suites, *(100 * as_floats(each) for each in (base, tuned, chance)))
    _lost(right, as_floats(lost), tolerated, covers)
    beside(right, [f"{reading}\n{p_words(each)}" for reading, each in zip(readings, as_floats(p), strict=True)],
           heading="p: adjusted for all suites")
    keys_below(figure, left, right)
    return figure


def _accuracies(ax: Axes, suites: Sequence[str], base: np.ndarray, tuned: np.ndarray, chance: np.ndarray) -> None:
    places = name_rows(ax, suites)
    ax.hlines(places, base, tuned, color=MUTED, linewidth=2, zorder=2)
    some = np.isfinite(chance)
    if some.any():
        ax.vlines(chance[some], places[some] - 0.32, places[some] + 0.32, color=MUTED, linestyle=":", linewidth=1.8,
                  label="chance")
    # hollow and larger, so that both are seen where they fall together
    ax.scatter(base, places, s=75, facecolor="none", edgecolor=color(0), linewidth=1.8, zorder=4, label="base")
    ax.scatter(tuned, places, s=26, color=color(1), marker=TUNED, zorder=3, label="tuned")
    ax.set(xlabel="accuracy (%)", xlim=(-3, 103))
    ax.set_title("right answers", loc="left")


def _lost(ax: Axes, lost: np.ndarray, tolerated: float, covers: str) -> None:
    ax.axvspan(-tolerated, tolerated, color=color(2), alpha=0.15, linewidth=0, zorder=0,
               label=f"within ±{tolerated:g} points")
    ax.axvline(0, color="black", linewidth=0.9, zorder=1)
    ax.errorbar(lost[:, 0], np.arange(len(lost)), xerr=np.abs(lost[:, 1:].T - lost[:, 0]), fmt=TUNED, color=color(1),
                markersize=5, capsize=4, linewidth=1.5, zorder=3, label=f"95 % interval over {covers}")
    low, high = min(float(np.nanmin(lost)), -1.5 * tolerated), max(float(np.nanmax(lost)), 1.5 * tolerated)
    room = 0.06 * (high - low)
    ax.set(xlabel="points lost (right of 0: tuned is worse)", xlim=(low - room, high + room))
    ax.set_title("base − tuned", loc="left")
    ax.tick_params(axis="y", labelleft=False, length=0)
    ax.grid(axis="y", visible=False)
