"""Loss without parts of an update, beside the whole update shrunk to the same norm."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from lab.figures.arrays import as_floats
from lab.figures.layout import grid
from lab.figures.theme import MUTED, color


def losses(names: Sequence[str], texts: Sequence[str], ablated: Any, shrunk: Any, whole: Any, base: Any) -> Figure:
    """A figure of one panel a text: every ablation a row, its loss and that of the shrunk update as points.

    Args:
        names: Of the ablations.
        texts: What the loss is measured on.
        ablated: (texts, ablations, 3) loss and its 95 % interval over rows, nats per token.
        shrunk: (texts, ablations, 3) of the whole update at the same norm.
        whole: (texts, 3) of the whole adapter.
        base: (texts, 3) of the bare base.
    """
    figure, axes = grid(1, len(texts), width=5.4, height=1.9 + 0.45 * len(names), sharey=True)
    places = np.arange(len(names))
    for index, (ax, text) in enumerate(zip(axes.flat, texts, strict=True)):
        for values, offset, tint, marker, label in (
                (as_floats(ablated)[index], -0.12, color(0), "o", "ablated"),
                (as_floats(shrunk)[index], 0.12, color(1), "s", "shrunk to the same norm")):
            ax.errorbar(values[:, 0], places + offset, xerr=np.abs(values[:, 1:].T - values[:, 0]), fmt=marker, color=tint,
                        markersize=5, capsize=3, linewidth=1.2, label=label, zorder=3)
        for values, style, label in ((as_floats(whole)[index], "-", "whole adapter"), (as_floats(base)[index], ":", "base")):
            ax.axvline(values[0], color=MUTED, linestyle=style, linewidth=1.3, label=label)
        ax.set_yticks(places, list(names))
        ax.set(xlabel="loss (nats per token), 95 % interval over rows", ylim=(len(names) - 0.5, -0.5))
        ax.set_title(text, loc="left")
        ax.margins(x=0.12)
    handles, labels = axes.flat[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), fontsize=8.5, frameon=False)
    return figure
