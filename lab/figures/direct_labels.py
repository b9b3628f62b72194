"""Labels at the ends of lines, moved apart so that they can be read."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes


def label_ends(ax: Axes, ends: Sequence[tuple[float, float, str, str]], *, size: float = 8.5) -> None:
    """Writes each line's name to the right of the axes, in its colour, joined to its end by a thin line.

    Call it last: it places labels by the limits the axes have then.

    Args:
        ends: x and y of the line's last point, its name and its colour.
        size: Of the font, in points.
    """
    figure = ax.figure
    assert figure is not None
    ax.autoscale_view()  # limits still to be computed are settled now; the transforms below would not do it
    height = ax.get_position().height * figure.get_figure(root=True).get_size_inches()[1] * 72
    to_axes = ax.transData + ax.transAxes.inverted()
    wanted = np.array([to_axes.transform((x, y))[1] for x, y, _, _ in ends])
    placed = spread(np.clip(wanted, 0, 1), 1.35 * size / height)
    if len(placed):
        placed -= max(0.0, placed.max() - 1)
        placed += max(0.0, -placed.min())
    for (x, y, text, tint), at in zip(ends, placed, strict=True):
        ax.annotate(text, xy=(x, y), xytext=(1.03, at), textcoords="axes fraction", color=tint, fontsize=size,
                    va="center", ha="left", annotation_clip=False,
                    arrowprops={"arrowstyle": "-", "color": tint, "linewidth": 0.6, "alpha": 0.6,
                                "shrinkA": 1, "shrinkB": 0, "relpos": (0, 0.5)})


def spread(wanted: np.ndarray, gap: float) -> np.ndarray:
    """Places near the wanted ones (N,), in the same order, at least `gap` apart (least squares, by pooling).

    With places p sorted and q_i = p_i - i gap, the q nearest to the wanted ones that do not fall are their isotonic
    regression.
    """
    from scipy.optimize import isotonic_regression

    order = np.argsort(wanted, kind="stable")
    steps = gap * np.arange(len(wanted))
    placed = np.empty(len(wanted))
    placed[order] = isotonic_regression(wanted[order] - steps).x + steps if len(wanted) else []
    return placed
