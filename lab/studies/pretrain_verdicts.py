"""What pretraining is asked, and the rules that answer."""

from collections.abc import Mapping
from typing import Any

from lab.data.world import CATEGORIES
from lab.evaluation.intervals import Estimate, of_share
from lab.studies.rules import exceeds
from lab.tracking.hypotheses import Hypothesis, Verdict
from lab.training.pretrain_accuracy import Accuracy


def hypotheses() -> list[Hypothesis]:
    """Returns one hypothesis per category of questions."""
    return [Hypothesis(f"generalises_{category}", f"The model answers {category} questions that it has never seen.",
                       "greedy exact-match accuracy on held-out questions: supported if its exact 95 % interval lies above "
                       "chance, refuted if below", "chance: the best constant or uniform answer")
            for category in CATEGORIES]


def verdicts(accuracies: Mapping[str, Accuracy]) -> list[Verdict]:
    """Returns the verdicts on `hypotheses`."""
    return [exceeds(f"generalises_{category}", _estimate(found), threshold=found.chance, unit="accuracy",
                    null=f"chance {found.chance:.3f}") for category, found in accuracies.items()]


def table(accuracies: Mapping[str, Accuracy]) -> list[dict[str, Any]]:
    """Returns one row per category: accuracy with its interval, chance, and the counts."""
    rows = []
    for category, found in accuracies.items():
        estimate = _estimate(found)
        rows.append({"category": category, "accuracy": round(found.share, 4), "low": round(estimate.low, 4),
                     "high": round(estimate.high, 4), "chance": round(found.chance, 4), "questions": found.count})
    return rows


def _estimate(found: Accuracy) -> Estimate:
    return of_share(found.correct, found.count, f"held-out questions only (n={found.count})")
