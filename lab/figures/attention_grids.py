"""A statistic of every head as a grid of layers and heads, alone, in a row of base, tuned and difference, or several."""

import math
import re
from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from lab.figures.arrays import as_floats
from lab.figures.attention_names import CHANGES, SIGNED, label, short, uniform_words
from lab.figures.heat import DIVERGING, ROOTS, heat_map, roots, span, symmetric
from lab.figures.layout import grid, own_axes, panels
from lab.figures.theme import MUTED, SEQUENTIAL, nothing

_FITTING = 6  # characters of a number in a cell of a six by six grid
_ABSENT = "–"


def head_grid(values: Any, name: str, ax: Axes | None = None, *, difference: bool = False, uniform: Any = None,
              marks: Any = None, marked: str = "", norm: Normalize | None = None, title: str | None = None) -> Axes:
    """Heat map of a statistic with layers down and heads across.

    Differences, and statistics that are above or below uniform attention, have a scale symmetric about zero; others
    start at zero, so that bright heads are large and not just larger. Colours of divergences follow square roots.

    Args:
        values: (L, H); nan where undefined.
        name: Of the statistic, such as `first_token`.
        difference: The values are tuned minus base.
        uniform: What uniform attention gives, a number or (L, H), named on the colour bar and drawn there as a line.
        marks: (L, H) true for the heads that get a dot.
        marked: What a dot means, written below the grid with their number in its first line.
        norm: What the colours span, where grids share it.
        title: Above the grid; the statistic's name if None.
    """
    ax = own_axes(ax)
    values = as_floats(values)
    layers, heads = values.shape
    ax.set_title(short(name) if title is None else title, loc="left")
    if not np.isfinite(values).any():
        nothing(ax, f"{short(name)} is undefined\nfor these prompts")
        ax.set(xlabel="head", ylabel="layer")
        return ax
    signed = difference or name in SIGNED
    words = uniform_words(uniform)
    change = name in CHANGES and not difference
    notes = (f"\n{words}" if words else "") + (ROOTS if change else "")
    heat_map(values, [str(layer) for layer in range(layers)], [str(head) for head in range(heads)], ax,
             label=label(name, difference=difference) + notes, xlabel="head", ylabel="layer",
             cmap=DIVERGING if signed else SEQUENTIAL, norm=norm or _scale(values, signed, change), marks=marks,
             written="{:.2g}", missing=_ABSENT)
    _write_shortly(ax, values, difference)
    if words:
        _line_on_bar(ax, as_floats(uniform))
    if marks is not None:
        _explain(ax, int(np.count_nonzero(as_floats(marks))), layers * heads, marked)
    if difference and not np.nan_to_num(values).any():
        ax.set_title(f"{ax.get_title(loc='left')}: exactly 0 in every head", loc="left")
    return ax


def base_tuned_difference(base: Any, tuned: Any, name: str, *, uniform: Any = None, marks: Any = None,
                          marked: str = "") -> Figure:
    """A figure of one statistic: base and tuned on one scale, and their difference on one symmetric about zero.

    Args:
        base: (L, H).
        tuned: (L, H).
        name: Of the statistic.
        uniform: What uniform attention gives, a number or (L, H).
        marks: (L, H) true for the heads that get a dot on the difference.
        marked: What a dot means.
    """
    base, tuned = as_floats(base), as_floats(tuned)
    figure, axes = grid(1, 3, width=4.4, height=_height(len(base)))
    shared = symmetric(base, tuned) if name in SIGNED else span(base, tuned, zero=True)
    head_grid(base, name, axes[0, 0], uniform=uniform, norm=shared, title=f"{short(name)}: base")
    head_grid(tuned, name, axes[0, 1], uniform=uniform, norm=shared, title="tuned")
    head_grid(tuned - base, name, axes[0, 2], difference=True, marks=marks, marked=marked, title="tuned − base")
    return figure


def statistics_grids(statistics: Mapping[str, Any], *, uniform: Mapping[str, Any] | None = None,
                     marks: Mapping[str, Any] | None = None, marked: str = "", difference: bool = False) -> Figure:
    """A figure of several statistics of one model, or of their differences, a grid each on a scale of its own.

    Args:
        statistics: Name -> (L, H).
        uniform: Name -> what uniform attention gives, a number or (L, H).
        marks: Name -> (L, H) true for the heads that get a dot.
        marked: What a dot means.
        difference: The values are tuned minus base.
    """
    layers = max(len(as_floats(values)) for values in statistics.values())
    figure, axes = panels(len(statistics), columns=3 if len(statistics) in (3, 5, 6, 9) else 4, width=4.0,
                          height=_height(layers))
    for ax, (name, values) in zip(axes, statistics.items(), strict=True):
        head_grid(values, name, ax, uniform=(uniform or {}).get(name), marks=(marks or {}).get(name), marked=marked,
                  difference=difference)
    return figure


def _write_shortly(ax: Axes, values: np.ndarray, difference: bool) -> None:
    """Numbers in the cells short enough not to touch; differences all with as many decimals as the largest needs."""
    written = [text for text in ax.texts if text.get_text() != _ABSENT]
    if difference:
        form = _form(float(np.nanmax(np.abs(values))))
        for text, value in zip(written, values[np.isfinite(values)], strict=True) if written else ():
            text.set_text(form.format(value))
    if difference or max((len(text.get_text()) for text in written), default=0) > _FITTING:
        for text in written:
            text.set_text(_shortened(text.get_text()))


def _form(most: float) -> str:
    """Of signed numbers of which the largest is `most`: two digits of it, and at most four decimals."""
    return f"{{:+.{min(4, max(0, 1 - math.floor(math.log10(most))))}f}}" if most >= 5e-4 else "{:+.1g}"


def _shortened(number: str) -> str:
    """The same without a zero before the point or in the exponent, and 0 where rounding leaves nothing."""
    if not float(number):
        return "0"
    return re.sub(r"^([+-]?)0\.", r"\1.", number).replace("e-0", "e-").replace("-", "−")


def _scale(values: np.ndarray, signed: bool, change: bool) -> Normalize:
    if signed:
        return symmetric(values)
    return roots(values) if change else span(values, zero=True)


def _height(layers: int) -> float:
    return min(6.5, max(3.4, 2.2 + 0.1 * layers))


def _line_on_bar(ax: Axes, uniform: np.ndarray) -> None:
    bar = ax.images[0].colorbar
    assert bar is not None
    low, high = bar.mappable.get_clim()
    place = float(np.nanmean(uniform))
    if low <= place <= high:
        bar.ax.axhline(place, color="white", linewidth=3.2)
        bar.ax.axhline(place, color="black", linewidth=1.4)


def _explain(ax: Axes, count: int, heads: int, marked: str) -> None:
    first, *others = (marked or "marked").split("\n")
    words = "\n".join([f"● {first}: {count} of {heads} heads", *others])
    ax.annotate(words, (0, 0), xycoords="axes fraction", xytext=(0, -34), textcoords="offset points", fontsize=8.5,
                color=MUTED if not count else "black", va="top", annotation_clip=False)
