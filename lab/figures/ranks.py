"""What a LoRA rank buys: loss against trainable parameters, and bits learned against rank."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes

from lab.figures.arrays import as_floats
from lab.figures.layout import own_axes
from lab.figures.theme import MUTED, color, legend, nothing, reference
from lab.figures.ticks import log_ticks


def loss_by_rank(parameters: Any, loss: Any, ranks: Any, ax: Axes | None = None, *, intervals: Any = None,
                 base_loss: float | None = None, covers: str = "", unit: str = "nats/token") -> Axes:
    """Held-out loss against trainable parameters; every training is a point, every rank's mean carries its label.

    Args:
        parameters: (N,) trainable parameters of every training.
        loss: (N,) held-out loss; nan where the training diverged, which is marked at the top.
        ranks: (N,) rank of every training; seeds repeat it.
        intervals: (distinct ranks, 2) lower and upper end for each mean, ranks rising.
        base_loss: Loss of the bare base, drawn as a reference line, or named in the title where it lies far off.
        covers: What the intervals cover, for the legend.
        unit: Of the loss.
    """
    ax = own_axes(ax)
    parameters, loss, ranks = as_floats(parameters), as_floats(loss), as_floats(ranks)
    distinct = np.unique(ranks)
    at = np.array([parameters[ranks == rank].mean() for rank in distinct])
    mean = _means(loss, ranks, distinct)
    ax.set(xlabel="trainable parameters", ylabel=f"held-out loss ({unit})")
    mark_diverged(ax, parameters[~np.isfinite(loss)])
    log_ticks(ax.xaxis, parameters)
    if not np.isfinite(loss).any():
        nothing(ax, "every training diverged", keep_x=True)
        return ax
    repeated = len(ranks) > len(distinct)
    _draw_means(ax, at, mean, intervals, covers, label="mean over seeds" if repeated else "loss")
    if repeated:
        _single_seeds(ax, parameters, loss)
    for rank, x, y in zip(distinct, at, mean, strict=True):
        if np.isfinite(y):
            ax.annotate(f"r={rank:g}", (x, y), xytext=(6, 7), textcoords="offset points", fontsize=9)
    if base_loss is not None:
        finite = loss[np.isfinite(loss)]
        if base_loss - finite.min() <= 3 * max(float(np.ptp(finite)), 1e-9):
            reference(ax, base_loss, "bare base")
        else:  # it would squash what the figure is about
            ax.set_title(f"bare base: {base_loss:.2f} {unit}", loc="left", color=MUTED, fontsize=9)
    ax.margins(y=0.15)
    ax.set_ylim(bottom=max(0.0, ax.get_ylim()[0]))
    around(ax, parameters)
    legend(ax)
    return ax


def learned_bits_by_rank(ranks: Any, bits: Any, ax: Axes | None = None, *, intervals: Any = None,
                         total: float | None = None, parameters: Any = None, bits_per_parameter: float = 2.0,
                         covers: str = "") -> Axes:
    """Bits learned against rank, with the bits in the data and a capacity of so many bits a parameter as references.

    The references are drawn where they come near the data; one that would squash it is named in the legend instead.

    Args:
        ranks: (N,) rank of every training; seeds repeat it.
        bits: (N,) bits learned; nan where the training diverged.
        intervals: (distinct ranks, 2) lower and upper end for each mean, ranks rising.
        total: Bits in the data.
        parameters: (N,) trainable parameters, for the capacity line.
        bits_per_parameter: Slope of the capacity line.
        covers: What the intervals cover, for the legend.
    """
    ax = own_axes(ax)
    ranks, bits = as_floats(ranks), as_floats(bits)
    distinct = np.unique(ranks)
    mean = _means(bits, ranks, distinct)
    ax.set(xlabel="LoRA rank", ylabel="learned (bits)")
    if not np.isfinite(bits).any():
        nothing(ax, "every training diverged", keep_x=True)
        mark_diverged(ax, ranks)
        log_ticks(ax.xaxis, distinct)
        return ax
    repeated = len(ranks) > len(distinct)
    _draw_means(ax, distinct, mean, intervals, covers, label="mean over seeds" if repeated else "learned")
    if repeated:
        _single_seeds(ax, ranks, bits)
    ends = [float(np.nanmax(bits))] + ([] if intervals is None else [float(np.nanmax(as_floats(intervals)))])
    ceiling = 1.5 * max([*ends, total or 0.0])  # room for the legend above everything
    if total is not None:
        reference(ax, total, f"{total:,.0f} bits in the data")
    if parameters is not None:
        held = bits_per_parameter * np.array([as_floats(parameters)[ranks == rank].mean() for rank in distinct])
        text = f"{bits_per_parameter:g} bits per trainable parameter"
        if held.min() <= 0.8 * ceiling:
            ax.plot(distinct, held, linestyle="--", linewidth=1.2, color=color(1), label=text, zorder=1,
                    marker="_" if len(distinct) == 1 else "")
        else:
            ax.plot([], [], linestyle="--", linewidth=1.2, color=color(1), label=f"{text}: {held.min():,.0f} or more")
    mark_diverged(ax, ranks[~np.isfinite(bits)], height=0.03)
    around(ax, distinct)
    ax.set_ylim(min(0.0, float(np.nanmin(bits))), ceiling)
    ax.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    log_ticks(ax.xaxis, distinct)
    legend(ax, loc="upper left")
    return ax


def _means(values: np.ndarray, groups: np.ndarray, distinct: np.ndarray) -> np.ndarray:
    return np.array([_mean(values[groups == group]) for group in distinct])


def _mean(values: np.ndarray) -> float:
    finite = values[np.isfinite(values)]
    return float(finite.mean()) if len(finite) else float("nan")


def _single_seeds(ax: Axes, x: np.ndarray, y: np.ndarray) -> None:
    ax.scatter(x, y, label="single seed", color=color(0), alpha=0.45, s=22, linewidths=0)


def _draw_means(ax: Axes, x: np.ndarray, mean: np.ndarray, intervals: Any, covers: str, *, label: str) -> None:
    ax.plot(x, mean, color=color(0), marker="o", label=label, zorder=3)
    if intervals is None:
        return
    ends = as_floats(intervals)
    whiskers = np.abs(ends.T - mean)
    ax.errorbar(x, mean, yerr=whiskers, fmt="none", ecolor=color(0), capsize=4, linewidth=1.2, zorder=3,
                label=f"95 % interval over {covers}" if covers else "95 % interval")


def around(ax: Axes, values: np.ndarray) -> None:
    """Limits of a logarithmic x axis with room on both sides, a single value in the middle."""
    low, high = float(values.min()), float(values.max())
    room = (high / low) ** 0.14 if high > low else 4.0
    ax.set_xlim(low / room, high * room)


def mark_diverged(ax: Axes, x: np.ndarray, *, height: float = 0.97) -> None:
    """Crosses at this height of the axes, else at the top, for trainings that diverged."""
    if len(x):
        named = "diverged" in ax.get_legend_handles_labels()[1]
        ax.plot(x, np.full(len(x), height), linestyle="", marker="X", markersize=8, color=color(1), clip_on=False,
                transform=ax.get_xaxis_transform(), label=None if named else "diverged", zorder=4)
