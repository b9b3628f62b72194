"""What was answered: right to the letter, wrong, or in another form than asked for."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from lab.figures.arrays import as_floats
from lab.figures.named_rows import keys_below, name_rows, row_figure
from lab.figures.theme import color, nothing

PARTS = ("right to the letter", "wrong, in the form asked for", "another form: no bare answer")
_TINTS = (color(2), color(5), color(3))
_HATCHES = ("", "", "///")
_WRITTEN = 7.0  # percent; a narrower part has no room for its number


def answers(suites: Sequence[str], base: Any, tuned: Any) -> Figure:
    """A figure of two bars a suite, base above tuned, each divided into what the greedy answers were.

    Args:
        suites: Names, S of them.
        base: (S, 3) shares of answers that are right, wrong but well formed, and in another form; they sum to 1.
        tuned: (S, 3) likewise.
    """
    figure, (ax,) = row_figure(len(suites), 1, width=7.6, per_row=0.72, around=1.4)
    places = name_rows(ax, suites)
    if not len(suites):
        nothing(ax, "no question was answered freely")
        return figure
    for shares, offset, name in ((as_floats(base), -0.2, "base"), (as_floats(tuned), 0.2, "tuned")):
        begins = np.zeros(len(suites))
        for part in range(3):
            width = 100 * shares[:, part]
            ax.barh(places + offset, width, left=begins, height=0.34, color=_TINTS[part], hatch=_HATCHES[part],
                    edgecolor="white", linewidth=0.6, label=PARTS[part] if name == "base" else None, zorder=2)
            for place, size, begin in zip(places, width, begins, strict=True):
                if size >= _WRITTEN:
                    ax.text(begin + size / 2, place + offset, f"{size:.0f} %", ha="center", va="center", fontsize=8,
                            bbox={"facecolor": _TINTS[part], "edgecolor": "none", "pad": 1}, zorder=3)
            begins += width
        for place in places:
            ax.annotate(name, (1, place + offset), xycoords=("axes fraction", "data"), xytext=(5, 0),
                        textcoords="offset points", va="center", fontsize=8.5, annotation_clip=False)
    ax.set(xlabel="greedy answers (%); another form is a changed style and counted apart", xlim=(0, 100))
    keys_below(figure, ax)
    return figure
