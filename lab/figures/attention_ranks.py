"""Change of attention against the LoRA rank, every adapter a point beside its null."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes

from lab.figures.arrays import as_floats
from lab.figures.attention_scale import change_scale, draw_zeros
from lab.figures.layout import own_axes
from lab.figures.ranks import around
from lab.figures.theme import MUTED, color, legend, nothing
from lab.figures.ticks import log_ticks

_MARKERS = ("o", "s", "D", "^", "v", "P")


def change_by_rank(ranks: Any, change: Any, ax: Axes | None = None, *, seeds: Any = None, intervals: Any = None,
                   null_mean: Any = None, null_upper: Any = None, covers: str = "",
                   ylabel: str = "divergence, mean over heads (nats)") -> Axes:
    """Change against rank: a point an adapter, seeds side by side and joined, each beside the bar of its own null.

    Args:
        ranks: (N,) rank of every adapter; seeds repeat it.
        change: (N,); nan where there is none.
        seeds: (N,) whole numbers.
        intervals: (N, 2) lower and upper end.
        null_mean: (N,) mean of every adapter's null.
        null_upper: (N,) 95th percentile of it.
        covers: What the intervals cover, for the legend.
        ylabel: What the change is, with its unit.
    """
    ax = own_axes(ax)
    ranks, change = as_floats(ranks), as_floats(change)
    seeds = np.zeros(len(ranks)) if seeds is None else as_floats(seeds)
    ends = None if intervals is None else as_floats(intervals)
    nulls = [as_floats(values) for values in (null_mean, null_upper) if values is not None]
    ax.set(xlabel="LoRA rank", ylabel=ylabel)
    if not any(np.nan_to_num(values).any() for values in (change, *nulls)):
        finite = np.isfinite(change).any()
        nothing(ax, "no change: exactly 0 at every rank" if finite else "nothing was measured", keep_x=True)
        log_ticks(ax.xaxis, np.unique(ranks))
        around(ax, ranks)
        return ax
    wide = change_scale(ax, change, *nulls, *([] if ends is None else [ends[:, 1]]))
    place = _aside(ranks, seeds)
    if len(nulls) == 2:
        _null_bars(ax, place, *nulls)
    for index, seed in enumerate(np.unique(seeds)):
        mine = np.flatnonzero(seeds == seed)
        mine = mine[np.argsort(ranks[mine], kind="stable")]
        _seed(ax, place[mine], change[mine], None if ends is None else ends[mine], index, wide,
              f"seed {seed:g}" if len(np.unique(seeds)) > 1 else "adapter")
    if ends is not None:
        ax.plot([], [], color="black", marker="|", linestyle="",
                label=f"95 % interval over {covers}" if covers else "95 % interval")
    log_ticks(ax.xaxis, np.unique(ranks))
    around(ax, ranks)
    legend(ax)
    return ax


def _aside(ranks: np.ndarray, seeds: np.ndarray) -> np.ndarray:
    """Ranks with the seeds of one rank moved apart, evenly on a logarithmic axis."""
    distinct = np.unique(seeds)
    return ranks * 1.09 ** (np.searchsorted(distinct, seeds) - (len(distinct) - 1) / 2)


def _null_bars(ax: Axes, x: np.ndarray, mean: np.ndarray, upper: np.ndarray) -> None:
    floor = ax.get_ylim()[0]
    ax.bar(x, upper - np.maximum(mean, floor), bottom=np.maximum(mean, floor), width=0.075 * x, color=MUTED, alpha=0.35,
           linewidth=0, zorder=1, label="its null: mean to 95th percentile")
    ax.hlines(mean, x * 0.9625, x * 1.0375, color=MUTED, linewidth=1.6, zorder=2)


def _seed(ax: Axes, x: np.ndarray, change: np.ndarray, ends: np.ndarray | None, index: int, wide: bool, name: str) -> None:
    tint = color(index)
    shown = np.where(change > 0, change, np.nan) if wide else change
    ax.plot(x, shown, color=tint, marker=_MARKERS[index % len(_MARKERS)], markersize=6, linewidth=0.9, alpha=0.9, label=name,
            zorder=3)
    if ends is not None:
        whiskers = np.abs(ends.T - change)
        whiskers[:, ~np.isfinite(shown)] = 0
        ax.errorbar(x, shown, yerr=whiskers, fmt="none", ecolor=tint, capsize=3, linewidth=1.1, zorder=3)
    if wide:
        draw_zeros(ax, x, change, color=tint)
