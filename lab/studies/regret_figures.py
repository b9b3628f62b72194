"""The figures of the study: loss against rate for every arm, best rate against rank, and the two placements."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes

from lab.figures.layout import panels
from lab.figures.rates import rate_curve
from lab.figures.regret import best_rate_by_rank, losses_at_best
from lab.figures.ticks import log_ticks
from lab.studies.regret_arms import FULL
from lab.studies.regret_hypotheses import PAPER_TIMES
from lab.studies.regret_measured import Measured
from lab.tracking.run import Run

_DECADE = 5.0  # so many times the lowest loss, and its axis is logarithmic
_NONE = (float("nan"), float("nan"))


def draw(run: Run, measured: Mapping[str, Measured]) -> None:
    """Draws all three; the third where placements were compared."""
    ranked = [each for each in measured.values() if each.arm.ranked]
    placed = [each for each in measured.values() if not each.arm.ranked and each.arm.name != FULL]
    _draw_curves(run, [*ranked, measured[FULL]])
    _draw_ranks(run, ranked, measured[FULL])
    if placed:
        _draw_placements(run, placed)


def _draw_curves(run: Run, arms: Sequence[Measured]) -> None:
    figure, axes = panels(2, width=6.6, height=4.8)
    _curves(axes[0], arms)
    losses_at_best([each.arm.name for each in arms], [list(each.at_best.values()) for each in arms], axes[1],
                   remarks=[f"lr={each.fit.grid_best:.2g}" if each.fit.grid_best else "–" for each in arms])
    run.figure("rates", figure, _arrays(arms))


def _draw_ranks(run: Run, ranked: Sequence[Measured], full: Measured) -> None:
    figure, axes = panels(1, width=6.4, height=4.8)
    ranks = np.array([each.arm.r for each in ranked])
    best = np.array([each.fit.best or np.nan for each in ranked])
    ends = np.array([each.fit.interval or _NONE for each in ranked])
    line = (full.fit.best, *(full.fit.interval or _NONE)) if full.fit.best else None
    rates = ranked[0].arm.rates
    covers = next((each.fit.covers for each in ranked if each.fit.covers), "")
    best_rate_by_rank(ranks, best, ends, axes[0], tried=(rates[0], rates[-1]), full=line, times=PAPER_TIMES, covers=covers)
    run.figure("best_rate_by_rank", figure, {"ranks": ranks, "best": best, "intervals": ends,
                                             "full": np.array(line if line else (np.nan, *_NONE))})


def _draw_placements(run: Run, arms: Sequence[Measured]) -> None:
    figure, axes = panels(2, width=6.0, height=4.6)
    _curves(axes[0], arms)
    losses_at_best([each.arm.name for each in arms], [list(each.at_best.values()) for each in arms], axes[1],
                   remarks=[f"{each.parameters:,} parameters" for each in arms])
    run.figure("placement", figure, _arrays(arms))


def _curves(ax: Axes, arms: Sequence[Measured]) -> None:
    finite = np.concatenate([each.losses[np.isfinite(each.losses)] for each in arms])
    logarithmic = bool(len(finite) and finite.max() > _DECADE * finite.min() > 0)
    for index, each in enumerate(arms):
        window = None if each.fit.window is None else np.geomspace(*each.fit.window, 200)
        rate_curve(each.rates, each.losses, ax, fit_rates=window, fit_loss=None if window is None else each.fit.at(window),
                   best=each.fit.best, interval=each.fit.interval, label=each.arm.name, index=index, log_loss=logarithmic)
    log_ticks(ax.xaxis, np.concatenate([each.rates for each in arms]))  # of all arms, not of the last alone


def _arrays(arms: Sequence[Measured]) -> dict[str, np.ndarray]:
    found: dict[str, np.ndarray] = {}
    for each in arms:
        name = each.arm.name.replace(", ", "_").replace(" ", "_")
        found |= {f"{name}.rates": each.rates, f"{name}.losses": each.losses, f"{name}.seeds": each.seeds}
        if each.fit.window is not None:
            window = np.geomspace(*each.fit.window, 200)
            found |= {f"{name}.fit_rates": window, f"{name}.fit_losses": each.fit.at(window)}
    return found
