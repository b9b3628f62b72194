"""Heat maps with numbers in the cells while they can be read, and a colour bar with the unit."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import Normalize, PowerNorm

from lab.figures.arrays import as_floats, as_numpy
from lab.figures.layout import own_axes
from lab.figures.theme import SEQUENTIAL

DIVERGING = "RdBu_r"  # red above zero, blue below; told apart by colour-blind readers too
MISSING = "#BDBDBD"
ROOTS = "\n(colour follows its square root)"

_MOST_WRITTEN = 80
_MOST_ROWS = 16
_MOST_CHARACTERS = 28
_MOST_DECIMALS = 4


def heat_map(values: Any, rows: Sequence[str], columns: Sequence[str], ax: Axes | None = None, *, label: str,
             xlabel: str = "", ylabel: str = "", written: str | None = "{:.3g}", missing: str = "–", cmap: str = SEQUENTIAL,
             norm: Normalize | None = None, marks: Any = None) -> Axes:
    """Values as colours; cells without a finite value say `missing`, and are white (grey on a diverging scale).

    Args:
        values: (rows, columns).
        rows: Names, top to bottom; thinned out where there are many.
        columns: Names, left to right; numbers are thinned out, words are slanted.
        label: Of the colour bar, with the unit.
        written: Format of the numbers in the cells, None for as many decimals as the colours tell apart; numbers are left
            out of maps with many cells.
        missing: Text of a cell that is nan, such as `diverged`.
        cmap: `SEQUENTIAL`, or `DIVERGING` for values with a sign.
        norm: What the colours span, where several maps share it; else `span` or `symmetric` of the values.
        marks: (rows, columns) true where a cell gets a dot.
    """
    ax = own_axes(ax)
    values = as_floats(values)
    norm = norm or (symmetric(values) if cmap == DIVERGING else span(values))
    if written is None:
        written = decimals_of(norm, signed=cmap == DIVERGING)
    image = ax.imshow(np.ma.masked_invalid(values), aspect="auto", cmap=cmap, norm=norm)
    ax.grid(False)
    if cmap == DIVERGING:  # its middle is white already
        ax.set_facecolor(MISSING)
    _name_sides(ax, rows, columns)
    ax.set(xlabel=xlabel, ylabel=ylabel)
    with_numbers = values.size <= _MOST_WRITTEN
    if with_numbers:
        for (row, column), value in np.ndenumerate(values):
            text = _without_minus_zero(written.format(value)) if np.isfinite(value) else missing
            ax.text(column, row, text, ha="center", va="center", fontsize=8,
                    color=_readable_on(cmap, norm(value)) if np.isfinite(value) else "black")
    if marks is not None:
        _dots(ax, as_numpy(marks).astype(bool), aside=with_numbers)
    assert ax.figure is not None
    bar = ax.figure.colorbar(image, ax=ax)
    bar.set_label(label, fontsize=9)
    if isinstance(norm, PowerNorm):  # ticks evenly apart in value would crowd at the top
        assert norm.vmax is not None
        places = norm.vmax * np.linspace(0, 1, 6) ** 2
        bar.set_ticks(places.tolist(), labels=[f"{place:.2g}" for place in places])
    return ax


def span(*values: Any, zero: bool = False) -> Normalize:
    """The colour scale from the smallest to the largest finite value of some arrays, from zero if asked for."""
    finite = _finite(values)
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
    if zero:
        low, high = (min(low, 0.0), max(high, 0.0)) if low or high else (0.0, 1.0)
    # a single value would otherwise be drawn at the bottom of an empty scale
    return Normalize(low, high) if high > low else Normalize(low - 0.5, low + 0.5)


def roots(*values: Any) -> Normalize:
    """The colour scale from zero to the largest finite value that follows square roots, for values never negative.

    Change is spread over decades; on an even scale all but the largest values would look like none. The label of the
    colour bar has to say it: add `ROOTS`.
    """
    return PowerNorm(0.5, 0, float(_finite(values).max(initial=0.0)) or 1.0, clip=True)


def symmetric(*values: Any) -> Normalize:
    """The colour scale as far below zero as above it that holds all finite values of some arrays."""
    most = float(np.abs(_finite(values)).max(initial=0.0)) or 1.0
    return Normalize(-most, most)


def decimals_of(norm: Normalize, *, signed: bool = False) -> str:
    """The format of numbers in the cells of a map, whose last decimal is at most a fiftieth of what the colours span."""
    assert norm.vmin is not None and norm.vmax is not None
    digits = max(0, int(np.ceil(-np.log10((norm.vmax - norm.vmin) / 50) - 1e-9)))
    if digits > _MOST_DECIMALS:
        return "{:+.2g}" if signed else "{:.2g}"
    return f"{{:+z.{digits}f}}" if signed else f"{{:z.{digits}f}}"


def _without_minus_zero(text: str) -> str:
    return text.lstrip("-") if text.startswith("-") and not text.strip("-0.") else text


def _finite(values: Sequence[Any]) -> np.ndarray:
    every = np.concatenate([as_floats(value).ravel() for value in values])
    return every[np.isfinite(every)]


def _name_sides(ax: Axes, rows: Sequence[str], columns: Sequence[str]) -> None:
    every = -(-len(rows) // _MOST_ROWS)
    ax.set_yticks(range(0, len(rows), every), list(rows)[::every])
    long = sum(len(name) for name in columns) > 36
    every = 1
    if all(name.isdigit() for name in columns):
        long, every = False, -(-sum(len(name) + 1 for name in columns) // _MOST_CHARACTERS)
    shown = list(columns)[::every]
    ax.set_xticks(range(0, len(columns), every), shown, rotation=40 if long else 0, ha="right" if long else "center",
                  rotation_mode="anchor" if long else None)


def _dots(ax: Axes, marks: np.ndarray, *, aside: bool) -> None:
    """Black dots with a white edge, seen on any colour; in the corner of cells that hold a number."""
    row, column = np.nonzero(marks)
    shift = 0.38 if aside else 0.0
    ax.scatter(column + shift, row - shift, s=max(5.0, 22 - 0.5 * max(marks.shape)), color="black", edgecolors="white",
               linewidths=0.7, zorder=4)


def _readable_on(cmap: str, share: float) -> str:
    red, green, blue, _ = colormaps[cmap](share)
    return "white" if 0.299 * red + 0.587 * green + 0.114 * blue < 0.5 else "black"
