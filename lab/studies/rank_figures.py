"""The figures of a sweep over ranks."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from lab.evaluation.capacity import learned_bits
from lab.evaluation.intervals import Estimate
from lab.figures.curves import overlay
from lab.figures.layout import panels
from lab.figures.ranks import learned_bits_by_rank, loss_by_rank
from lab.studies.paired import best_of, estimate, held_out_curve, whole
from lab.studies.point_rows import bits, information
from lab.studies.training_run import Point
from lab.tracking.run import Run


def draw(run: Run, points: Sequence[Point], config: Any) -> None:
    """Draws loss against parameters, learned bits against rank where known, and the held-out curves, into one figure."""
    kept = {p.run_id for p in whole(points)}
    ranks = np.array([p.r for p in points])
    parameters = np.array([p.parameters for p in points])
    loss = np.array([best_of(p).loss if p.run_id in kept else np.nan for p in points])
    estimates = [_loss_interval(points, rank) for rank in sorted(set(ranks.tolist()))]
    intervals, covers = _bounds(estimates)
    total = information(config)
    figure, axes = panels(3 if total else 2, columns=3, height=3.9)
    loss_by_rank(parameters, loss, ranks, axes[0], intervals=intervals, base_loss=points[0].trained.base.loss,
                 covers=covers)
    overlay([held_out_curve(p) for p in points], axes[1], labels=[label(p, config) for p in points], values=ranks.tolist(),
            value_name="rank", diverged=[p.trained.diverged_at for p in points])
    arrays = {"ranks": ranks, "parameters": parameters, "loss": loss, "loss_intervals": intervals,
              "seeds": np.array([p.seed for p in points])}
    if total:
        learned = np.array([bits(p, config) if p.run_id in kept else np.nan for p in points], dtype=float)
        bounds, covers = _bounds([_bits_interval(points, rank, config.answers) for rank in sorted(set(ranks.tolist()))])
        learned_bits_by_rank(ranks, learned, axes[2], intervals=bounds, total=total, parameters=parameters, covers=covers)
        arrays |= {"learned_bits": learned, "learned_bits_intervals": bounds, "total_bits": np.array(total)}
    run.figure("ranks", figure, arrays)


def label(point: Point, config: Any) -> str:
    """Returns a training's short name among those of its sweep."""
    return f"r={point.r}" if config.seeds == 1 else f"r={point.r}, seed {point.seed}"


def _loss_interval(points: Sequence[Point], rank: int) -> Estimate | None:
    return estimate(points, lambda p: p.r, [rank], lambda losses: losses[rank][0] / losses[rank][1])


def _bits_interval(points: Sequence[Point], rank: int, answers: int) -> Estimate | None:
    facts = len(points[0].trained.base.nll)
    return estimate(points, lambda p: p.r, [rank],
                    lambda losses: learned_bits(np.full(facts, losses[rank][0] / facts), answers))


def _bounds(estimates: Sequence[Estimate | None]) -> tuple[np.ndarray, str]:
    bounds = np.array([(e.low, e.high) if e else (np.nan, np.nan) for e in estimates])
    return bounds, next((e.covers for e in estimates if e), "")
