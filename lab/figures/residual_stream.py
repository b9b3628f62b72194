"""How long the residual stream is, and how much of it attention and feed-forward write at each layer."""

from collections.abc import Mapping
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lab.figures.layout import own_axes, panels
from lab.figures.residual_lines import NULL, by_layer, figure_legend, model_looks, paired_looks
from lab.figures.theme import color

UNTRAINED = "untrained network of this shape"
FIRST = "first token"
PARTS = ("attention", "feed-forward")


def stream_norms(norms: Mapping[str, Any], ax: Axes | None = None, *, intervals: Mapping[str, Any] | None = None,
                 first: Mapping[str, Any] | None = None, untrained: Any = None, covers: str = "prompts") -> Axes:
    """Length of the stream by place, the first token apart, on a logarithmic axis where it grows by much.

    The first token is where attention rests that has nowhere to go; in many models its stream is a hundred times as long.

    Args:
        norms: Model, such as `base` -> (1 + L,), root mean square over width, of all tokens but the first.
        intervals: Model -> (1 + L, 2).
        first: Model -> (1 + L,) of the first token.
        untrained: (1 + L,) of the same network before any training.
        covers: What the intervals cover.
    """
    ax = own_axes(ax)
    lines, looks = dict(norms), model_looks(list(norms))
    for index, (name, values) in enumerate((first or {}).items()):
        lines[f"{name}: {FIRST}"], looks[f"{name}: {FIRST}"] = values, (color(index), (":", "-.")[index % 2], "")
    if untrained is not None:
        lines[UNTRAINED], looks[UNTRAINED] = untrained, NULL
    by_layer(lines, ax, intervals=intervals, covers=covers, looks=looks, embedding=True, sizes=True, keys=False,
             ylabel="length of the residual stream\n(root mean square over width)")
    ax.set_title("length of the stream", loc="left")
    assert isinstance(ax.figure, Figure)
    figure_legend(ax.figure, ax, columns=3 if len(norms) > 1 else 2)
    return ax


def written(shares: Mapping[str, Any], cosines: Mapping[str, Any], *, share_intervals: Mapping[str, Any] | None = None,
            cosine_intervals: Mapping[str, Any] | None = None, expected: float | None = None, covers: str = "prompts"
            ) -> Figure:
    """A figure of two panels: how long what a part adds is against the stream it is added to, and where it points.

    Args:
        shares: `attention` and `feed-forward`, or with `, base` and `, tuned` behind -> (L,), length over the stream's.
        cosines: Likewise -> (L,), cosine to the stream.
        share_intervals: Likewise -> (L, 2).
        cosine_intervals: Likewise.
        expected: Size of the cosine of random directions in this width, 1 / √D.
        covers: What the intervals cover.
    """
    figure, (left, right) = panels(2, width=5.6, height=3.9)
    looks = paired_looks(PARTS) | {part: (color(i), "-", "os"[i]) for i, part in enumerate(PARTS)}
    by_layer(shares, left, intervals=share_intervals, covers=covers, looks=looks, sizes=True, keys=False,
             ylabel="length of what is added /\nlength of the stream before it")
    left.set_title("how much each part writes", loc="left")
    by_layer(cosines, right, intervals=cosine_intervals, covers=covers, looks=looks, keys=False,
             zero="", ylabel="cosine of what is added\nto the stream before it")
    right.set_title("where it points (+ lengthens, − erases what is there)", loc="left")
    low, high = right.get_ylim()
    right.set_ylim(min(low, -0.25), max(high, 0.25))
    if expected is not None:
        right.axhspan(-expected, expected, color=NULL[0], alpha=0.15, linewidth=0, zorder=0,
                      label=f"random directions: ± {expected:.2g} (1 / √width)")
    figure_legend(figure, right, columns=3)
    return figure
