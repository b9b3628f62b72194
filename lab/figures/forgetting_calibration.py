"""Whether a model knows how sure it may be: reliability before and after training, and the error beside its null."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lab.figures.arrays import as_floats, as_numpy
from lab.figures.layout import own_axes
from lab.figures.named_rows import keys_below, name_rows, row_figure
from lab.figures.theme import MUTED, color, nothing

BINS = 10
_MARKERS = ("o", "D", "s", "^")


def calibration(suites: Sequence[str], confidence: Mapping[str, Any], right: Mapping[str, Any], error: Mapping[str, Any],
                null: Mapping[str, Any], null_high: Mapping[str, Any]) -> Figure:
    """A figure of the reliability over all suites, and of each suite's expected calibration error beside its null.

    Args:
        suites: Names, S of them.
        confidence: By model, such as `base` and `tuned`, (N,) probability of the alternative it ranks first.
        right: By model, (N,) bool, whether that is the right one.
        error: By model, (S,) expected calibration error, 0 to 1.
        null: By model, (S,) mean error of a perfectly calibrated model with these probabilities.
        null_high: By model, (S,) 95th percentile of it.
    """
    figure, (left, rows) = row_figure(max(len(suites), 5), 2, width=4.7, per_row=0.5, around=1.5, share=False)
    reliability(confidence, right, left)
    _errors(rows, suites, error, null, null_high)
    keys_below(figure, left, rows)
    return figure


def reliability(confidence: Mapping[str, Any], right: Mapping[str, Any], ax: Axes | None = None) -> Axes:
    """Share of right answers against how sure the model was, in ten bins, with their 95 % intervals (Wilson, 1927).

    Args:
        confidence: By model, (N,).
        right: By model, (N,) bool.
    """
    ax = own_axes(ax)
    ax.plot([0, 1], [0, 1], color=MUTED, linestyle="--", linewidth=1.2, label="as sure as it is right")
    for index, (name, sure) in enumerate(confidence.items()):
        x, y, low, high, count = _binned(as_floats(sure), as_numpy(right[name]).astype(bool))
        tint = color(index)
        ax.errorbar(x, y, yerr=[y - low, high - y], fmt="none", ecolor=tint, capsize=2.5, linewidth=1, alpha=0.8, zorder=2)
        ax.plot(x, y, color=tint, linewidth=1, alpha=0.6, zorder=2)
        ax.scatter(x, y, s=14 + 90 * count / count.sum(), color=tint, marker=_MARKERS[index % len(_MARKERS)],
                   facecolor="white" if index == 0 else tint, linewidth=1.5, zorder=3, label=name)
    ax.set(xlabel="probability of the alternative ranked first", ylabel="share of them right", xlim=(-0.02, 1.03),
           ylim=(-0.03, 1.03))
    ax.set_title("all suites; larger marks: more questions", loc="left")
    return ax


def _binned(sure: np.ndarray, right: np.ndarray) -> tuple[np.ndarray, ...]:
    """Mean confidence, share right, its interval and the count of each bin that holds a question."""
    member = np.clip(np.ceil(sure * BINS).astype(int) - 1, 0, BINS - 1)
    counts = np.bincount(member, minlength=BINS)
    there = counts > 0
    count = counts[there].astype(float)
    x = np.bincount(member, weights=sure, minlength=BINS)[there] / count
    y = np.bincount(member, weights=right, minlength=BINS)[there] / count
    z = 1.96
    middle = (y + z**2 / (2 * count)) / (1 + z**2 / count)
    half = z * np.sqrt(y * (1 - y) / count + z**2 / (4 * count**2)) / (1 + z**2 / count)
    return x, y, np.minimum(middle - half, y), np.maximum(middle + half, y), count


def _errors(ax: Axes, suites: Sequence[str], error: Mapping[str, Any], null: Mapping[str, Any],
            null_high: Mapping[str, Any]) -> None:
    ax.set_title("calibration error, and what chance makes", loc="left", fontsize=9.5)
    places = name_rows(ax, suites)
    if not len(suites):
        nothing(ax, "no questions with alternatives")
        return
    for index, name in enumerate(error):
        at = places + 0.34 * (index - (len(error) - 1) / 2)
        mean, high = as_floats(null[name]), as_floats(null_high[name])
        ax.barh(at, high, height=0.26, color=MUTED, alpha=0.3, linewidth=0, zorder=1,
                label="if calibrated: mean (line) and 95th percentile (end)" if index == 0 else None)
        ax.vlines(mean, at - 0.13, at + 0.13, color=MUTED, linewidth=1.6, zorder=2)
        ax.scatter(as_floats(error[name]), at, color=color(index), marker=_MARKERS[index % len(_MARKERS)], s=34,
                   facecolor="white" if index == 0 else color(index), linewidth=1.5, zorder=3, label=name)
    most = max(float(np.nanmax(as_floats(each))) for values in (error, null_high) for each in values.values())
    ax.set(xlabel="expected calibration error (0 to 1)", xlim=(0, max(1.12 * most, 0.05)))
