"""A single training from its hypotheses to its report; a sweep's children are the same."""

from typing import Any

import numpy as np

from lab.evaluation.intervals import Estimate, over_items
from lab.studies import capacity, forgotten
from lab.studies.closing import close
from lab.studies.point_rows import row, summary
from lab.studies.rules import exceeds, undecided
from lab.studies.training_run import Point, Setup, train_point
from lab.tracking.hypotheses import Hypothesis, Verdict
from lab.tracking.report import Report, next_command
from lab.tracking.run import Run
from lab.training.evaluate import Evaluation, last_quarter

SHOWN = 5
UNIT = "nats/token"
LIMITS = [
    "One training seed: another seed gives other numbers, and the intervals here do not cover that.",
    "A lower held-out loss says nothing about what was forgotten.",
]


def hypotheses(config: Any) -> list[Hypothesis]:
    """Returns what is stated before a single training."""
    stated = [
        Hypothesis("learns", "Training lowers the held-out loss below the bare base's.",
                   "base − best, nats per trained token: supported if its 95 % interval over evaluation rows lies above "
                   "0, refuted if below", "0: the bare base"),
        Hypothesis("still_learning", "The held-out loss still falls when training stops: the run is short.",
                   "loss three quarters through − loss at the end, nats per trained token: supported if its 95 % interval "
                   "over evaluation rows lies above 0, refuted if below", "0: nothing learned between the two"),
    ]
    return stated + forgotten.hypotheses(config) + capacity.hypotheses(config)


def train_single(run: Run, setup: Setup, config: Any, *, r: int, lr: float, question: str, quiet: bool = False) -> Point:
    """Trains one point in an open run whose hypotheses are stated, and closes its record.

    Args:
        run: Open, with `hypotheses(config)` stated.
        setup: Base and data.
        config: The point's configuration.
        r: Rank.
        lr: Peak learning rate.
        question: For the report.
        quiet: Whether to leave the terminal to a parent's summary.
    """
    point = train_point(run, setup, config, r=r, lr=lr)
    run.summary(summary(point, config))
    table = [row(point, config)]
    run.table("training", table)
    forgotten.keep(run, point)
    found = [*_losses(point), *forgotten.verdicts(point, config), *capacity.verdicts(point, config)]
    close(run, found, Report(
        question=question, table=table, limits=forgotten.limits(LIMITS, config), sources=[],
        sections=[*forgotten.sections(point), _answers(point)], prediction=config.predict,
        next=[next_command("attention_compare", run_id=run.id), next_command("probing", run_id=run.id),
              next_command("adapter_geometry", run_id=run.id), next_command("ask", run_ids=run.id),
              next_command("loss_curves", run_ids=run.id)]), quiet=quiet)
    return point


def fall(before: Evaluation, after: Evaluation, *, seed: int = 0) -> Estimate:
    """Returns how much lower the loss is after, nats per trained token, rows paired and resampled together."""
    gain, tokens = before.nll - after.nll, before.tokens

    def per_token(rows: np.ndarray) -> float:
        return float(gain[rows].sum() / tokens[rows].sum())

    return over_items(per_token, len(tokens), seed=seed)


def _losses(point: Point) -> list[Verdict]:
    trained = point.trained
    if trained.best is None:
        reason = f"the training diverged at step {trained.diverged_at}, before any evaluation"
        return [undecided(name, unit=UNIT, null="0", detail=reason) for name in ("learns", "still_learning")]
    learns = exceeds("learns", fall(trained.base, trained.best), threshold=0, unit=UNIT, null="0, the bare base")
    late = last_quarter(trained.evaluations)
    if trained.diverged_at is not None or late is None:
        reason = (f"the training diverged at step {trained.diverged_at}" if trained.diverged_at is not None else
                  "too few evaluations: lower eval_every")
        return [learns, undecided("still_learning", unit=UNIT, null="0", detail=reason)]
    return [learns, exceeds("still_learning", fall(*late), threshold=0, unit=UNIT,
                            null="0, nothing learned between the two",
                            detail=f"between steps {late[0].step} and {late[1].step}")]


def _answers(point: Point) -> tuple[str, str]:
    moments = [m for m in ("base", "last", "best") if any(m in sample for sample in point.samples)]
    head = ["prompt", "expected", *moments]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for sample in point.samples[:SHOWN]:
        lines.append("| " + " | ".join(_cell(sample.get(name, "")) for name in head) + " |")
    return "Answers to held-out prompts (greedy)", "\n".join(lines)


def _cell(text: str) -> str:
    flat = " ".join(text.split()).replace("|", "\\|")
    return flat if len(flat) <= 90 else flat[:89] + "…"
