"""Best learning rates beside one another: by rank, against full fine-tuning's, and the losses that arms reach there."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from lab.figures.arrays import as_floats
from lab.figures.layout import own_axes
from lab.figures.ranks import around
from lab.figures.theme import MUTED, color, legend, nothing
from lab.figures.ticks import log_ticks


def best_rate_by_rank(ranks: Any, best: Any, intervals: Any, ax: Axes | None = None, *, tried: tuple[float, float],
                      full: tuple[float, float, float] | None = None, times: float | None = None, covers: str = "") -> Axes:
    """Best learning rate against rank, with full fine-tuning's as a band.

    Args:
        ranks: (N,) rising.
        best: (N,) best rates; nan where there is none inside the grid.
        intervals: (N, 2) their ends; nan where there is none.
        ax: Drawn on, or new.
        tried: Lowest and highest rate of the adapters' grid.
        full: Full fine-tuning's best rate and the ends of its interval, nan where it has none.
        times: So many times full's best rate is drawn for comparison.
        covers: What the intervals cover, for the legend.
    """
    ax = own_axes(ax)
    ranks, best, ends = as_floats(ranks), as_floats(best), as_floats(intervals)
    known = np.isfinite(best)
    ax.set(xlabel="LoRA rank", ylabel="best learning rate")
    ax.axhline(tried[0], color=MUTED, linestyle=":", linewidth=1, label="ends of the adapters' grid")
    ax.axhline(tried[1], color=MUTED, linestyle=":", linewidth=1)
    if full is not None:
        _full(ax, *full, times)
    if known.any():
        bounded = known & np.isfinite(ends).all(1)
        reach = np.abs(ends - best[:, None])
        if bounded.any():
            ax.errorbar(ranks[bounded], best[bounded], yerr=reach[bounded].T, color=color(0), marker="o", linestyle="",
                        capsize=4, linewidth=1.4, zorder=3,
                        label=f"LoRA, 95 % interval over {covers}" if covers else "LoRA, 95 % interval")
        if (known & ~bounded).any():
            ax.plot(ranks[known & ~bounded], best[known & ~bounded], color=color(0), marker="o", markerfacecolor="white",
                    linestyle="", zorder=3, label="LoRA, its interval has no end")
    elif full is None:
        nothing(ax, "no best rate lies inside its grid", keep_x=True)
    for rank in ranks[~known]:
        ax.annotate("not inside\nits grid", (rank, tried[1]), ha="center", va="top", fontsize=8, color=MUTED,
                    xytext=(0, -3), textcoords="offset points")
    log_ticks(ax.xaxis, ranks)
    around(ax, ranks)
    if known.any() or full is not None:
        log_ticks(ax.yaxis)
        low, high = ax.get_ylim()
        ax.set_ylim(low / 1.15, high * (high / low) ** 0.5)  # room for the legend above everything
        legend(ax, loc="upper left")
    return ax


def _full(ax: Axes, best: float, low: float, high: float, times: float | None) -> None:
    if np.isfinite([low, high]).all():
        ax.axhspan(low, high, color=color(1), alpha=0.15, linewidth=0)
    ax.axhline(best, color=color(1), linewidth=1.4, label="full fine-tuning, with its interval")
    if times is not None:
        ax.axhline(times * best, color=color(1), linewidth=1.2, linestyle="--", label=f"{times:g} times full's")


def losses_at_best(names: Sequence[str], losses: Sequence[Any], ax: Axes | None = None, *, remarks: Sequence[str] = (),
                   unit: str = "nats/token") -> Axes:
    """The loss of each arm at its best rate: a point a seed, the mean as a bar across.

    Args:
        names: Of the arms.
        losses: Of each arm, its seeds; empty where every rate diverged.
        ax: Drawn on, or new.
        remarks: Of each arm, a second line under its name, such as its parameters.
        unit: Of the loss.
    """
    ax = own_axes(ax)
    for place, values in enumerate(map(as_floats, losses)):
        if len(values):
            ax.scatter(np.full(len(values), place), values, color=color(place), s=26, alpha=0.6, linewidths=0)
            ax.hlines(values.mean(), place - 0.3, place + 0.3, color=color(place), linewidth=2.2)
        else:
            ax.text(place, 0.5, "diverged", transform=ax.get_xaxis_transform(), ha="center", color=MUTED)
    lines = [f"{name}\n{remark}" for name, remark in zip(names, remarks, strict=True)] if remarks else list(names)
    ax.set_xticks(range(len(names)), lines)
    ax.set(xlabel="arm, at the best of the rates tried", ylabel=f"held-out loss ({unit})")
    ax.set_xlim(-0.6, len(names) - 0.4)
    every = np.concatenate([as_floats(values) for values in losses if len(values)] or [np.zeros(1)])
    if every.min() > 0 and every.max() > 5 * every.min():
        log_ticks(ax.yaxis)
    ax.margins(y=0.15)
    ax.set_title("points: single seeds; bars: their mean", loc="left", color=MUTED, fontsize=9)
    return ax
