"""Learning against forgetting over the trainings of a sweep: figure, table and section of the report."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from lab.evaluation import lost
from lab.evaluation.frontier import common, estimate_at, undominated
from lab.figures.frontier import frontier
from lab.figures.layout import panels
from lab.studies.training_run import Point
from lab.tracking.report import table
from lab.tracking.run import Run

LIMIT = ("Where an interval is wider than what parts two trainings, the frontier does not order them; and a point is on it "
         "among these trainings only.")


def limits(given: list[str], config: Any) -> list[str]:
    """Returns what may not be concluded, with what the frontier leaves open where one is drawn."""
    return [*given, LIMIT] if config.evaluate == "forgetting" else given


def draw(run: Run, points: Sequence[Point], *, label: Callable[[Point], str], value: Callable[[Point], float | None]
         ) -> list[tuple[str, str]]:
    """Keeps the figure and the table of the sweep, and returns the section of its report; nothing without checkpoints.

    Args:
        run: The sweep's, open.
        points: Its trainings, in order.
        label: A short name of each.
        value: What each is coloured by.
    """
    measured = [p for p in points if p.forgetting is not None and len(p.forgetting.steps) > 1]
    if not measured:
        return []
    kept = [p.forgetting for p in measured if p.forgetting is not None]
    learned, lost_points = [each.learned for each in kept], [each.lost_points for each in kept]
    intervals = [lost.interval(each.correct, each.clusters) for each in kept]
    ringed = rings(learned, lost_points)
    figure, axes = panels(1, width=7.6, height=5.2)
    labels = [label(point) for point in measured]
    frontier(learned, lost_points, axes[0], labels=labels, values=[value(p) for p in measured], intervals=intervals,
             ringed=ringed)
    run.figure("frontier", figure, arrays(labels, [each.steps for each in kept], learned, lost_points, intervals, ringed))
    rows = _rows(labels, learned, lost_points, intervals, ringed, [p.run_id for p in measured])
    run.table("frontier", rows)
    return [("Learning and forgetting", f"{_explained(learned)}\n\n{table(rows)}")]


def rings(learned: Sequence[np.ndarray], lost_points: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Returns for each training which of its checkpoints no point of any training beats, [C] bool; never the bare base."""
    sizes = [len(each) - 1 for each in learned]
    best = undominated(np.concatenate([each[1:] for each in learned]), np.concatenate([each[1:] for each in lost_points]))
    return [np.concatenate([[False], part]) for part in np.split(best, np.cumsum(sizes)[:-1])]


def arrays(labels: Sequence[str], steps: Sequence[np.ndarray], learned: Sequence[np.ndarray],
           lost_points: Sequence[np.ndarray], intervals: Sequence[np.ndarray], ringed: Sequence[np.ndarray]
           ) -> dict[str, np.ndarray]:
    """Returns what the figure shows, by training: `<number>/steps`, `/learned`, `/lost_points`, `/interval`, `/frontier`."""
    found = {"labels": np.array(labels)}
    columns = {"steps": steps, "learned": learned, "lost_points": lost_points, "interval": intervals, "frontier": ringed}
    for name, each in columns.items():
        found |= {f"{number}/{name}": values for number, values in enumerate(each)}
    return found


def _rows(labels: Sequence[str], learned: Sequence[np.ndarray], lost_points: Sequence[np.ndarray],
          intervals: Sequence[np.ndarray], ringed: Sequence[np.ndarray], runs: Sequence[str]) -> list[dict[str, Any]]:
    level, rows = common(learned), []
    for name, gain, cost, ends, ring, run_id in zip(labels, learned, lost_points, intervals, ringed, runs, strict=True):
        at = None if level is None else estimate_at(gain, cost, ends, level, "questions")
        rows.append({
            "training": name, "learned (nats/token)": float(gain[-1]), "lost (points)": float(cost[-1]),
            "95 % interval": _ends(*ends[-1]), "lost at equal learning (points)": None if at is None else at.value,
            "its 95 % interval": None if at is None else _ends(at.low, at.high),
            "checkpoints that none beats": f"{int(ring.sum())} of {len(ring) - 1}", "run": run_id})
    return rows


def _ends(low: float, high: float) -> str:
    return f"{low:.2f} to {high:.2f}"


def _explained(learned: Sequence[np.ndarray]) -> str:
    level = common(learned)
    at = "one training learned nothing" if level is None else f"{level:.4g} nats per token, the most that every one learned"
    return ("Lost points are of the last checkpoint, mean over suites, against the bare base on the same questions; above 0 "
            f"is worse. Equal learning: {at}; linear between checkpoints. Intervals cover the questions, and no other seed "
            "of the training.")
