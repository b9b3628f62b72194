"""What a training says about forgetting: its hypothesis, verdict, figure and lines of the report."""

from typing import Any

from lab.evaluation import lost
from lab.evaluation.paired import Change, compare
from lab.studies.forgetting_tables import detectable
from lab.studies.retention import Forgetting
from lab.studies.rules import exceeds, undecided
from lab.studies.training_run import Point
from lab.tracking.hypotheses import Hypothesis, Verdict
from lab.tracking.report import table
from lab.tracking.run import Run

UNIT = "points"
NULL = "0: the bare base, on the same questions"
SAYS_NOTHING = "A lower held-out loss says nothing about what was forgotten."
LIMITS = [
    "The suites are a sample of what the base could do: what else was lost is not known.",
    "Accuracy is by ranked alternatives: a changed style does not count, and neither does an answer that is no alternative.",
]


def hypotheses(config: Any) -> list[Hypothesis]:
    """Returns what is stated about forgetting, where it is measured."""
    if config.evaluate != "forgetting":
        return []
    return [Hypothesis("forgets", "Training lowers the mean ranked accuracy over the suites.",
                       "lost points, bare base − last checkpoint, mean over suites: supported if the 95 % interval over "
                       "questions lies above 0, refuted if below", NULL)]


def verdicts(point: Point, config: Any) -> list[Verdict]:
    """Returns a verdict on each of `hypotheses(config)`."""
    if not hypotheses(config):
        return []
    found = point.forgetting
    if found is None or len(found.steps) < 2:
        return [undecided("forgets", unit=UNIT, null=NULL,
                          detail=f"the training diverged at step {point.trained.diverged_at}, before any checkpoint")]
    return [exceeds("forgets", lost.estimate(found.correct, found.clusters), threshold=0, unit=UNIT, null=NULL,
                    detail=_of(point, found))]


def limits(given: list[str], config: Any) -> list[str]:
    """Returns what may not be concluded, with what measuring forgetting leaves open or settles."""
    return [each for each in given if each != SAYS_NOTHING] + LIMITS if hypotheses(config) else given


def keep(run: Run, point: Point) -> None:
    """Keeps the scores at the checkpoints, and their figure."""
    if point.forgetting is None:
        return
    from lab.figures.forgetting import forgetting_panels
    from lab.figures.layout import panels

    found = point.forgetting
    figure, axes = panels(2, width=5.6, height=3.9)
    forgetting_panels(axes, found.steps, found.learned, lost.by_suite(found.correct),
                      {suite: lost.interval({suite: right}, found.clusters) for suite, right in found.correct.items()},
                      mean_interval=lost.interval(found.correct, found.clusters), kept_step=point.trained.best_step or None)
    run.figure("forgetting", figure, found.arrays())


def sections(point: Point) -> list[tuple[str, str]]:
    """Returns the lines of the report, one a suite."""
    found = point.forgetting
    if found is None or len(found.steps) < 2:
        return []
    rows = [_row(suite, compare(right[0], right[-1], found.clusters[suite])) for suite, right in found.correct.items()]
    first, last = found.bits_per_byte[[0, -1]]
    text = f"Held-out documents: {first:.4f} bits per byte by the bare base, {last:.4f} now."
    return [("Forgetting", "\n\n".join([f"{_of(point, found).capitalize()}.", table(rows), text]))]


def _row(suite: str, change: Change) -> dict[str, Any]:
    low, high = change.estimate.low, change.estimate.high
    return {"suite": suite, "questions": change.items, "base (%)": 100 * change.base, "tuned (%)": 100 * change.tuned,
            "lost (points)": change.estimate.value, "95 % interval": f"{low:.2f} to {high:.2f}",
            "right before only": change.lost, "right after only": change.gained, "p (no change)": change.p,
            "smallest detectable loss (points)": detectable(change), "remark": change.words}


def _of(point: Point, found: Forgetting) -> str:
    """Which weights were scored, and which are kept: the last of the training need not be the best."""
    last, best = int(found.steps[-1]), point.trained.best_step
    if last == best:
        return f"of the weights at step {last}, which are kept"
    which = f"those of step {best} are kept as the best" if best else "nothing is kept"
    return f"of the weights at step {last}; {which}"
