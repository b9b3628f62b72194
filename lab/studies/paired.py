"""Intervals for what is computed from several trainings on the same evaluation rows."""

from collections.abc import Callable, Hashable, Sequence
from typing import Any

import numpy as np

from lab.evaluation.intervals import Estimate, over_items, over_seeds
from lab.studies.training_run import Point
from lab.training.evaluate import Evaluation

Losses = dict[Any, tuple[float, float]]


def whole(points: Sequence[Point]) -> list[Point]:
    """Returns the points whose training ran to its end."""
    return [p for p in points if p.trained.diverged_at is None and p.trained.best is not None]


def best_of(point: Point) -> Evaluation:
    """Returns the best evaluation of a point of `whole`."""
    assert point.trained.best is not None
    return point.trained.best


def estimate(points: Sequence[Point], key: Callable[[Point], Hashable], keys: Sequence[Any],
             statistic: Callable[[Losses], float]) -> Estimate | None:
    """Returns a statistic of the trainings named by `keys`, with its interval, or None if no seed has them all.

    Over seeds where at least two seeds have every key, else over evaluation rows of the one that has: the same rows for
    every training, so that what they share cancels.

    Args:
        points: Of a sweep; diverged ones are left out.
        key: What tells a seed's points apart, such as the rank.
        keys: Those that the statistic needs.
        statistic: Takes {key: (summed nats, trained tokens)}; sums, so that resampled rows are weighted as the loss is.
    """
    by_seed: dict[int, dict[Any, Point]] = {}
    for point in whole(points):
        if key(point) in keys:
            by_seed.setdefault(point.seed, {})[key(point)] = point
    complete = [chosen for _, chosen in sorted(by_seed.items()) if len(chosen) == len(set(keys))]
    if not complete:
        return None

    def of(chosen: dict[Any, Point], rows: np.ndarray) -> float:
        return statistic({k: (float(best_of(p).nll[rows].sum()), float(best_of(p).tokens[rows].sum()))
                          for k, p in chosen.items()})

    items = len(best_of(complete[0][keys[0]]).nll)
    if len(complete) >= 2:
        return over_seeds([of(chosen, np.arange(items)) for chosen in complete])
    return over_items(lambda rows: of(complete[0], rows), items)


def held_out_curve(point: Point) -> tuple[np.ndarray, np.ndarray]:
    """Returns steps and losses of the evaluations after step 0; the bare base lies far above and says nothing of a sweep.

    A training that diverged before any evaluation has only the bare base.
    """
    evaluations = point.trained.evaluations[1:] or point.trained.evaluations
    return np.array([e.step for e in evaluations]), np.array([e.loss for e in evaluations])


def left_out(points: Sequence[Point]) -> str:
    """Returns the words for the points that diverged, or nothing."""
    kept = {p.run_id for p in whole(points)}
    lost = [f"r={p.r} lr={p.lr:g} seed={p.seed}" for p in points if p.run_id not in kept]
    return f"left out, diverged: {', '.join(lost)}" if lost else ""
