"""How far the tuned model's next tokens lie from the base's: token by token, and by kind of text."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lab.figures.arrays import as_floats
from lab.figures.named_rows import beside, name_rows, row_figure
from lab.figures.theme import MUTED, color, legend, nothing
from lab.figures.ticks import log_ticks, plain

_WIDE = 20.0  # ratio from which means are drawn on a logarithmic axis
_HIGHER = 2.5  # times the highest bar
_SEEN = 1e-3  # of the smallest mean; a null below it would only squeeze the means together


def drift(edges: Any, counts: Any, null_counts: Any, kinds: Sequence[str], kl: Any, changed: Any, null: Any, *,
          bar: float) -> Figure:
    """A figure of the histogram of KL over tokens the base was good at, beside rounding, and of its mean by kind.

    Args:
        edges: (bins + 1,) nats, from 0, the others evenly apart on a logarithmic scale.
        counts: (bins,) tokens.
        null_counts: (bins,) of the base against itself, rounding alone; None where it was not measured.
        kinds: Names, K of them.
        kl: (K, 3) mean and the ends of its 95 % interval over texts, nats per token; nan where there is none.
        changed: (K,) share of tokens where the most probable one is another.
        null: (K,) mean of rounding alone, nats per token; nan where it was not measured.
        bar: Probability above which the base was good.
    """
    figure, (left, right) = row_figure(max(len(kinds), 6), 2, width=5.0, per_row=0.42, around=1.5, share=False)
    _histogram(left, as_floats(edges), as_floats(counts), None if null_counts is None else as_floats(null_counts), bar)
    _by_kind(right, kinds, as_floats(kl), as_floats(changed), as_floats(null))
    return figure


def _histogram(ax: Axes, edges: np.ndarray, counts: np.ndarray, null: np.ndarray | None, bar: float) -> None:
    ax.set_title(f"tokens to which the base gave more than {bar:g}", loc="left")
    ax.set(xlabel="KL(base ‖ tuned) at a token (nats)", ylabel="share of tokens (%)")
    if not counts.sum():
        nothing(ax, "the base was good at no token")
        return
    left = np.arange(len(counts))
    ax.bar(left, 100 * counts / counts.sum(), width=0.92, align="edge", color=color(1), zorder=2,
           label=f"tuned ({counts.sum():.0f} tokens)")
    highest = float(100 * counts.max() / counts.sum())
    if null is not None and null.sum():
        top = float(100 * null.max() / null.sum())
        ax.stairs(100 * null / null.sum(), np.arange(len(counts) + 1), color="black", linestyle="--", linewidth=1.3,
                  zorder=3, label="rounding alone: base against itself"
                  + (f"\n(reaches {top:.0f} %, above this scale)" if top > _HIGHER * highest else ""))
        highest = max(highest, top) if top <= _HIGHER * highest else highest  # else it would flatten what is asked about
    decades = [index for index, edge in enumerate(edges) if edge > 0 and np.isclose(np.log10(edge) % 2, 0)]
    ax.set_xticks([0.46, *decades[1:]], [f"< {plain(float(edges[1]))}", *(plain(float(edges[at])) for at in decades[1:])])
    ax.set_xlim(-0.3, len(counts) + 0.3)
    ax.set_ylim(0, 1.4 * highest)
    ax.set_yticks([tick for tick in ax.get_yticks() if tick <= min(100, 1.4 * highest)])
    legend(ax, least=1, loc="upper right")


def _by_kind(ax: Axes, kinds: Sequence[str], kl: np.ndarray, changed: np.ndarray, null: np.ndarray) -> None:
    ax.set_title("by kind of text", loc="left")
    ax.set_xlabel("mean KL (nats per token)")
    places = name_rows(ax, kinds)
    values = kl[:, 0] if len(kl) else np.array([])
    positive = values[values > 0]
    if not positive.size:
        nothing(ax, "no change: exactly 0 for every kind" if np.isfinite(values).any() else "the base was good at no token")
        name_rows(ax, kinds)
        return
    wide = positive.max() > _WIDE * positive.min()
    ends = np.abs(np.nan_to_num(kl[:, 1:].T - values))
    shown = np.where(values > 0, values, np.nan) if wide else values
    ax.errorbar(shown, places, xerr=ends, fmt="D", color=color(1), markersize=5, capsize=4, linewidth=1.5, zorder=3,
                label="mean and 95 % interval over texts")
    if wide:
        low = np.where(kl[:, 1] > 0, kl[:, 1], values)[values > 0]
        seen = null[null > _SEEN * float(low.min())]
        ax.set_xlim(float(min([*low, *seen])) / 2, 2 * float(np.nanmax(kl)))
        log_ticks(ax.xaxis)
    else:
        ax.set_xlim(0, 1.08 * float(np.nanmax(kl)))
    if (null > (ax.get_xlim()[0] if wide else 0.01 * ax.get_xlim()[1])).any():
        ax.scatter(null, places, marker="|", s=160, color=MUTED, linewidth=2, zorder=2, label="rounding alone")
    elif np.isfinite(null).any():
        ax.plot([], [], linestyle="", label=f"rounding alone: at most {np.nanmax(null):.1g}")
    beside(ax, [f"{100 * each:.3g} %" if np.isfinite(each) else "no such token" for each in changed],
           heading="another\nfirst choice")
    legend(ax, least=1, loc="upper center", bbox_to_anchor=(0.5, -0.14))
