"""Axes of which every row is a named thing: names of any length, readable, and words beside the rows."""

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lab.figures.layout import grid

_LONGEST = 22  # characters of a line


def row_figure(rows: int, columns: int, *, width: float, per_row: float = 0.42, around: float = 1.5, share: bool = True
               ) -> tuple[Figure, list[Axes]]:
    """A figure of one line of axes, as high as its rows need, all with the same rows.

    Args:
        rows: How many.
        columns: How many axes.
        width: Of each, inches.
        per_row: Inches.
        around: Inches for titles and labels.
        share: Whether the axes have the rows in common.
    """
    figure, axes = grid(1, columns, width=width, height=around + per_row * max(rows, 2), sharey=share)
    return figure, list(axes.flat)


def name_rows(ax: Axes, names: Sequence[str], *, lines: int = 3) -> np.ndarray:
    """Names the rows of an axis from top to bottom and returns their places (rows,).

    Args:
        ax: Gets the limits of the rows.
        names: Long ones are broken where they have a break.
        lines: At most so many of a name; the rest is cut off.
    """
    places = np.arange(len(names))
    ax.set_yticks(places, [broken(name, lines) for name in names])
    spare = max(0.0, (2 - len(names)) / 2)  # the figure is as high as two rows at least
    ax.set_ylim(len(names) - 0.5 + spare, -0.5 - spare)
    ax.grid(axis="y", visible=False)
    ax.tick_params(axis="y", length=0)
    return places


def broken(name: str, most: int = 3) -> str:
    """A name in lines of readable length, broken after spaces, underscores, slashes, hyphens and colons.

    Args:
        name: Of any length.
        most: Lines; the rest is cut off.
    """
    lines = [""]
    pieces = [word[at:at + _LONGEST] for word in re.split(r"(?<=[ _/:\-])", name) for at in range(0, len(word), _LONGEST)]
    for piece in pieces:
        if len(lines[-1] + piece.rstrip()) > _LONGEST:
            lines.append("")
        lines[-1] += piece
    lines = [line.strip() for line in lines]
    return "\n".join(lines if len(lines) <= most else [*lines[:most - 1], lines[most - 1][:_LONGEST - 1] + "…"])


def keys_below(figure: Figure, *axes: Axes, columns: int = 5) -> None:
    """One legend for several axes, below them.

    Args:
        figure: Gets the legend.
        axes: What is labelled on more than one of them stands once.
        columns: At most so many.
    """
    handles: dict[str, Any] = {}
    for ax in axes:
        for handle, label in zip(*ax.get_legend_handles_labels(), strict=True):
            handles.setdefault(label, handle)
    figure.legend(list(handles.values()), list(handles), loc="outside lower center", ncols=min(columns, len(handles)),
                  fontsize=8.5, frameon=False)


def beside(ax: Axes, words: Sequence[str], *, heading: str = "") -> None:
    """Writes words to the right of each row, outside the axes.

    Args:
        ax: From `name_rows`.
        words: One for each row.
        heading: Above them.
    """
    for place, text in enumerate(words):
        ax.annotate(text, (1, place), xycoords=("axes fraction", "data"), xytext=(8, 0), textcoords="offset points",
                    va="center", ha="left", fontsize=8.5, annotation_clip=False)
    if heading:
        ax.annotate(heading, (1, 1), xycoords="axes fraction", xytext=(8, 5), textcoords="offset points", va="bottom",
                    ha="left", fontsize=8.5, color="#555555")


def p_words(p: float) -> str:
    """A p-value as a reader wants it: three digits, or below what matters."""
    return "p < 0.001" if p < 0.001 else f"p = {p:.2g}" if p < 0.095 else f"p = {p:.2f}"
