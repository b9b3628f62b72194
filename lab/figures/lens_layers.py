"""What a lens reads off the stream by layer: the answer's lead, by category, for base and tuned, and what tuning changed."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lab.figures.arrays import as_floats
from lab.figures.layout import own_axes, panels
from lab.figures.residual_lines import by_layer, depth_axis, figure_legend, model_looks
from lab.figures.theme import MUTED, color, legend, nothing

_STYLES = ("-", "--", "-.", ":")
AFTER = "after layer"
EVEN = "0: answer and foil are even"


def lens_by_category(lines: Mapping[str, Mapping[str, Any]], *, intervals: Mapping[str, Mapping[str, Any]] | None = None,
                     counts: Mapping[str, int], ylabel: str, zero: str | None = None, clusters: str = "questions",
                     title: str = "") -> Figure:
    """A figure of a panel a category: what the lens says by place on the stream, a line a model.

    Args:
        lines: Category -> model -> (L,).
        intervals: Category -> model -> (L, 2).
        counts: Category -> questions.
        ylabel: What the lens says, with the unit.
        zero: What zero means, for the legend; None for no line.
        clusters: What the intervals cover.
        title: Above all panels: which lens it is.
    """
    figure, axes = panels(len(lines), columns=3, width=4.3, height=3.2)
    for index, (ax, (category, models)) in enumerate(zip(axes, lines.items(), strict=True)):
        by_layer(models, ax, intervals=(intervals or {}).get(category), ylabel=ylabel if index % 3 == 0 else "",
                 zero=zero, xlabel=AFTER, covers=clusters, keys=False, looks=model_looks(list(models)))
        ax.set_title(f"{category} ({counts[category]} questions)", loc="left")
    _one_scale(axes)
    _head(figure, title)
    figure_legend(figure, axes[0])
    return figure


def lens_difference(change: Mapping[str, Any], ax: Axes | None = None, *, intervals: Mapping[str, Any] | None = None,
                    ylabel: str, covers: str = "questions", title: str = "") -> Axes:
    """Tuned minus base of what the lens says, by place on the stream, a line a category with its interval.

    Args:
        change: Category -> (L,).
        intervals: Category -> (L, 2).
        ylabel: What changed, with the unit.
        covers: What the intervals cover.
        title: Which lens it is.
    """
    ax = own_axes(ax, width=7.4, height=4.8)
    ax.set_title(title, loc="left")
    if not any(np.nan_to_num(as_floats(values)).any() for values in change.values()):
        depth_axis(ax, max(len(as_floats(values)) for values in change.values()))
        ax.set(ylabel=ylabel, xlabel=AFTER)
        nothing(ax, "no change: exactly 0 after every layer", keep_x=True)
        return ax
    by_layer(change, ax, intervals=intervals, ylabel=ylabel, covers=covers, xlabel=AFTER,
             zero="0: tuned as base", keys=False)
    legend(ax, loc="upper center", bbox_to_anchor=(0.5, -0.14), ncols=3)
    return ax


def answers_won(first: Mapping[str, Mapping[str, Any]], layers: int, *, half: bool = True, title: str = "") -> Figure:
    """A figure of a panel a category: share of its questions whose answer has come out on top for good by each layer.

    Args:
        first: Category -> model -> (questions,), the layer after which it has; nan if it never does.
        layers: L.
        half: Whether half the depth is marked.
        title: Above all panels: which lens it is.
    """
    figure, axes = panels(len(first), columns=3, width=4.3, height=3.0)
    for index, (ax, (category, models)) in enumerate(zip(axes, first.items(), strict=True)):
        _won(ax, models, layers, half)
        ax.set_ylabel("share of questions whose answer\nis first from this layer on" if index % 3 == 0 else "")
        count = max(len(as_floats(values)) for values in models.values())
        ax.set_title(f"{category} ({count} questions)", loc="left")
        legend(ax, least=1, loc="upper left")
    _head(figure, title)
    return figure


def lens_error(bits: Mapping[str, Any], bias: Mapping[str, Any], *, intervals: Mapping[str, Any] | None = None,
               covers: str = "prompts", title: str = "") -> Figure:
    """A figure of two panels: bits that each lens lacks of the final distribution by place, and its marginal bias.

    The marginal bias is the divergence of the lens's mean distribution from the model's: what a constant would repair.

    Args:
        bits: Lens -> (L,), Kullback–Leibler divergence of the lens from the model's output, mean over tokens, in bits.
        bias: Lens -> (L,), of the mean distributions, in bits.
        intervals: Lens -> (L, 2) of `bits`.
        covers: What the intervals cover.
        title: Above both panels: whose output it is.
    """
    looks = model_looks(list(bits))
    figure, (left, right) = panels(2, width=5.4, height=3.8)
    by_layer(bits, left, intervals=intervals, covers=covers, xlabel=AFTER, zero="", keys=False, looks=looks,
             ylabel="KL divergence from the model's output\n(bits per token)")
    left.set_title("how far a lens is from the model's output", loc="left")
    by_layer(bias, right, xlabel=AFTER, zero="", keys=False, looks=looks,
             ylabel="KL divergence of the mean\ndistributions (bits)")
    right.set_title("marginal bias: the part a constant would repair", loc="left")
    _head(figure, title)
    figure_legend(figure, left)
    return figure


def _head(figure: Figure, title: str) -> None:
    if title:
        figure.suptitle(title, fontsize=10.5, x=0.01, ha="left")


def _won(ax: Axes, models: Mapping[str, Any], layers: int, half: bool) -> None:
    depth_axis(ax, layers)
    ax.set_xlabel(AFTER)
    at = np.arange(layers)
    for index, (name, values) in enumerate(models.items()):
        first = as_floats(values)
        share = np.array([(first <= place).mean() if len(first) else np.nan for place in at])
        ax.step(at, share, where="post", color=color(index), linestyle=_STYLES[index % 4], linewidth=1.8,
                label=f"{name}: {share[-1]:.0%} in the end")
    if half:
        ax.axvline((layers - 1) / 2 - 0.5, color=MUTED, linestyle=":", linewidth=1.2, zorder=1)
        ax.annotate("half depth", ((layers - 1) / 2 - 0.5, 0.02), xytext=(3, 0), textcoords="offset points", fontsize=8,
                    color=MUTED)
    ax.set_ylim(0, 1.03)


def _one_scale(axes: Sequence[Axes]) -> None:
    limits = np.array([ax.get_ylim() for ax in axes])
    for ax in axes:
        ax.set_ylim(limits[:, 0].min(), limits[:, 1].max())
