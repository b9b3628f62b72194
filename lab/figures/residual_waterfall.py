"""How a logit difference comes about: what the embedding and every part of every layer adds to it, one after the other."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from lab.figures.arrays import as_floats
from lab.figures.layout import grid, own_axes
from lab.figures.theme import MUTED, color

TOTAL = "final logit difference"
EMBEDDING, ATTENTION, FEED_FORWARD, OTHER = "embedding", "attention", "feed-forward", "other"
_LEAD, _CHANGE = "logit of the answer −\nlogit of the foil (nats)", "change of the logit\ndifference (nats)"
_TINTS = {EMBEDDING: color(2), ATTENTION: color(0), FEED_FORWARD: color(1), OTHER: MUTED, TOTAL: color(6)}


def waterfall(values: Any, kinds: Sequence[str], names: Sequence[str], ax: Axes | None = None, *, intervals: Any = None,
              total_interval: Any = None, covers: str = "questions", title: str = "",
              unit: str = _LEAD, keys: bool = True) -> Axes:
    """Bars that each begin where the one before ended, the last one from zero to their sum.

    The whisker on a bar is the interval of that bar's own contribution, not of the sum so far; bars whose whisker would
    reach back over their own start have an uncertain sign.

    Args:
        values: (C,) mean contributions in order.
        kinds: C of `embedding`, `attention`, `feed-forward`, `other`; their colours.
        names: C labels below the bars, thinned out where there are many; equal neighbours are named once.
        intervals: (C, 2) of each contribution.
        total_interval: (2,) of the sum.
        covers: What the intervals cover.
        title: Above the axes.
        unit: Of the values.
        keys: Whether there is a legend, below the axes.
    """
    ax = own_axes(ax, width=max(6.4, 0.16 * len(kinds) + 3), height=4.2)
    values = as_floats(values)
    ends = np.cumsum(values)
    starts = ends - values
    x = np.arange(len(values))
    ax.bar(x, values, bottom=starts, width=0.86, color=[_TINTS[kind] for kind in kinds], zorder=2)
    ax.bar([len(values) + 0.5], [ends[-1]], width=0.86, color=_TINTS[TOTAL], zorder=2)
    ax.step(np.append(x, len(values) + 0.5) - 0.5, np.append(starts, ends[-1]), where="post", color=MUTED, linewidth=0.6,
            zorder=1)
    if intervals is not None:
        low, high = as_floats(intervals).T
        ax.vlines(x, starts + low, starts + high, color="black", linewidth=1.0, zorder=3)
    if total_interval is not None:
        ax.vlines([len(values) + 0.5], *as_floats(total_interval), color=MUTED, linewidth=1.6, zorder=3)
    ax.axhline(0, color="black", linewidth=0.8)
    ax.set_ylabel(unit)
    ax.set_title(title, loc="left")
    _names(ax, names)
    ax.set_xlim(-0.8, len(values) + 1.2)
    if keys:
        _keys(ax, kinds, covers if intervals is not None else "")
    return ax


def waterfalls(values: Mapping[str, Any], kinds: Sequence[str], names: Sequence[str], *,
               intervals: Mapping[str, Any] | None = None, totals: Mapping[str, Any] | None = None,
               covers: str = "questions", title: str = "") -> Figure:
    """A figure of one waterfall a model, below one another, those of the models on one scale; a difference on its own.

    Args:
        values: Model, or `tuned − base` -> (C,).
        kinds: As in `waterfall`.
        names: Likewise.
        intervals: Model -> (C, 2).
        totals: Model -> (2,) interval of the sum.
        covers: What the intervals cover.
        title: Above all of them: what the means are over.
    """
    figure, axes = grid(len(values), 1, width=max(7.4, min(18.0, 0.26 * len(kinds) + 3)), height=3.9)
    shared = []
    for ax, (name, each) in zip(axes[:, 0], values.items(), strict=True):
        apart = "−" in name
        waterfall(each, kinds, names, ax, intervals=(intervals or {}).get(name), total_interval=(totals or {}).get(name),
                  covers=covers, title=name if len(values) > 1 else "",
                  unit=_CHANGE if apart else _LEAD,
                  keys=ax is axes[-1, 0])
        shared += [] if apart else [ax]
    if title:
        figure.suptitle(title, fontsize=10.5, x=0.01, ha="left")
    if len(shared) > 1:
        limits = np.array([ax.get_ylim() for ax in shared])
        for ax in shared:
            ax.set_ylim(limits[:, 0].min(), limits[:, 1].max())
    return figure


def _keys(ax: Axes, kinds: Sequence[str], covers: str) -> None:
    handles: list[Any] = [Patch(color=tint, label=kind) for kind, tint in _TINTS.items() if kind in kinds or kind == TOTAL]
    if covers:
        handles.append(ax.plot([], [], color="black", marker="|", linestyle="",
                               label=f"95 % interval of the bar's own contribution, over {covers}")[0])
    assert ax.figure is not None
    ax.figure.legend(handles=handles, fontsize=8.5, frameon=False, loc="outside lower center", ncols=3)


def _names(ax: Axes, names: Sequence[str]) -> None:
    """A name under each run of bars with the same one; of many layers every n-th."""
    starts = [i for i, name in enumerate(names) if i == 0 or names[i - 1] != name]
    stops = [*starts[1:], len(names)]
    middles = [(start + stop - 1) / 2 for start, stop in zip(starts, stops, strict=True)]
    labels = [names[i] for i in starts]
    numbers = [label for label in labels if label.isdigit()]
    every = -(-len(numbers) // 16)
    kept = [(middle, label) for middle, label in zip(middles, labels, strict=True)
            if not label.isdigit() or int(label) % every == 0]
    ax.set_xticks([middle for middle, _ in kept] + [len(names) + 0.5], [label for _, label in kept] + ["sum"])
    ax.set_xlabel("layer, in the order in which parts write")
    ax.grid(False, axis="x")
