"""Observed change of attention against what random directions of the same size give."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.patheffects import withStroke
from matplotlib.ticker import MaxNLocator

from lab.figures.arrays import as_floats, as_numpy
from lab.figures.heat import DIVERGING, heat_map, symmetric
from lab.figures.layout import own_axes
from lab.figures.theme import COLORS, MUTED, SEQUENTIAL, WARNING, legend, nothing
from lab.figures.ticks import log_ticks

_MOST_NAMED = 8
_APART = (0.13, 0.05)  # of the axes, the room of a name


def null_maximum(observed: float, draws: Any, ax: Axes | None = None, *, threshold: float | None = None, note: str = "",
                 xlabel: str = "largest divergence of any head (nats)") -> Axes:
    """The largest change of any head against the largest in every draw of the null, a dot a draw.

    Args:
        observed: Of the adapter.
        draws: (draws,) of the null.
        threshold: What the observed one has to exceed.
        note: Such as the p-value, written into the title.
        xlabel: What is compared, with its unit.
    """
    ax = own_axes(ax, height=3.2)
    draws = as_floats(draws).ravel()
    observed = float(as_floats(observed))
    finite = draws[np.isfinite(draws)]
    ax.set(xlabel=xlabel, ylabel="number of draws")
    ax.set_title(note, loc="left")
    if not finite.size:
        nothing(ax, "no draw of the null")
        return ax
    if not finite.any() and not observed:
        nothing(ax, "no change: exactly 0 in the adapter and in every draw")
        return ax
    wide = finite.min() > 0 and observed > 0 and max(finite.max(), observed) > 8 * min(finite.min(), observed)
    every = np.array([*finite, observed, *([] if threshold is None else [threshold])])
    low, high = float(every.min()), float(every.max())
    edges = np.geomspace(low, high, 41) if wide else np.linspace(low, high if high > low else low * 1.02, 41)
    level = _stacked(finite, edges)
    ax.scatter(finite, level, s=34, color=COLORS[0], edgecolors="white", linewidths=0.5, zorder=3,
               label=f"{len(finite)} random adapters of the same size")
    if threshold is not None:
        ax.axvline(threshold, color=MUTED, linestyle="--", linewidth=1.3, label=f"threshold: {threshold:.3g}")
    ax.axvline(observed, color=WARNING, linewidth=2, label=f"this adapter: {observed:.3g}")
    if wide:
        ax.set_xlim(low / 1.3, high * 1.3)
        log_ticks(ax.xaxis)
    ax.set_ylim(0, max(6.0, level.max() * 1.9))  # room for the legend
    ax.yaxis.set_major_locator(MaxNLocator(6, integer=True))
    legend(ax, least=1, loc="upper center", ncols=1)
    return ax


def _stacked(values: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Heights of dots, each at its own value, piled up where values fall into the same step of the axis."""
    steps = np.clip(np.searchsorted(edges, values, side="right") - 1, 0, len(edges) - 2)
    order = np.argsort(values, kind="stable")
    seen = np.zeros(len(edges), dtype=int)
    level = np.empty(len(values))
    for index in order:
        seen[steps[index]] += 1
        level[index] = seen[steps[index]]
    return level


def change_against_null(observed: Any, expected: Any, ax: Axes | None = None, *, marks: Any = None, marked: str = "",
                        unit: str = "divergence (nats)", names: tuple[str, str] = ("observed", "expected under the null"),
                        diagonal: str = "as random directions") -> Axes:
    """Every head's change against the mean of its null, or against its change by another adapter.

    Args:
        observed: (L, H).
        expected: (L, H) mean over the draws of the null, or of another adapter.
        marks: (L, H) true for the heads that are ringed; the largest of them are named `layer.head`.
        marked: What a ring means.
        unit: What is compared, with its unit.
        names: Of what is observed and of what it is held against.
        diagonal: What a head on the diagonal does.
    """
    ax = own_axes(ax, width=5.4, height=4.6)
    observed, expected = as_floats(observed), as_floats(expected)
    layers, heads = observed.shape
    ax.set(xlabel=f"{names[1]}: {unit}", ylabel=f"{names[0]}: {unit}")
    drawn = (observed > 0) & (expected > 0)
    if not drawn.any():
        nothing(ax, "no change: exactly 0 in every head" if np.isfinite(observed).any() else "nothing was measured")
        return ax
    layer = np.repeat(np.arange(layers), heads).reshape(layers, heads)
    tints = ScalarMappable(Normalize(0, max(layers - 1, 1)), SEQUENTIAL)
    ax.scatter(expected[drawn], observed[drawn], c=tints.to_rgba(layer[drawn]), s=16, zorder=3)
    both = np.concatenate([observed[drawn], expected[drawn]])
    ends = np.array([both.min() / 1.6, both.max() * 1.6])
    ax.set(xlim=ends, ylim=ends)
    log_ticks(ax.xaxis)
    log_ticks(ax.yaxis)
    ax.plot(ends, ends, color=MUTED, linestyle=":", linewidth=1.3, label=diagonal, zorder=1)
    if marks is not None:
        _ring(ax, expected, observed, as_numpy(marks).astype(bool) & drawn, marked)
    absent = int((np.isfinite(observed) & ~drawn).sum())
    if absent:
        ax.set_title(f"{absent} heads with exactly 0 are not drawn", loc="left", color=MUTED)
    assert ax.figure is not None
    if layers > 1:
        ax.figure.colorbar(tints, ax=ax, label="layer", ticks=np.unique(np.linspace(0, layers - 1, min(layers, 7)).round()))
    legend(ax, least=1, loc="lower right")  # the emptiest corner: few heads change less than their null
    return ax


def _ring(ax: Axes, x: np.ndarray, y: np.ndarray, ringed: np.ndarray, marked: str) -> None:
    ax.scatter(x[ringed], y[ringed], s=60, facecolors="none", edgecolors=WARNING, linewidths=1.2, zorder=4,
               label=f"{marked or 'marked'}: {int(ringed.sum())} of {ringed.size} heads,\nsome named layer.head")
    ratio = np.where(ringed, y / np.where(x > 0, x, np.nan), -np.inf)
    named: list[np.ndarray] = []
    for place in np.argsort(-ratio, axis=None)[:int(ringed.sum())]:
        layer, head = np.unravel_index(place, ringed.shape)
        at = ax.transAxes.inverted().transform(ax.transData.transform((x[layer, head], y[layer, head])))
        if len(named) == _MOST_NAMED or any(np.all(np.abs(at - other) < _APART) for other in named):
            continue
        named.append(at)
        ax.annotate(f"{layer}.{head}", (x[layer, head], y[layer, head]), xytext=(6, 0), textcoords="offset points",
                    fontsize=8, va="center", zorder=5, path_effects=[withStroke(linewidth=2.5, foreground="white")])


def ratio_grid(observed: Any, expected: Any, ax: Axes | None = None, *, marks: Any = None, marked: str = "") -> Axes:
    """Heat map of every head's change as a multiple of its null's mean, red above and blue below it.

    Args:
        observed: (L, H).
        expected: (L, H) mean over the draws of the null.
        marks: (L, H) true for the heads that get a dot.
        marked: What a dot means.
    """
    ax = own_axes(ax)
    observed, expected = as_floats(observed), as_floats(expected)
    defined = (observed > 0) & (expected > 0)
    layers, heads = observed.shape
    ax.set_title("change as a multiple of its null", loc="left")
    ax.set(xlabel="head", ylabel="layer")
    if not defined.any():
        nothing(ax, "no change: exactly 0 in every head" if np.isfinite(observed).any() else "nothing was measured")
        return ax
    doublings = np.log2(np.where(defined, observed, 1.0) / np.where(defined, expected, 1.0))
    doublings[~defined] = np.nan
    heat_map(doublings, [str(layer) for layer in range(layers)], [str(head) for head in range(heads)], ax, xlabel="head",
             ylabel="layer", label="observed / mean of the null", cmap=DIVERGING, norm=symmetric(doublings), marks=marks)
    _as_multiples(ax)
    if marks is not None:
        count = int(np.count_nonzero(as_floats(marks)))
        dots = f"● {marked or 'marked'}: {count} of {observed.size} heads"
        ax.set_title(f"change as a multiple of its null\n{dots}", loc="left")
    return ax


def _as_multiples(ax: Axes) -> None:
    """Cells and colour bar in multiples (×4, ×½) where the map holds their logarithms."""
    for text in ax.texts:
        if text.get_text() != "–":
            row, column = text.get_position()[1], text.get_position()[0]
            value = float(ax.images[0].get_array()[int(row), int(column)])  # type: ignore[index]
            text.set_text(f"×{2**value:.2g}")
    bar = ax.images[0].colorbar
    assert bar is not None
    most = bar.mappable.get_clim()[1]
    step = max(1, int(most // 3))
    places = [k for k in range(-int(most), int(most) + 1) if k % step == 0] if most >= 1 else [-most, 0, most]
    bar.set_ticks(places, labels=[f"×{2.0**k:.3g}" if k >= 0 or most < 1 else f"×1/{2**-k}" for k in places])
