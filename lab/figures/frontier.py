"""Learning against forgetting: a line for each training, through its checkpoints."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import to_hex

from lab.figures.arrays import as_floats
from lab.figures.direct_labels import label_ends
from lab.figures.layout import own_axes
from lab.figures.theme import MUTED, legend, nothing

WHOLE = "#000000"
DARK = 0.75  # share of the colour map that is dark enough on white
STYLES = ("-", "--", "-.", ":")
SMALLEST, LARGEST = 2.5, 7.0  # markers at the first and the last checkpoint, in points
BARS = 6  # arms that have a bar at every checkpoint; with more only their ends have one


def frontier(learned: Sequence[Any], lost: Sequence[Any], ax: Axes | None = None, *, labels: Sequence[str],
             values: Sequence[float | None], intervals: Sequence[Any] | None = None, ringed: Sequence[Any] | None = None,
             covers: str = "questions", ylabel: str = "learned (nats/token below the bare base)") -> Axes:
    """Learned against lost points of several trainings, each a line from the bare base at the origin.

    Markers grow with the steps. Where two have one value, the second has another line.

    Args:
        learned: For each training, (C,) at its checkpoints, the bare base first.
        lost: For each, (C,) percentage points, positive is worse than the base.
        labels: A short name for each.
        values: What each is coloured by, its rank or its rate; None, for black, where the whole model was trained.
        intervals: For each, (C, 2) ends of the 95 % interval of the lost points.
        ringed: For each, (C,) bool: points that no other beats in learning and retention.
        covers: What the intervals cover, for the legend.
        ylabel: What was learned, with its unit.
    """
    ax = own_axes(ax, width=7.6, height=5.2)
    ax.set(xlabel="lost (percentage points of accuracy, mean over suites; right is worse)", ylabel=ylabel)
    if not len(learned):
        nothing(ax, "no training was measured")
        return ax
    ax.axvline(0, color=MUTED, linestyle=":", linewidth=1.2, zorder=1)
    colors, styles = tints(values), _styles(values)
    ends = []
    for number, (gain, cost) in enumerate(zip(learned, lost, strict=True)):
        y, x = as_floats(gain), as_floats(cost)
        ax.plot(x, y, color=colors[number], linestyle=styles[number], linewidth=1.3, alpha=0.75, zorder=2)
        sizes = LARGEST if len(x) == 2 else np.linspace(SMALLEST, LARGEST, len(x) - 1)
        ax.scatter(x[1:], y[1:], s=sizes**2, color=colors[number], linewidths=0, zorder=3)
        if intervals is not None:
            _bars(ax, x, y, as_floats(intervals[number]), colors[number], all_of_them=len(learned) <= BARS)
        if ringed is not None:
            chosen = np.asarray(ringed[number], dtype=bool)
            ax.scatter(x[chosen], y[chosen], s=120, facecolors="none", edgecolors=colors[number], linewidths=1.1, zorder=4)
        ends.append((float(x[-1]), float(y[-1]), labels[number], colors[number]))
    ax.plot(0, 0, marker="D", markersize=7, color=MUTED, linestyle="", label="bare base", zorder=5)
    _explain(ax, intervals is not None, ringed is not None, covers)
    label_ends(ax, ends)
    return ax


def tints(values: Sequence[float | None]) -> list[str]:
    """A colour for each training on a scale of its value's logarithm, dark for the smallest; black where there is none."""
    known = np.log([value for value in values if value is not None] or [1.0])
    low, wide = known.min(), max(float(np.ptp(known)), 1e-9)
    return [WHOLE if value is None else to_hex(colormaps["plasma"](DARK * (np.log(value) - low) / wide)) for value in values]


def _styles(values: Sequence[float | None]) -> list[str]:
    """A line style for each training, another one where a value occurs again."""
    seen: Counter[float | None] = Counter()
    found = []
    for value in values:
        found.append(STYLES[seen[value] % len(STYLES)])
        seen[value] += 1
    return found


def _bars(ax: Axes, x: np.ndarray, y: np.ndarray, ends: np.ndarray, tint: str, *, all_of_them: bool) -> None:
    if all_of_them:
        ax.hlines(y[1:-1], ends[1:-1, 0], ends[1:-1, 1], color=tint, linewidth=0.8, alpha=0.3, zorder=2)
    below, above = max(0.0, x[-1] - ends[-1, 0]), max(0.0, ends[-1, 1] - x[-1])
    ax.errorbar(x[-1:], y[-1:], xerr=[[below], [above]], fmt="none", ecolor=tint, elinewidth=1.3, capsize=4,
                alpha=0.8, zorder=2)


def _explain(ax: Axes, bars: bool, rings: bool, covers: str) -> None:
    ax.scatter([], [], s=LARGEST**2, color=MUTED, linewidths=0, label="checkpoint, larger: later")
    if bars:
        ax.plot([], [], color=MUTED, linewidth=1.3, label=f"95 % interval over {covers}")
    if rings:
        ax.scatter([], [], s=120, facecolors="none", edgecolors=MUTED, linewidths=1.1,
                   label="none learned more and lost less")
    legend(ax, loc="lower right")
