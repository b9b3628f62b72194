"""Maps of a layer against a layer, a part or a head: of one model, or of base, tuned and their difference."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from lab.figures.arrays import as_floats
from lab.figures.heat import DIVERGING, heat_map, span, symmetric
from lab.figures.layout import grid
from lab.figures.residual_lines import EMBEDDING
from lab.figures.theme import SEQUENTIAL

DIFFERENCE = "tuned − base"


def model_maps(maps: Mapping[str, Any], rows: Sequence[str], columns: Sequence[str], *, label: str, title: str,
               xlabel: str, ylabel: str, signed: bool, marks: Any = None, marked: str = "", width: float = 4.6) -> Figure:
    """A figure of one map a model on one scale; of two models, their difference beside them on its own scale about zero.

    Args:
        maps: Model -> (rows, columns), the base first.
        rows: Names.
        columns: Names.
        label: Of the colour bar, with the unit.
        title: What is mapped.
        xlabel: Of the columns.
        ylabel: Of the rows.
        signed: Whether values have a sign.
        marks: (rows, columns) true where the last map gets a dot.
        marked: What a dot means.
        width: Of a panel, in inches.
    """
    values = {name: as_floats(each) for name, each in maps.items()}
    shown = list(values.items())
    if len(values) == 2:
        base, tuned = values.values()
        shown.append((DIFFERENCE, tuned - base))
    square = len(rows) == len(columns)
    figure, axes = grid(1, len(shown), width=width, height=0.82 * width if square else
                        min(7.0, max(3.4, 2.3 + 0.14 * len(rows))))
    shared = symmetric(*values.values()) if signed else span(*values.values())
    for ax, (name, each) in zip(axes[0], shown, strict=True):
        apart = name == DIFFERENCE
        last = marks if ax is axes[0, -1] else None
        heat_map(each, rows, columns, ax, label=f"{label}:\n{DIFFERENCE}" if apart else label, xlabel=xlabel, ylabel=ylabel,
                 cmap=DIVERGING if apart or signed else SEQUENTIAL, norm=_norm(each, shared, apart), written=None,
                 marks=last)
        _thin(ax.set_xticks, columns)
        _thin(ax.set_yticks, rows)
        same = ": exactly 0 everywhere" if apart and not np.nan_to_num(each).any() else ""
        ax.set_title((f"{title}: {name}" if ax is axes[0, 0] and len(maps) > 1 else title if len(maps) == 1 else name)
                     + same, loc="left")
        if last is not None and marked:
            ax.annotate(f"● {marked}: {int(np.sum(marks))} of {np.size(marks)}", (0, 0), xycoords="axes fraction",
                        xytext=(0, -34), textcoords="offset points", fontsize=8.5, va="top", annotation_clip=False)
    return figure


def _thin(set_ticks: Callable, names: Sequence[str]) -> None:
    """Every n-th layer, the embedding always: `heat_map` would slant them for its name."""
    if EMBEDDING not in names:
        return
    every = -(-(len(names) - 1) // 9)
    kept = [i for i, name in enumerate(names) if name == EMBEDDING or (int(name) % every == 0 and (every == 1 or int(name)))]
    set_ticks(kept, [names[i] for i in kept], rotation=0)


def _norm(values: np.ndarray, shared: Normalize, apart: bool) -> Normalize:
    return symmetric(values) if apart else shared
