"""What pretraining is asked, and the rules that answer."""

from collections.abc import Mapping
from typing import Any

from lab.data.world import CATEGORIES
from lab.evaluation.intervals import Estimate, of_share
from lab.studies.rules import exceeds
from lab.tracking.hypotheses import Hypothesis, Verdict
from lab.training.pretrain_accuracy import COPIED_LENGTHS, RANDOM_COPY, Accuracy


def hypotheses() -> list[Hypothesis]:
    """Returns one hypothesis per category of questions, and one on copying random tokens."""
    lengths = " or ".join(map(str, COPIED_LENGTHS))
    categories = [Hypothesis(_name(category), f"The model answers {category} questions that it has never seen.",
                             "greedy exact-match accuracy on held-out questions: supported if its exact 95 % interval lies "
                             "above chance, refuted if below", "chance: the best constant or uniform answer")
                  for category in CATEGORIES]
    copying = Hypothesis(_name(RANDOM_COPY), f"The model continues the second copy of {lengths} random tokens.",
                         "share of fresh sequences whose token at a random place of the second copy is the likeliest: "
                         "supported if its exact 95 % interval lies above chance, refuted if below",
                         "chance: one ordinary token among all")
    return [*categories, copying]


def verdicts(accuracies: Mapping[str, Accuracy]) -> list[Verdict]:
    """Returns the verdicts on `hypotheses`."""
    return [exceeds(_name(category), _estimate(category, found), threshold=found.chance, unit="accuracy",
                    null=f"chance {found.chance:.3g}") for category, found in accuracies.items()]


def table(accuracies: Mapping[str, Accuracy]) -> list[dict[str, Any]]:
    """Returns one row per category and for copying random tokens: accuracy with its interval, chance, and the counts."""
    rows = []
    for category, found in accuracies.items():
        estimate = _estimate(category, found)
        rows.append({"category": category, "accuracy": round(found.share, 4), "low": round(estimate.low, 4),
                     "high": round(estimate.high, 4), "chance": round(found.chance, 4), "questions": found.count})
    return rows


def _name(category: str) -> str:
    return "copies_random_tokens" if category == RANDOM_COPY else f"generalises_{category}"


def _estimate(category: str, found: Accuracy) -> Estimate:
    trials = "fresh sequences" if category == RANDOM_COPY else "held-out questions"
    return of_share(found.correct, found.count, f"{trials} only (n={found.count})")
