"""How sure base and tuned model are of their picks, and whether they are right as often: proper scores first."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from lab.evaluation.calibration import Calibration, brier, calibration
from lab.evaluation.scores import Ranked
from lab.studies.forgetting_compared import Compared, Questions


@dataclass(frozen=True)
class Calibrated:
    """One model on one suite.

    Attributes:
        brier: Mean Brier score, 0 to 2.
        nll: Nats; mean of minus the log-likelihood of the right alternative among the alternatives.
        error: Expected calibration error beside its null.
    """

    brier: float
    nll: float
    error: Calibration


def measure(found: Compared) -> dict[str, tuple[Calibrated, Calibrated]]:
    """Returns base and tuned model by suite of questions."""
    return {one.name: (_of(one.base), _of(one.tuned)) for one in found.questions}


def rows(found: Compared, measured: dict[str, tuple[Calibrated, Calibrated]]) -> list[dict[str, Any]]:
    """Returns one row a suite.

    Args:
        found: The comparison.
        measured: From `measure`.
    """
    return [_row(one, *measured[one.name]) for one in found.questions]


def _of(scores: Ranked) -> Calibrated:
    return Calibrated(float(brier(scores.probability, scores.gold).mean()), float(scores.gold_nll.mean()),
                      calibration(scores.probability, scores.gold))


def _row(one: Questions, base: Calibrated, tuned: Calibrated) -> dict[str, Any]:
    shift = one.nll.estimate
    row = {"suite": one.name, "Brier, base": base.brier, "Brier, tuned": tuned.brier, "nats, base": base.nll,
           "nats, tuned": tuned.nll, "rise (nats)": shift.value, "95 % interval": f"{shift.low:.4g} to {shift.high:.4g}"}
    for label, each in (("base", base), ("tuned", tuned)):
        row |= {f"calibration error, {label}": each.error.error, f"if calibrated, {label}": each.error.null,
                f"its 95th percentile, {label}": each.error.null_high}
    return row


def arrays(found: Compared) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Returns, by model, the probability of what it ranks first over all suites, and whether that is right."""
    sure, right = {}, {}
    for label in ("base", "tuned"):
        each = [getattr(one, label) for one in found.questions]
        sure[label] = np.concatenate([scores.probability.max(1) for scores in each])
        right[label] = np.concatenate([scores.correct for scores in each])
    return sure, right
