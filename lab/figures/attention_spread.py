"""How statistics of attention are distributed over heads or prompts, for base and tuned."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lab.figures.arrays import as_floats
from lab.figures.attention_names import label, short, uniform_words
from lab.figures.layout import own_axes, panels
from lab.figures.theme import MUTED, color, legend, nothing

_STYLES = ("-", "--", "-.", ":")


def distribution(samples: Mapping[str, Any], name: str, ax: Axes | None = None, *, over: str = "heads",
                 uniform: Any = None) -> Axes:
    """Cumulative distributions of a statistic: how many heads, or prompts, have at most this much of it.

    Nothing is binned or smoothed; every step is one head or prompt.

    Args:
        samples: Name, such as `base` and `tuned` -> values of any shape; nan where undefined.
        name: Of the statistic.
        over: What the values are, for the axis: heads or prompts.
        uniform: What uniform attention gives, a number or an array, drawn as a line or band.
    """
    ax = own_axes(ax)
    ax.set(xlabel=label(name), ylabel=f"share of {over}")
    ax.set_title(short(name), loc="left")
    series = {key: as_floats(values).ravel() for key, values in samples.items()}
    finite = {key: values[np.isfinite(values)] for key, values in series.items()}
    if not any(len(values) for values in finite.values()):
        nothing(ax, f"{short(name)} is undefined\nfor these prompts")
        return ax
    for index, (key, values) in enumerate(finite.items()):
        if len(values):
            ax.ecdf(values, color=color(index), linestyle=_STYLES[index % len(_STYLES)], linewidth=1.6,
                    label=f"{key} ({len(values)} {over})")
    _uniform(ax, uniform)
    ax.set_ylim(0, 1.02)
    legend(ax, least=1)
    return ax


def distributions(base: Mapping[str, Any], tuned: Mapping[str, Any] | None = None, *, over: str = "heads",
                  uniform: Mapping[str, Any] | None = None) -> Figure:
    """A figure of the distribution of every statistic over heads (means over prompts), or over prompts (over heads).

    Args:
        base: Name -> (prompts, L, H), nan where undefined.
        tuned: Likewise.
        over: `heads` or `prompts`.
        uniform: Name -> what uniform attention gives, a number or an array.

    Raises:
        ValueError: `over` is neither.
    """
    if over not in ("heads", "prompts"):
        raise ValueError(f"a distribution over {over!r} is not known; say over='heads' or over='prompts'.")
    figure, axes = panels(len(base), columns=3 if len(base) in (3, 5, 6, 9) else 4, width=3.7, height=3.1)
    for ax, name in zip(axes, base, strict=True):
        samples = {"base": _reduced(base[name], over)}
        if tuned is not None:
            samples["tuned"] = _reduced(tuned[name], over)
        distribution(samples, name, ax, over=over, uniform=(uniform or {}).get(name))
    return figure


def _reduced(values: Any, over: str) -> np.ndarray:
    values = as_floats(values)
    axes = 0 if over == "heads" else (1, 2)
    return np.asarray(np.ma.masked_invalid(values).mean(axis=axes).filled(np.nan))


def _uniform(ax: Axes, uniform: Any) -> None:
    words = uniform_words(uniform)
    if not words:
        return
    values = as_floats(uniform)
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    if np.isclose(low, high, rtol=5e-3):
        ax.axvline(low, color=MUTED, linestyle=":", linewidth=1.4, label=words, zorder=1)
    else:
        ax.axvspan(low, high, color=MUTED, alpha=0.2, linewidth=0, label=words, zorder=1)
