"""One look for every figure: fonts readable at 150 dots per inch, and colours that a colour-blind reader can tell."""

from typing import Any

from matplotlib.axes import Axes
from matplotlib.lines import Line2D

# Okabe and Ito (2008), in the order in which neighbours differ most; the yellow is left out, too pale for lines.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000", "#7F7F7F")
SEQUENTIAL = "cividis"
MUTED = "#7F7F7F"
WARNING = "#D55E00"
DPI = 150
MOST_LABELS = 8

GRID = "#E4E4E4"


def dress(ax: Axes) -> Axes:
    """Gives axes the lab's look; set on the axes themselves, since matplotlib's rc settings are shared by threads."""
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(True, color=GRID, linewidth=0.7)
    ax.set_axisbelow(True)
    ax.tick_params(labelsize=9)
    ax.ticklabel_format(useOffset=False)
    ax.title.set_fontsize(10.5)
    ax.xaxis.label.set_fontsize(10)
    ax.yaxis.label.set_fontsize(10)
    return ax


def color(index: int) -> str:
    """The colour of the index-th series; after the last, the first again."""
    return COLORS[index % len(COLORS)]


def legend(ax: Axes, *, least: int = 2, **options: Any) -> None:
    """A legend where at least this many things on the axes have labels; a single curve is named by its axis."""
    handles, _ = ax.get_legend_handles_labels()
    if len(handles) >= least:
        look = {"loc": "best", "frameon": True, "framealpha": 0.8, "edgecolor": "none", "fontsize": 8.5}
        ax.legend(**{**look, **options})


def reference(ax: Axes, value: float, text: str, *, color: str = MUTED, style: str = ":") -> Line2D:
    """A horizontal reference line, labelled on the line at the right."""
    line = ax.axhline(value, color=color, linestyle=style, linewidth=1.2, zorder=1)
    ax.annotate(text, (1, value), xycoords=("axes fraction", "data"), xytext=(-3, 2), textcoords="offset points",
                ha="right", va="bottom", fontsize=8, color=color)
    return line


def nothing(ax: Axes, text: str, *, keep_x: bool = False) -> None:
    """Says in the middle of empty axes why they are empty, and takes away ticks that would measure nothing."""
    ax.set_yticks([])
    if not keep_x:
        ax.set_xticks([])
    ax.text(0.5, 0.5, text, transform=ax.transAxes, ha="center", va="center", color=MUTED, wrap=True)
