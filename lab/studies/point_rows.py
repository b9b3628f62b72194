"""What a trained point shows in tables: losses, and learned bits where the data's information is known."""

import math
from typing import Any

from lab.evaluation import lost
from lab.evaluation.capacity import learned_bits
from lab.studies.training_options import TrainingOptions, compact
from lab.studies.training_run import Point

FACTS = "embedded:facts"


def information(config: TrainingOptions) -> float | None:
    """Returns the bits in the data's answers, where that is known exactly, or None."""
    return config.facts * math.log2(config.answers) if config.dataset == FACTS else None


def bits(point: Point, config: TrainingOptions) -> float | None:
    """Returns the bits a point learned at its best evaluation, or None where the data does not say."""
    if config.dataset != FACTS:
        return None
    return learned_bits(point.trained.best.nll, config.answers) if point.trained.best is not None else 0.0


def row(point: Point, config: TrainingOptions) -> dict[str, Any]:
    """Returns one line of the comparison table."""
    trained = point.trained
    best = trained.best
    cells: dict[str, Any] = {
        "r": point.r if point.r is not None else "full", "lr": compact(point.lr), "seed": point.seed,
        "trainable parameters": point.parameters, "loss, base (nats/token)": round(trained.base.loss, 4),
        "loss, best (nats/token)": round(best.loss, 4) if best else None,
        "bits per byte, best": round(best.bits_per_byte, 4) if best else None, "best step": trained.best_step or None}
    total = information(config)
    if total is not None:
        learned = bits(point, config) or 0.0
        cells |= {"learned (bits)": round(learned), "learned (share)": round(learned / total, 4),
                  "bits per parameter": round(learned / point.parameters, 4),
                  "exposures per fact": round((1 - config.replay) * trained.last_step * config.batch_size
                                              * config.accumulate / config.facts, 2)}
    if point.forgetting is not None and len(point.forgetting.steps) > 1:
        estimate = lost.estimate(point.forgetting.correct, point.forgetting.clusters)
        cells |= {"lost (points)": round(estimate.value, 2),
                  "lost, 95 % interval": f"{estimate.low:.2f} to {estimate.high:.2f}",
                  "lost at step": int(point.forgetting.steps[-1])}
    cells |= {"diverged at step": trained.diverged_at, "seconds": round(point.seconds, 1), "run": point.run_id}
    return cells


def summary(point: Point, config: TrainingOptions) -> dict[str, float]:
    """Returns the figures that a run is compared by, under their metric names."""
    trained = point.trained
    if trained.best is None:
        return {}
    values = {"best/loss": trained.best.loss, "best/bits_per_byte": trained.best.bits_per_byte,
              "best/step": float(trained.best_step)}
    total = information(config)
    if total is not None:
        learned = bits(point, config) or 0.0
        values |= {"facts/learned_bits": learned, "facts/learned_share": learned / total,
                   "facts/bits_per_parameter": learned / point.parameters}
    return values
