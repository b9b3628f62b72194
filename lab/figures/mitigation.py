"""What remedies keep and what they forget, on one map."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lab.figures.arrays import as_floats
from lab.figures.layout import panels
from lab.figures.theme import MUTED, color, legend

MARKERS = ("o", "s", "^", "D")
LINES = ("-", "--", ":", "-.")


def frontier(groups: Mapping[str, Sequence[int]], labels: Sequence[str], learned: Any, lost: Any, text: Any, *, base: int,
             trained: int, keep: float, chosen: Sequence[int] = ()) -> Figure:
    """A figure of two panels: what is learned against what is lost, in points of accuracy and in bits per byte of text.

    Args:
        groups: Points of a kind, in the order in which a line goes through them, by its name.
        labels: (N,) of the points.
        learned: (N, 3) nats per token with the ends of the 95 % interval over rows.
        lost: (N, 3) percentage points, over items.
        text: (N, 3) bits per byte, over documents.
        base: Which point is the bare base.
        trained: Which is the run as trained.
        keep: Share of what was learned that a remedy has to keep.
        chosen: Points recommended, or between which none stands out.
    """
    figure, axes = panels(2, width=6.2, height=4.9)
    learned = as_floats(learned)
    for ax, values, name in ((axes[0], as_floats(lost), "lost accuracy (percentage points, mean over suites)"),
                             (axes[1], as_floats(text), "lost on documents (bits per byte)")):
        _panel(ax, groups, labels, learned, values, base=base, trained=trained, chosen=chosen)
        ax.axvline(keep * learned[trained, 0], color=MUTED, linestyle=":", linewidth=1.2, zorder=1,
                   label=f"{keep:.0%} of what was learned")
        ax.axhline(0, color=MUTED, linewidth=0.8, zorder=1)
        ax.set(xlabel="learned (held-out loss below the base's, nats per token)", ylabel=name)
        ax.margins(x=0.12, y=0.1)
    axes[0].set_title("better is right and low; bars: 95 % interval over rows and items", loc="left")
    axes[1].set_title("the same on documents", loc="left")
    legend(axes[0], loc="upper left")
    return figure


def _panel(ax: Axes, groups: Mapping[str, Sequence[int]], labels: Sequence[str], learned: np.ndarray, lost: np.ndarray, *,
           base: int, trained: int, chosen: Sequence[int]) -> None:
    for place, (name, members) in enumerate(groups.items()):
        tint = color(place)
        ax.plot(learned[list(members), 0], lost[list(members), 0], color=tint, linestyle=LINES[place % len(LINES)],
                linewidth=1.1, alpha=0.6, zorder=2)
        own = [at for at in members if at not in (base, trained)]
        _points(ax, learned[own], lost[own], tint, MARKERS[place % len(MARKERS)], name)
        _names(ax, [labels[at] for at in own], learned[own], lost[own], tint)
    for at, marker in ((base, "P"), (trained, "X")):
        _points(ax, learned[[at]], lost[[at]], "black", marker, labels[at])
    if len(chosen):
        ax.scatter(learned[list(chosen), 0], lost[list(chosen), 0], s=190, facecolors="none", edgecolors="black",
                   linewidths=1.6, zorder=5, label="recommended" if len(chosen) == 1 else "none of these stands out")


def _points(ax: Axes, learned: np.ndarray, lost: np.ndarray, tint: str, marker: str, name: str) -> None:
    ax.errorbar(learned[:, 0], lost[:, 0], xerr=np.abs(learned[:, 1:].T - learned[:, 0]),
                yerr=np.abs(lost[:, 1:].T - lost[:, 0]), fmt=marker, color=tint, markersize=6, capsize=2, linewidth=0.9,
                zorder=4, label=name)


def _names(ax: Axes, names: Sequence[str], learned: np.ndarray, lost: np.ndarray, tint: str) -> None:
    for text, x, y in zip(names, learned[:, 0], lost[:, 0], strict=True):
        ax.annotate(text, (x, y), xytext=(6, -9), textcoords="offset points", fontsize=8, color=tint, zorder=6)
