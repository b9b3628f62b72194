"""What patches of single places do to an answer, layers down, beside what those of unrelated prompts do."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lab.figures.arrays import as_floats
from lab.figures.attention_tokens import FONT, token_label
from lab.figures.heat import DIVERGING, heat_map, symmetric
from lab.figures.layout import grid
from lab.figures.theme import MUTED

_MOST_TOKENS = 40


def patch_maps(own: Mapping[str, Any], null: Mapping[str, Any], columns: Sequence[str], *, layers: Sequence[int],
               total: float, title: str, xlabel: str, null_title: str, marks: Mapping[str, Any] | None = None,
               marked: str = "", tokens: bool = False) -> Figure:
    """A figure with effects above and the same of the null below (beside, for one site), all on one scale.

    Args:
        own: Site -> (L, X) nats; nan where there is nothing to patch.
        null: Site -> (L, X) nats, mean over draws.
        columns: X names.
        layers: L indices.
        total: What patching everything does, nats; named on the colour bars.
        title: What was patched into what.
        xlabel: What a column is.
        null_title: What the null is.
        marks: Site -> (L, X) true where a cell gets a dot.
        marked: What a dot means.
        tokens: Whether columns are tokens, written upright in a font of one width.
    """
    sites = list(own)
    shared = symmetric(*own.values(), *null.values())
    decimals = 2 if (shared.vmax or 0) >= 0.5 else 3
    width = min(6.6, max(3.9, (0.24 if tokens else 0.55) * len(columns) + 1.7))
    shape = (2, len(sites)) if len(sites) > 1 else (1, 2)
    figure, axes = grid(*shape, width=width, height=min(6.0, 2.3 + 0.16 * len(layers)) + (0.5 if tokens else 0.0))
    for column, site in enumerate(sites):
        for row, (values, words) in enumerate(((own, site), (null, f"null, {site}"))):
            ax = axes[row, column] if len(sites) > 1 else axes[0, row]
            heat_map(_without_minus_zero(as_floats(values[site]), decimals), [str(layer) for layer in layers],
                     _plain(columns, tokens), ax, cmap=DIVERGING, norm=shared,
                     label=f"nats (everything: {total:.2f})", xlabel=xlabel, ylabel="layer",
                     written=f"{{:.{decimals}f}}", marks=None if row or not marks else marks.get(site))
            ax.set_title(words, loc="left")
            if tokens:
                _name_tokens(ax, columns)
            if row == 0 and marks and site in marks:
                _count(ax, int(np.count_nonzero(marks[site])))
    lines = [title, f"null: {null_title}", f"● {marked}" if marks and marked else ""]
    figure.suptitle("\n".join(line for line in lines if line), fontsize=10.5, x=0.01, ha="left")
    return figure


def _without_minus_zero(values: np.ndarray, decimals: int) -> np.ndarray:
    return np.where(np.abs(values) < 0.5 * 10.0**-decimals, 0.0, values)


def _plain(columns: Sequence[str], tokens: bool) -> list[str]:
    return [str(place) for place in range(len(columns))] if tokens else list(columns)


def _name_tokens(ax: Axes, columns: Sequence[str]) -> None:
    every = -(-len(columns) // _MOST_TOKENS)
    places = list(range(0, len(columns), every))
    look: dict[str, Any] = {"fontsize": 8 if len(places) < 24 else 6, "fontfamily": FONT, "parse_math": False}
    ax.set_xticks(places, [token_label(columns[place], longest=14) for place in places], rotation=90, **look)


def _count(ax: Axes, count: int) -> None:
    ax.annotate(f"● {count}", (1, 1), xycoords="axes fraction", xytext=(0, 4), textcoords="offset points", ha="right",
                fontsize=8.5, color="black" if count else MUTED)
