"""Change of attention by layer, direct and inherited, beside its null; and by category of prompts."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Normalize

from lab.figures.arrays import as_floats
from lab.figures.attention_scale import change_scale, draw_zeros, layer_axis
from lab.figures.heat import ROOTS, heat_map, roots
from lab.figures.layout import own_axes
from lab.figures.theme import color, legend, nothing

_MARKERS = ("o", "s", "D", "^")


def change_by_layer(changes: Mapping[str, Any], ax: Axes | None = None, *, intervals: Mapping[str, Any] | None = None,
                    nulls: Mapping[str, tuple[Any, Any]] | None = None, covers: str = "",
                    ylabel: str = "divergence, mean over heads (nats)") -> Axes:
    """Several kinds of change by layer, with intervals, and each one's null as a band in its colour.

    Args:
        changes: Name, such as `direct` and `inherited` -> (L,) mean over heads.
        intervals: Name -> (L, 2) lower and upper end.
        nulls: Name -> mean and 95th percentile of its null, (L,) each; the band lies between them.
        covers: What the intervals cover, for the legend.
        ylabel: What the change is, with its unit.
    """
    ax = own_axes(ax)
    lines = {name: as_floats(values) for name, values in changes.items()}
    ends = {name: as_floats(values) for name, values in (intervals or {}).items()}
    bands = {name: (as_floats(mean), as_floats(upper)) for name, (mean, upper) in (nulls or {}).items()}
    layers = max(len(values) for values in lines.values())
    layer_axis(ax, layers)
    ax.set_ylabel(ylabel)
    every = [*lines.values(), *ends.values(), *(end for band in bands.values() for end in band)]
    if not any(np.nan_to_num(values).any() for values in every):
        finite = any(np.isfinite(values).any() for values in lines.values())
        nothing(ax, "no change: exactly 0 in every layer" if finite else "nothing was measured", keep_x=True)
        return ax
    # the lower end of an interval may come near zero; it must not stretch the scale by decades
    wide = change_scale(ax, *lines.values(), *(band for pair in bands.values() for band in pair),
                        *(pair[:, 1] for pair in ends.values()))
    for index, (name, values) in enumerate(lines.items()):
        place = np.arange(layers) + 0.16 * (index - (len(lines) - 1) / 2)
        if name in bands:
            _band(ax, np.arange(layers), *bands[name], name, color(index))
        _line(ax, place, values, ends.get(name), name, index, wide)
    if ends:
        ax.plot([], [], color="black", linewidth=1.2, marker="|", linestyle="",
                label=f"95 % interval over {covers}" if covers else "95 % interval")
    if wide and len(bands) > 1:
        ax.set_ylim(top=ax.get_ylim()[1] * 5)  # room for the legend
    legend(ax)
    return ax


def _band(ax: Axes, x: np.ndarray, mean: np.ndarray, upper: np.ndarray, name: str, tint: str) -> None:
    if len(x) == 1:  # a band needs width
        x, mean, upper = np.array([-0.4, 0.4]), mean.repeat(2), upper.repeat(2)
    short = name.partition(" (")[0]
    ax.fill_between(x, mean, upper, color=tint, alpha=0.18, linewidth=0, label=f"null of {short}: mean to 95th percentile")
    ax.plot(x, mean, color=tint, linestyle=":", linewidth=1.1)
    ax.plot(x, upper, color=tint, linestyle="-", linewidth=0.6, alpha=0.5)


def _line(ax: Axes, x: np.ndarray, values: np.ndarray, ends: np.ndarray | None, name: str, index: int, wide: bool) -> None:
    tint = color(index)
    shown = np.where(values > 0, values, np.nan) if wide else values
    ax.plot(x, shown, color=tint, marker=_MARKERS[index % len(_MARKERS)], markersize=4.5, linewidth=1.3, label=name,
            zorder=3)
    if ends is not None:
        whiskers = np.abs(ends.T - values)
        whiskers[:, ~np.isfinite(shown)] = 0
        ax.errorbar(x, shown, yerr=whiskers, fmt="none", ecolor=tint, capsize=2.5, linewidth=1.1, zorder=3)
    if wide:
        draw_zeros(ax, x, values, color=tint)


def change_by_category(change: Any, categories: Sequence[str], ax: Axes | None = None, *,
                       label: str = "divergence, mean over heads (nats)", norm: Normalize | None = None,
                       title: str = "") -> Axes:
    """Heat map of the change in every layer for every category of prompts; colours follow square roots.

    Args:
        change: (categories, L).
        categories: Names, with the number of prompts if it is to be seen.
        label: Of the colour bar, with the unit.
        norm: What the colours span, where maps share it; made by `roots`.
        title: Above the map.
    """
    ax = own_axes(ax)
    ax.set_title(title, loc="left")
    change = as_floats(change)
    heat_map(change, categories, [str(layer) for layer in range(change.shape[1])], ax, label=label + ROOTS, xlabel="layer",
             ylabel="category of prompts", written="{:.2g}", norm=norm or roots(change))
    return ax
