"""Which kinds of questions went from right to wrong, and which the other way."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from lab.figures.arrays import as_floats
from lab.figures.named_rows import beside, keys_below, name_rows, row_figure
from lab.figures.theme import color, nothing

_MOST = 30


def flips(kinds: Sequence[str], lost: Any, gained: Any, items: Any) -> Figure:
    """A figure of one row a kind: answers that became wrong to the left, answers that became right to the right.

    Args:
        kinds: Names, such as `math: addition`, K of them.
        lost: (K,) items that were right before only.
        gained: (K,) items that were right after only.
        items: (K,) how many were asked.
    """
    lost, gained, items = as_floats(lost), as_floats(gained), as_floats(items)
    shown = _shown(lost + gained)
    changed = bool((lost + gained).any())
    figure, (ax,) = row_figure(len(shown) if changed else 3, 1, width=7.2, per_row=0.33, around=1.6)
    if not changed:
        ax.set_title(f"{items.sum():.0f} questions of {len(kinds)} kinds", loc="left")
        nothing(ax, "no answer changed between right and wrong")
        return figure
    places = name_rows(ax, [kinds[index] for index in shown], lines=2)
    beside(ax, [f"of {items[index]:.0f}" for index in shown])
    ax.set_title(f"{lost.sum():.0f} right → wrong, {gained.sum():.0f} wrong → right, of {items.sum():.0f} questions"
                 + _left_out(len(kinds), len(shown)), loc="left", fontsize=9.5)
    ax.barh(places, -lost[shown], color=color(1), height=0.66, label="right → wrong", zorder=2)
    ax.barh(places, gained[shown], color=color(0), height=0.66, label="wrong → right", zorder=2)
    ax.axvline(0, color="black", linewidth=0.9, zorder=3)
    most = max(float(lost.max()), float(gained.max()))
    ax.set_xlim(-1.25 * most, 1.25 * most)
    for place, index in zip(places, shown, strict=True):
        for count, side in ((lost[index], -1), (gained[index], 1)):
            if count:
                ax.annotate(f"{count:.0f}", (side * count, place), xytext=(3 * side, 0), textcoords="offset points",
                            va="center", ha="left" if side > 0 else "right", fontsize=8)
    ax.xaxis.set_major_locator(MaxNLocator(nbins=9, integer=True))
    ax.xaxis.set_major_formatter(lambda value, _: f"{abs(value):g}")
    ax.set_xlabel("questions (bars as long to both sides: no net loss)")
    keys_below(figure, ax)
    return figure


def _shown(changed: np.ndarray) -> np.ndarray:
    """Rows that are drawn, in order: all, or where there are many those that changed most."""
    if len(changed) <= _MOST:
        return np.arange(len(changed))
    return np.sort(np.argsort(-changed, kind="stable")[:_MOST])


def _left_out(all_kinds: int, shown: int) -> str:
    return f"\n{all_kinds - shown} kinds with fewer changes are not drawn" if all_kinds > shown else ""
