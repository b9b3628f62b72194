"""What copying loses when induction heads are ablated."""

import math
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from lab.figures.arrays import as_floats
from lab.figures.layout import own_axes
from lab.figures.theme import MUTED, WARNING, color, legend


def ablation(intact: float, top: float, random: Any, ax: Axes | None = None, *, vocabulary: int, heads: int,
             intact_interval: Any = None, top_interval: Any = None, covers: str = "sequences") -> Axes:
    """Loss on the second copy of a random sequence: intact, with random heads ablated, and with the top heads ablated.

    Args:
        intact: Loss in nats/token.
        top: Loss with the heads of highest induction score ablated.
        random: (draws,) loss with as many random heads of the same layers ablated.
        vocabulary: Number of tokens the sequences are drawn from; guessing among them loses its logarithm.
        heads: Number of heads ablated.
        intact_interval: Lower and upper end.
        top_interval: Likewise.
        covers: What the intervals cover.
    """
    ax = own_axes(ax, width=5.6)
    random = as_floats(random).ravel()
    few = f"{heads} head" + ("s" if heads != 1 else "")
    # spread evenly, not at random: the same figure comes out twice
    jitter = 0.22 * (2 * ((np.arange(len(random)) * 0.618034) % 1) - 1)
    ax.scatter(1 + jitter, random, s=26, color=color(0), alpha=0.6, linewidths=0, zorder=3,
               label=f"one draw of {few} ({len(random)} draws)")
    if np.isfinite(random).any():
        ax.hlines(np.nanmedian(random), 0.72, 1.28, color=color(0), linewidth=2, label="median of the draws", zorder=4)
    for place, value, ends, tint in ((0, intact, intact_interval, "black"), (2, top, top_interval, WARNING)):
        value = float(as_floats(value))
        ax.plot(place, value, marker="D", markersize=8, color=tint, linestyle="", zorder=4)
        if ends is not None:
            ax.errorbar(place, value, yerr=np.abs(as_floats(ends).reshape(2, 1) - value), ecolor=tint, capsize=5, fmt="none",
                        linewidth=1.3)
        ax.annotate(f"{value:.2f}", (place, value), xytext=(9, 0), textcoords="offset points", va="center", fontsize=9)
    if intact_interval is not None or top_interval is not None:
        ax.plot([], [], color="black", marker="|", linestyle="", label=f"95 % interval over {covers}")
    chance = math.log(vocabulary)
    ax.axhline(chance, color=MUTED, linestyle=":", linewidth=1.2, zorder=1)
    # at the left, since at the right the top heads often reach the line
    ax.annotate(f"guessing: ln {vocabulary:,} = {chance:.2f}", (0, chance), xycoords=("axes fraction", "data"),
                xytext=(4, -3), textcoords="offset points", va="top", fontsize=8, color=MUTED)
    highest = np.nanmax([*random, float(as_floats(intact)), float(as_floats(top)), chance])
    ax.set_xticks([0, 1, 2], ["intact", f"{few} at random,\nsame layers", f"{few} with the highest\ninduction score"])
    ax.set(xlabel="ablated", ylabel="loss on the second copy (nats/token)", xlim=(-0.5, 2.6),
           ylim=(-0.04 * highest, 1.35 * highest))
    legend(ax, least=1, loc="upper left")
    return ax
