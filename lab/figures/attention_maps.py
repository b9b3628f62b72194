"""Attention maps of single heads over their tokens: one, or base beside tuned and their difference."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import FuncNorm, Normalize, PowerNorm
from matplotlib.figure import Figure

from lab.figures.arrays import as_floats
from lab.figures.attention_tokens import token_axes
from lab.figures.heat import DIVERGING, ROOTS
from lab.figures.layout import grid, own_axes, panels
from lab.figures.theme import SEQUENTIAL

_LONG = 32
_ENDS = {False: "max", True: "both"}


def attention_map(weights: Any, tokens: Sequence[str], ax: Axes | None = None, *, difference: bool = False,
                  norm: Normalize | None = None, title: str = "") -> Axes:
    """Map of the weights of one head, queries down and keys across; keys after the query are left blank.

    Colours follow the square root of the weight, so that small weights are seen beside a sink; on long texts the largest
    0.5 % share one colour. The colour bar says both.

    Args:
        weights: (T, T), rows summing to at most one; or tuned minus base.
        tokens: T texts.
        difference: The weights are tuned minus base.
        norm: What the colours span, where maps share it.
        title: Such as `layer 3, head 2`.

    Raises:
        ValueError: The weights are no square of the tokens' number.
    """
    ax = own_axes(ax, width=5.4, height=5.0)
    weights = as_floats(weights)
    if weights.shape != (len(tokens), len(tokens)):
        raise ValueError(f"a map of shape {weights.shape} does not fit {len(tokens)} tokens; give weights of shape "
                         f"({len(tokens)}, {len(tokens)}), or the tokens that belong to them.")
    later = np.triu(np.ones(weights.shape, dtype=bool), 1)
    shown = np.ma.array(weights, mask=later | ~np.isfinite(weights))
    norm = norm or (_signed_roots if difference else _roots)(weights)
    image = ax.imshow(shown, cmap=DIVERGING if difference else SEQUENTIAL, norm=norm, interpolation="nearest",
                      aspect="auto")
    ax.grid(False)
    token_axes(ax, tokens)
    ax.set_title(title, loc="left")
    assert ax.figure is not None
    what = "change of the attention weight, tuned − base" if difference else "attention weight"
    assert norm.vmax is not None
    capped = bool(np.abs(shown).max() > norm.vmax * (1 + 1e-6))
    bar = ax.figure.colorbar(image, ax=ax, extend=_ENDS[difference] if capped else "neither")
    bar.set_label(what + ROOTS, fontsize=9)
    _ticks(bar, norm, difference, capped)
    if difference and not shown.any():
        ax.text(0.97, 0.95, "exactly 0 everywhere", transform=ax.transAxes, ha="right", va="top")
    return ax


def compare_maps(base: Any, tuned: Any | None, tokens: Sequence[str], heads: Sequence[tuple[int, int]], *,
                 divergence: Any = None) -> Figure:
    """A figure of several heads: a row each of base, tuned and difference, or the maps of one model side by side.

    Base and tuned share a scale.

    Args:
        base: (N, T, T) weights of N heads.
        tuned: (N, T, T), or None for one model alone.
        tokens: T texts.
        heads: N pairs of layer and head.
        divergence: (N,) nats, for the titles.
    """
    base = as_floats(base)
    size = 4.2 if len(tokens) <= 12 else 5.0
    names = [f"layer {layer}, head {head}" for layer, head in heads]
    if tuned is None:
        figure, flat = panels(len(names), columns=3, width=size + 0.8, height=size)
        for ax, weights, name in zip(flat, base, names, strict=True):
            attention_map(weights, tokens, ax, title=name)
        return figure
    tuned = as_floats(tuned)
    figure, axes = grid(len(names), 3, width=size + 0.8, height=size)
    for row, name in enumerate(names):
        shared = _roots(base[row], tuned[row])
        changed = "" if divergence is None else f": divergence {as_floats(divergence)[row]:.3g} nats"
        attention_map(base[row], tokens, axes[row, 0], norm=shared, title=f"{name}: base")
        attention_map(tuned[row], tokens, axes[row, 1], norm=shared, title=f"{name}: tuned")
        attention_map(tuned[row] - base[row], tokens, axes[row, 2], difference=True, title=f"tuned − base{changed}")
    return figure


def _top(*maps: np.ndarray) -> float:
    """Where the scale ends: at the largest weight, on long texts below the largest 0.5 %, as a few keys hold all."""
    sizes = np.abs(np.concatenate([weights[np.tril_indices(len(weights))] for weights in maps]))
    sizes = sizes[np.isfinite(sizes)]
    if not sizes.size or not sizes.any():
        return 1.0
    return float(np.quantile(sizes, 0.995) if len(maps[0]) > _LONG else 0) or float(sizes.max())


def _roots(*weights: np.ndarray) -> Normalize:
    return PowerNorm(0.5, 0, _top(*weights))


def _signed_roots(change: np.ndarray) -> Normalize:
    most = _top(change)
    return FuncNorm((lambda x: np.sign(x) * np.sqrt(np.abs(x)), lambda x: np.sign(x) * x**2), -most, most)


def _ticks(bar: Any, norm: Normalize, difference: bool, capped: bool) -> None:
    """Numbers evenly apart on the root scale, so that the small end can be read."""
    assert norm.vmax is not None
    upper = float(norm.vmax) * np.array([0, 0.25, 0.5, 0.75, 1]) ** 2
    places = np.concatenate([-upper[:0:-1], upper]) if difference else upper
    names = [f"{place:+.2g}" if difference and place else f"{place:.2g}" for place in places]
    if capped:
        names[-1] = f"≥ {names[-1]}"
        names[0] = f"≤ {names[0]}" if difference else names[0]
    bar.set_ticks(places, labels=names)
    bar.minorticks_off()
