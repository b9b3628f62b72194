"""What one training learned and lost, step by step."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from lab.figures.arrays import as_floats
from lab.figures.direct_labels import label_ends
from lab.figures.theme import MUTED, color, nothing, reference
from lab.figures.ticks import step_axis


def forgetting_panels(axes: Sequence[Axes], steps: Any, learned: Any, lost: Mapping[str, Any], intervals: Mapping[str, Any],
                      *, mean_interval: Any, kept_step: int | None = None) -> None:
    """Learned nats beside lost points of every suite, over steps; 0 is the bare base.

    Args:
        axes: Two.
        steps: (C,) optimiser steps, from 0.
        learned: (C,) nats per trained token below the bare base's held-out loss.
        lost: By suite, (C,) percentage points.
        intervals: By suite, (C, 2) ends of the 95 % interval over questions.
        mean_interval: (C, 2), of the mean over suites.
        kept_step: Step whose weights are kept, marked where it is not the last.
    """
    steps, learned = as_floats(steps), as_floats(learned)
    for ax in axes:
        step_axis(ax)
    if len(steps) < 2:
        for ax in axes:
            nothing(ax, "the training came apart before the first checkpoint")
        return
    axes[0].plot(steps, learned, color=color(0), marker="o")
    axes[0].set(ylabel="learned (nats/token below the bare base)", title="learning")
    axes[1].set(ylabel="lost (percentage points of accuracy)", title="forgetting, with 95 % intervals over questions")
    for ax in axes:
        reference(ax, 0, "bare base")
        if kept_step is not None and kept_step != steps[-1]:
            ax.axvline(kept_step, color=MUTED, linestyle="--", linewidth=1)
            ax.annotate(f"kept: step {kept_step}", (kept_step, 0.02), xycoords=("data", "axes fraction"), rotation=90,
                        xytext=(-3, 0), textcoords="offset points", ha="right", va="bottom", fontsize=8, color=MUTED)
    shift = 0.012 * float(np.ptp(steps))
    ends = []
    for number, (suite, points) in enumerate(lost.items()):
        values, bounds = as_floats(points), as_floats(intervals[suite])
        at = steps + shift * (number - (len(lost) - 1) / 2) * (steps > 0)  # side by side, or the whiskers hide one another
        axes[1].plot(at, values, color=color(number), marker="o", markersize=4)
        axes[1].vlines(at[1:], bounds[1:, 0], bounds[1:, 1], color=color(number), linewidth=1.2)
        ends.append((float(at[-1]), float(values[-1]), suite, color(number)))
    band = as_floats(mean_interval)
    axes[1].fill_between(steps, band[:, 0], band[:, 1], color="black", alpha=0.1, linewidth=0, zorder=1)
    mean = np.mean([as_floats(points) for points in lost.values()], axis=0)
    axes[1].plot(steps, mean, color="black", linewidth=2, marker="s", markersize=4)
    ends.append((float(steps[-1]), float(mean[-1]), "mean", "black"))
    label_ends(axes[1], ends)
