"""What remedies keep and what they forget, each a point."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lab.figures.arrays import as_floats
from lab.figures.layout import panels
from lab.figures.theme import MUTED, color

MARKERS = ("o", "s", "^", "v")
STYLES = ("-", "--", ":", "-.")


def remedies(groups: Mapping[str, Sequence[int]], labels: Sequence[str], learned: Any, lost: Any, text: Any, *, base: int,
             trained: int, keep: float, chosen: Sequence[int] = ()) -> Figure:
    """A figure of two panels: what is learned over what is lost, in points of accuracy and in bits per byte of text.

    Args:
        groups: Points of a kind, in the order in which a line goes through them, by its name.
        labels: (N,) of the points.
        learned: (N, 3) nats per token and the ends of its 95 % interval over rows.
        lost: (N, 3) percentage points, over items.
        text: (N, 3) bits per byte, over documents.
        base: Which point is the bare base.
        trained: Which is the run as trained.
        keep: Share of what was learned that a remedy has to keep.
        chosen: Points recommended, or between which none stands out.
    """
    figure, axes = panels(2, width=6.2, height=5.0)
    learned = as_floats(learned)
    for ax, values, name, items in (
            (axes[0], as_floats(lost), "lost (points of accuracy, mean over suites; right is worse)", "questions"),
            (axes[1], as_floats(text), "lost (bits per byte of documents; right is worse)", "documents")):
        named = _panel(ax, groups, labels, learned, values, base=base, trained=trained, chosen=chosen)
        ax.axhline(keep * learned[trained, 0], color=MUTED, linestyle=":", linewidth=1.3, zorder=1,
                   label=f"{keep:.0%} of what was learned")
        ax.axvline(0, color=MUTED, linewidth=0.8, zorder=1)
        ax.set(xlabel=name, ylabel="learned (nats/token below the bare base)")
        ax.margins(x=0.14, y=0.1)
        _label(ax, named, np.stack([values[:, 0], learned[:, 0]], 1))
        ax.set_title(f"bars: 95 % interval over {items} and held-out rows", loc="left")
    handles, names = axes[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=4, fontsize=8.5, frameon=False)
    return figure


def _panel(ax: Axes, groups: Mapping[str, Sequence[int]], labels: Sequence[str], learned: np.ndarray, lost: np.ndarray, *,
           base: int, trained: int, chosen: Sequence[int]) -> list[tuple[float, float, str, str]]:
    """Draws lines and points; returns what is to be labelled: x, y, text and colour."""
    named: list[tuple[float, float, str, str]] = []
    for place, (name, members) in enumerate(groups.items()):
        tint = color(place)
        ax.plot(lost[list(members), 0], learned[list(members), 0], color=tint, linestyle=STYLES[place % len(STYLES)],
                linewidth=1.1, alpha=0.55, zorder=2)
        own = [at for at in members if at not in (base, trained)]
        _points(ax, learned[own], lost[own], tint, MARKERS[place % len(MARKERS)], name)
        named += [(float(lost[at, 0]), float(learned[at, 0]), labels[at], tint) for at in own]
    _points(ax, learned[[trained]], lost[[trained]], "black", "X", labels[trained])
    ax.plot(lost[base, 0], learned[base, 0], "D", color=MUTED, markersize=7, label="bare base", zorder=5)
    if len(chosen):
        ax.scatter(lost[list(chosen), 0], learned[list(chosen), 0], s=190, facecolors="none", edgecolors="black",
                   linewidths=1.5, zorder=5, label="recommended" if len(chosen) == 1 else "none of these stands out")
    return named


def _points(ax: Axes, learned: np.ndarray, lost: np.ndarray, tint: str, marker: str, name: str) -> None:
    ax.errorbar(lost[:, 0], learned[:, 0], xerr=_beside(lost), yerr=_beside(learned), fmt=marker, color=tint, markersize=6,
                capsize=2, linewidth=0.8, zorder=4, label=name)


def _label(ax: Axes, named: Sequence[tuple[float, float, str, str]], points: np.ndarray) -> None:
    """Writes each label where it covers least of the points and of the labels before it; call it last."""
    ax.autoscale_view()
    to_points = 72 / ax.figure.dpi  # type: ignore[union-attr]
    taken = [(x - 4, y - 4, x + 4, y + 4) for x, y in ax.transData.transform(points) * to_points]
    for x, y, text, tint in named:
        at, wide = ax.transData.transform((x, y)) * to_points, 4.7 * len(text)
        boxes = {(dx, dy): (at[0] + dx - wide * (dx < 0), at[1] + dy - 5, at[0] + dx + wide * (dx > 0), at[1] + dy + 5)
                 for dy in (-7, 7, -17, 17, -27, 27) for dx in (9, -9)}
        place = min(boxes, key=lambda each: sum(_overlap(boxes[each], other) for other in taken))
        taken.append(boxes[place])
        ax.annotate(text, (x, y), xytext=place, textcoords="offset points", ha="left" if place[0] > 0 else "right",
                    va="center", fontsize=8, color=tint, zorder=6)


def _overlap(one: tuple[float, ...], other: tuple[float, ...]) -> float:
    wide, high = min(one[2], other[2]) - max(one[0], other[0]), min(one[3], other[3]) - max(one[1], other[1])
    return max(0.0, wide) * max(0.0, high)


def _beside(values: np.ndarray) -> np.ndarray:
    """Lengths of bars below and above, [2, N]."""
    return np.abs(values[:, 1:].T - values[:, 0])
