"""Maps of layers and modules side by side, one for each thing that is measured."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from lab.figures.arrays import as_floats
from lab.figures.heat import heat_map
from lab.figures.layout import grid
from lab.figures.theme import SEQUENTIAL


@dataclass(frozen=True)
class Map:
    """One map.

    Attributes:
        values: (L, modules), nan where a layer has no such module.
        title: What it shows, and what chance would give.
        label: Of the colour bar, with the unit.
        written: Format of the numbers in the cells; None for as many decimals as the colours tell apart.
        cmap: `SEQUENTIAL`, or `DIVERGING` for values with a sign.
        norm: What the colours span, where maps share it.
    """

    values: Any = field(repr=False)
    title: str
    label: str
    written: str | None = None
    cmap: str = SEQUENTIAL
    norm: Any = None


def maps(panels: Sequence[Map], roles: Sequence[str], *, columns: int = 2) -> Figure:
    """A figure of maps, layers from top to bottom and modules from left to right.

    Args:
        panels: What is shown, in reading order.
        roles: Names of the modules.
        columns: Maps side by side.
    """
    columns = min(columns, len(panels))
    layers = len(as_floats(panels[0].values))
    height = 2.2 + 0.16 * min(max(layers, 6), 30)
    figure, axes = grid(-(-len(panels) // columns), columns, width=max(4.2, 1.4 + 0.55 * len(roles)), height=height)
    for ax, panel in zip(axes.flat, panels, strict=False):
        values = as_floats(panel.values)
        heat_map(values, [str(layer) for layer in range(layers)], roles, ax, label=panel.label, ylabel="layer",
                 written=panel.written, cmap=panel.cmap, norm=panel.norm)
        ax.set_title(panel.title, loc="left")
    for spare in list(axes.flat)[len(panels):]:
        spare.remove()
    return figure


def middle(values: Any) -> float:
    """The mean of the known values, for a title."""
    known = as_floats(values)
    known = known[np.isfinite(known)]
    return float(known.mean()) if len(known) else float("nan")
