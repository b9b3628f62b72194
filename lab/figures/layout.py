"""Figures and their axes, made without pyplot: no global state, no windows, safe in any thread."""

import math
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from lab.figures.theme import DPI, dress


def grid(rows: int, columns: int, *, width: float, height: float, **options: Any) -> tuple[Figure, np.ndarray]:
    """A figure that draws to memory, and its axes (rows, columns), each of the given width and height in inches.

    Args:
        options: For `Figure.subplots`, such as `sharex`.
    """
    figure = Figure(figsize=(columns * width, rows * height), layout="constrained", dpi=DPI)
    FigureCanvasAgg(figure)
    axes = figure.subplots(rows, columns, squeeze=False, **options)
    for ax in axes.flat:
        dress(ax)
    return figure, axes


def panels(count: int, *, columns: int = 2, width: float = 4.6, height: float = 3.2) -> tuple[Figure, list[Axes]]:
    """A figure and `count` axes in reading order, in at most `columns` columns.

    Raises:
        ValueError: No axes were asked for.
    """
    if count < 1:
        raise ValueError(f"a figure with {count} axes cannot be made; ask for 1 or more.")
    columns = min(columns, count)
    figure, axes = grid(math.ceil(count / columns), columns, width=width, height=height)
    for spare in axes.flat[count:]:
        spare.remove()
    return figure, list(axes.flat[:count])


def own_axes(ax: Axes | None, *, width: float = 6.4, height: float = 4.2) -> Axes:
    """The axes given, or those of a new figure."""
    if ax is not None:
        return ax
    return panels(1, width=width, height=height)[1][0]
