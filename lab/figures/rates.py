"""Loss against learning rate, at one rank or at several."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes

from lab.figures.arrays import as_floats
from lab.figures.heat import heat_map
from lab.figures.layout import own_axes
from lab.figures.ranks import around, mark_diverged
from lab.figures.theme import MUTED, color, legend, nothing
from lab.figures.ticks import log_ticks, plain


def rate_curve(rates: Any, loss: Any, ax: Axes | None = None, *, fit_rates: Any = None, fit_loss: Any = None,
               best: float | None = None, interval: tuple[float, float] | None = None, label: str | None = None,
               index: int = 0, log_loss: bool = False, unit: str = "nats/token") -> Axes:
    """Held-out loss by learning rate: a point a training, the means joined, the best rate where the fitted curve is lowest.

    Args:
        rates: (N,) learning rate of every training; seeds repeat it.
        loss: (N,) held-out loss; nan where the training diverged, which is marked at the top.
        fit_rates: (K,) rates of the fitted parabola.
        fit_loss: (K,) its losses.
        best: The best rate, on the fitted curve.
        interval: Of the best rate, drawn as whiskers.
        label: Of the series, such as `r=8`, when several share the axes.
        index: Of the colour.
        log_loss: Whether the axis of the loss is logarithmic.
        unit: Of the loss.
    """
    ax = own_axes(ax)
    rates, loss = as_floats(rates), as_floats(loss)
    grid = np.unique(rates)
    ax.set(xlabel="learning rate", ylabel=f"held-out loss ({unit})")
    if np.isfinite(loss).any():
        mean = np.array([loss[(rates == rate) & np.isfinite(loss)].mean() if
                         np.isfinite(loss[rates == rate]).any() else np.nan for rate in grid])
        ax.plot(grid, mean, color=color(index), marker="o" if len(grid) == len(rates) else "", linewidth=1.2,
                label=label or ("loss" if len(grid) == len(rates) else "mean over seeds"))
        if len(grid) < len(rates):
            ax.scatter(rates, loss, color=color(index), s=22, alpha=0.55, linewidths=0)
    else:
        nothing(ax, "every training diverged", keep_x=True)
    if fit_rates is not None:
        ax.plot(as_floats(fit_rates), as_floats(fit_loss), color=color(index), linestyle="--", linewidth=1.2)
        if best is not None:
            _mark_best(ax, best, interval, as_floats(fit_rates), as_floats(fit_loss), label, color(index))
    mark_diverged(ax, np.unique(rates[~np.isfinite(loss)]))
    log_ticks(ax.xaxis, grid)
    ax.margins(x=0.06, y=0.12)
    if len(grid) == 1:
        around(ax, grid)
    if log_loss and np.isfinite(loss).any():
        log_ticks(ax.yaxis)
    legend(ax)
    return ax


def _mark_best(ax: Axes, best: float, interval: tuple[float, float] | None, fit_rates: np.ndarray, fit_loss: np.ndarray,
               label: str | None, tint: str) -> None:
    """A diamond where the fitted curve is lowest, with its interval as whiskers."""
    height = float(np.interp(np.log(best), np.log(fit_rates), fit_loss))
    name = "best rate" if label is None else f"best, {label}"
    whiskers = None if interval is None else [[best - interval[0]], [interval[1] - best]]
    ax.errorbar([best], [height], xerr=whiskers, color=tint, marker="D", markersize=6, markeredgecolor="white",
                linestyle="", capsize=4, linewidth=1.6, zorder=5, label=f"{name}: {plain(float(f'{best:.2g}'))}")


def rate_rank(loss: Any, rates: Any, ranks: Any, ax: Axes | None = None, *, unit: str = "nats/token") -> Axes:
    """Heat map of the held-out loss by rank and learning rate; the best rate of every rank is framed.

    Args:
        loss: (ranks, rates), mean over seeds; nan where the training diverged.
        rates: Learning rates, rising.
        ranks: Ranks, rising.
        unit: Of the loss.
    """
    loss, rates, ranks = as_floats(loss), as_floats(rates), as_floats(ranks)
    ax = heat_map(loss, [f"{rank:g}" for rank in ranks], [plain(rate) for rate in rates], ax,
                  label=f"held-out loss ({unit})", xlabel="learning rate", ylabel="LoRA rank", missing="diverged")
    for row, line in enumerate(loss):
        if np.isfinite(line).any():
            best = int(np.nanargmin(line))
            ax.add_patch(_frame(best, row))
    ax.set_title("framed: best rate of each rank", loc="left", color=MUTED)
    return ax


def _frame(column: int, row: int) -> Any:
    from matplotlib.patches import Rectangle

    return Rectangle((column - 0.47, row - 0.47), 0.94, 0.94, fill=False, edgecolor="#D55E00", linewidth=2)
