"""Heat maps with numbers in the cells while they can be read, and a colour bar with the unit."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import Normalize

from lab.figures.arrays import as_floats
from lab.figures.layout import own_axes
from lab.figures.theme import SEQUENTIAL

_MOST_WRITTEN = 80
_MOST_ROWS = 16


def heat_map(values: Any, rows: Sequence[str], columns: Sequence[str], ax: Axes | None = None, *, label: str,
             xlabel: str = "", ylabel: str = "", written: str = "{:.3g}", missing: str = "–") -> Axes:
    """Values as colours; cells without a finite value are white and say `missing`.

    Args:
        values: (rows, columns).
        rows: Names, top to bottom; thinned out where there are many.
        columns: Names, left to right.
        label: Of the colour bar, with the unit.
        written: Format of the numbers in the cells; they are left out of maps with many cells.
        missing: Text of a cell that is nan, such as `diverged`.
    """
    ax = own_axes(ax)
    values = as_floats(values)
    finite = np.isfinite(values)
    low, high = (values[finite].min(), values[finite].max()) if finite.any() else (0.0, 1.0)
    # a single value would otherwise be drawn at the bottom of an empty scale
    norm = Normalize(low, high) if high > low else Normalize(low - 0.5, low + 0.5)
    image = ax.imshow(np.ma.masked_invalid(values), aspect="auto", cmap=SEQUENTIAL, norm=norm)
    ax.grid(False)
    every = -(-len(rows) // _MOST_ROWS)
    ax.set_yticks(range(0, len(rows), every), list(rows)[::every])
    long = sum(len(name) for name in columns) > 36
    ax.set_xticks(range(len(columns)), list(columns), rotation=40 if long else 0, ha="right" if long else "center",
                  rotation_mode="anchor" if long else None)
    ax.set(xlabel=xlabel, ylabel=ylabel)
    if values.size <= _MOST_WRITTEN:
        for (row, column), value in np.ndenumerate(values):
            text = written.format(value) if np.isfinite(value) else missing
            ax.text(column, row, text, ha="center", va="center", fontsize=8,
                    color=_readable_on(norm(value)) if np.isfinite(value) else "black")
    assert ax.figure is not None
    ax.figure.colorbar(image, ax=ax, label=label)
    return ax


def _readable_on(share: float) -> str:
    red, green, blue, _ = colormaps[SEQUENTIAL](share)
    return "white" if 0.299 * red + 0.587 * green + 0.114 * blue < 0.5 else "black"
