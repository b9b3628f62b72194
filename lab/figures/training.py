"""One training as it went: losses, learning rate, gradient norm, speed, accuracy."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from lab.figures.arrays import as_floats
from lab.figures.direct_labels import label_ends
from lab.figures.layout import own_axes
from lab.figures.theme import MUTED, WARNING, color, legend, nothing
from lab.figures.ticks import log_ticks, plain, step_axis

_MOST_MARKERS = 40


def loss_curve(
    steps: Any, train: Any, eval_steps: Any, eval_loss: Any, ax: Axes | None = None, *,
    smooth: Any = None, diverged_at: int | None = None, spikes: Any = None, unit: str = "nats/token",
) -> Axes:
    """Train loss, raw and smoothed, with the held-out loss as points; the bare base at step 0 has a marker of its own.

    Args:
        steps: (N,) steps of the train loss.
        train: (N,) raw train loss; non-finite values leave gaps.
        eval_steps: (M,) steps of the held-out loss.
        eval_loss: (M,) held-out loss.
        smooth: (N,) smoothed train loss, if any.
        diverged_at: First non-finite step, if any.
        spikes: Steps of train-loss spikes to mark.
        unit: Of both losses.
    """
    ax = own_axes(ax)
    steps, train = as_floats(steps), as_floats(train)
    eval_steps, eval_loss = as_floats(eval_steps), as_floats(eval_loss)
    faint = smooth is not None
    if len(steps):
        ax.plot(steps, train, label="train, each step" if faint else "train", color=color(0),
                linewidth=0.8 if faint else 1.4, alpha=0.35 if faint else 1.0, marker="." if len(steps) < 3 else "")
    if smooth is not None:
        ax.plot(steps, as_floats(smooth), color=color(0), linewidth=1.6, label="train, smoothed")
    if spikes is not None and len(spikes):
        at = np.isin(steps, as_floats(spikes))
        ax.plot(steps[at], train[at], linestyle="", marker="v", color=color(2), markersize=6, label="spike")
    _held_out(ax, eval_steps, eval_loss)
    if diverged_at is not None:
        ax.axvline(diverged_at, color=WARNING, linestyle="--", linewidth=1.2, label=f"diverged at step {diverged_at}")
    step_axis(ax)
    ax.set_ylabel(f"loss ({unit})")
    if not len(steps) and not len(eval_steps):
        nothing(ax, "no finite loss was logged")
    legend(ax)
    return ax


def _held_out(ax: Axes, steps: np.ndarray, loss: np.ndarray) -> None:
    trained = steps > 0
    if trained.any():
        marker = "o" if trained.sum() <= _MOST_MARKERS else ""
        ax.plot(steps, loss, color=color(1), linewidth=1.2, zorder=3)
        ax.plot(steps[trained], loss[trained], color=color(1), linewidth=1.2, marker=marker, markersize=4.5,
                label="held-out", zorder=3)
    if (~trained).any():
        ax.plot(steps[~trained], loss[~trained], linestyle="", marker="D", markersize=7, markerfacecolor="white",
                markeredgecolor=color(1), markeredgewidth=1.6, label="held-out, bare base", zorder=4, clip_on=False)


def series(steps: Any, values: Any, ax: Axes | None = None, *, ylabel: str, log: bool = False,
           diverged_at: int | None = None, index: int = 0) -> Axes:
    """One measured series over steps; says so where nothing was logged.

    Args:
        steps: (N,) steps.
        values: (N,) values.
        ylabel: What it is, with its unit.
        log: Whether the values span decades.
        diverged_at: First non-finite step, if any.
        index: Of the colour.
    """
    ax = own_axes(ax)
    steps, values = as_floats(steps), as_floats(values)
    step_axis(ax)
    ax.set_ylabel(ylabel)
    if not np.isfinite(values).any():
        nothing(ax, "nothing was logged")
        return ax
    ax.plot(steps, values, color=color(index), linewidth=1.2, marker="." if len(steps) < 3 else "")
    if log and np.nanmin(values) > 0 and np.nanmax(values) > 4 * np.nanmin(values):
        log_ticks(ax.yaxis)
    else:
        ax.set_ylim(bottom=min(0.0, float(np.nanmin(values))))
        ax.yaxis.set_major_formatter(lambda value, _: plain(value))
    if diverged_at is not None:
        ax.axvline(diverged_at, color=WARNING, linestyle="--", linewidth=1.2)
    return ax


def training_panel(axes: Sequence[Axes], history: Mapping[str, Any], *, diverged_at: int | None = None,
                   smooth: Any = None) -> Sequence[Axes]:
    """Loss, learning rate, gradient norm and speed of one training, on four axes.

    Args:
        axes: Four of them.
        history: `<metric>/steps` and `<metric>/values` of the run's metrics by their contract names; those missing
            leave a panel that says so.
        diverged_at: First non-finite step, if any.
        smooth: Smoothed train loss, of the length of the raw one.

    Raises:
        ValueError: There are not four axes.
    """
    if len(axes) != 4:
        raise ValueError(f"a training panel has 4 axes and was given {len(axes)}.")

    def of(name: str) -> tuple[Any, Any]:
        return history.get(f"{name}/steps", []), history.get(f"{name}/values", [])

    loss_curve(*of("train/loss"), *of("eval/loss"), axes[0], diverged_at=diverged_at, smooth=smooth)
    series(*of("train/learning_rate"), axes[1], ylabel="learning rate", diverged_at=diverged_at)
    series(*of("train/grad_norm"), axes[2], ylabel="gradient norm (before clipping)", log=True, diverged_at=diverged_at)
    series(*of("train/tokens_per_second"), axes[3], ylabel="speed (tokens/s)", diverged_at=diverged_at)
    for ax, title in zip(axes, ("Loss", "Learning rate", "Gradient norm", "Speed"), strict=True):
        ax.set_title(title, loc="left")
    for ax in axes[1:]:
        ax.set_xlim(axes[0].get_xlim())
    return axes


def accuracy_by_category(steps: Any, accuracies: Mapping[str, Any], chance: Mapping[str, float] | None = None,
                         ax: Axes | None = None) -> Axes:
    """Held-out accuracy of every category over training, labelled at its end; chance dotted in the same colour.

    Args:
        steps: (N,) steps.
        accuracies: Category -> (N,) accuracy between 0 and 1; nan where not measured.
        chance: Category -> accuracy of guessing.
    """
    ax = own_axes(ax)
    steps = as_floats(steps)
    ends = []
    for index, (name, values) in enumerate(accuracies.items()):
        values = as_floats(values)
        measured = np.isfinite(values)
        if not measured.any():
            continue
        ax.plot(steps[measured], values[measured], color=color(index), marker="." if measured.sum() <= 40 else "")
        ends.append((float(steps[measured][-1]), float(values[measured][-1]), f"{name} {values[measured][-1]:.2f}",
                     color(index)))
    step_axis(ax, "training step")
    ax.set(ylabel="held-out accuracy (share of questions)", ylim=(-0.02, 1.04))
    for index, name in enumerate(accuracies):
        if chance and name in chance:
            ax.axhline(chance[name], color=color(index), linestyle=":", linewidth=1, zorder=1)
    if not ends:
        nothing(ax, "no accuracy was measured")
        return ax
    label_ends(ax, ends)
    if chance:
        ax.set_title("dotted: chance, by colour", loc="left", fontsize=9, color=MUTED)
    return ax
