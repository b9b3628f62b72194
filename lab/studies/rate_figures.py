"""The figures of a sweep over learning rates."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from lab.figures.curves import overlay
from lab.figures.layout import panels
from lab.figures.rates import rate_curve, rate_rank
from lab.studies.paired import best_of, held_out_curve, whole
from lab.studies.training_options import compact
from lab.studies.training_run import Point
from lab.tracking.run import Run
from lab.training.curve_rates import RateFit


def draw(run: Run, points: Sequence[Point], fits: dict[int, RateFit], config: Any) -> None:
    """Draws loss against rate for every rank, the held-out curves, and a map over rate and rank where both vary."""
    kept = {p.run_id for p in whole(points)}
    ranks = np.array([p.r for p in points])
    rates = np.array([p.lr for p in points])
    loss = np.array([best_of(p).loss if p.run_id in kept else np.nan for p in points])
    several = len(fits) > 1
    figure, axes = panels(3 if several else 2, columns=3, height=3.9)
    arrays = {"ranks": ranks, "rates": rates, "loss": loss, "seeds": np.array([p.seed for p in points])}
    for index, (rank, fit) in enumerate(fits.items()):
        mine = ranks == rank
        fitted = np.geomspace(*fit.window, 60) if fit.window else None
        rate_curve(rates[mine], loss[mine], axes[0], fit_rates=fitted, fit_loss=None if fitted is None else fit.at(fitted),
                   best=fit.best, interval=fit.interval, label=f"r={rank}" if several else None, index=index)
        if fitted is not None:
            arrays |= {f"fit_rates_r{rank}": fitted, f"fit_loss_r{rank}": fit.at(fitted)}
    overlay([held_out_curve(p) for p in points], axes[1],
            labels=[label(p, config) for p in points],
            values=rates.tolist(), value_name="learning rate", diverged=[p.trained.diverged_at for p in points])
    if several:
        grid_rates, grid_ranks = np.unique(rates), np.unique(ranks)
        cells = np.array([[_mean(loss[(ranks == rank) & (rates == rate)]) for rate in grid_rates] for rank in grid_ranks])
        rate_rank(cells, grid_rates, grid_ranks, axes[2])
        arrays |= {"map": cells, "map_rates": grid_rates, "map_ranks": grid_ranks}
    run.figure("rates", figure, arrays)


def label(point: Point, config: Any) -> str:
    """Returns a training's short name among those of its sweep."""
    rank = f"r={point.r}, " if len(set(config.r)) > 1 else ""
    return f"{rank}lr={compact(point.lr)}{'' if config.seeds == 1 else f', seed {point.seed}'}"


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if len(values) and np.isfinite(values).all() else float("nan")
