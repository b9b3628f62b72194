"""Singular values of LoRA updates: a small panel for every module role, one line for every layer."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from lab.figures.arrays import as_floats
from lab.figures.layout import grid
from lab.figures.theme import SEQUENTIAL, nothing

_NEGLIGIBLE = 1e-6  # of the largest value: below it a singular value is rounding


def singular_values(values: Any, modules: Sequence[str]) -> Figure:
    """A figure of small multiples, one panel a module role, with the layer as colour.

    Layers are lines, not panels, so that it reads alike at 6 layers and at 80. At rank 1, where a spectrum is a single
    number, the panels show it by layer.

    Args:
        values: (L, modules, R) singular values, largest first; nan where a layer has no such module.
        modules: Names of the roles.
    """
    values = as_floats(values)
    layers, roles, rank = values.shape
    columns = min(4, roles)
    figure, axes = grid(-(-roles // columns), columns, width=3.1, height=2.7)
    colors = ScalarMappable(Normalize(0, max(layers - 1, 1)), SEQUENTIAL)
    tints = colors.to_rgba(np.arange(layers))  # (L, 4)
    top = float(np.nanmax(values)) if np.isfinite(values).any() else 0.0
    for role, name in enumerate(modules):
        ax = axes.flat[role]
        (_by_layer if rank == 1 else _spectrum)(ax, values[:, role], tints, top)
        ax.set_title(name, loc="left")
        if role % columns == 0:
            ax.set_ylabel("singular value")
    for spare in axes.flat[roles:]:
        spare.remove()
    if layers > 1 and rank > 1:
        ticks = np.unique(np.linspace(0, layers - 1, min(layers, 7)).round())
        figure.colorbar(colors, ax=list(axes.flat[:roles]), label="layer", ticks=ticks, aspect=40,
                        pad=0.01)
    return figure


def _spectrum(ax: Axes, spectra: np.ndarray, tints: Any, top: float) -> None:
    rank = spectra.shape[1]
    ax.set_xlabel("index of the singular value")
    if not (spectra > 0).any():
        nothing(ax, "no update (all values 0)" if np.isfinite(spectra).any() else "no such module")
        return
    index = np.arange(1, rank + 1)
    for layer, line in enumerate(spectra):
        shown = np.where(line > _NEGLIGIBLE * top, line, np.nan)
        ax.plot(index, shown, color=tints[layer], linewidth=1.2, marker="." if rank <= 16 else "",
                markersize=4)
    ax.set_xlim(0.5 if rank <= 16 else 1, rank + (0.5 if rank <= 16 else 0))
    every = max(1, round(rank / 4)) if rank > 8 else 1
    ax.set_xticks([1, *range(2 if every == 1 else every, rank + 1, every)])
    _size(ax, spectra, top)


def _by_layer(ax: Axes, spectra: np.ndarray, tints: Any, top: float) -> None:
    layers = len(spectra)
    ax.set_xlabel("layer")
    if not (spectra > 0).any():
        nothing(ax, "no update (all values 0)" if np.isfinite(spectra).any() else "no such module")
        return
    ax.plot(np.arange(layers), spectra[:, 0], color=tints[0], marker="o", markersize=4, linewidth=1)
    ax.set_xticks(np.unique(np.linspace(0, layers - 1, min(layers, 7)).round()))
    _size(ax, spectra, top)


def _size(ax: Axes, spectra: np.ndarray, top: float) -> None:
    """One scale for all panels, from zero, so that sizes compare between modules."""
    ax.set_ylim(0, top * 1.06)
