"""The paper's claims beside this run's: setup, number, interval and verdict."""

from collections.abc import Sequence
from typing import Any

from lab.studies import illusion_hypotheses as stated_as
from lab.studies.trials import Trial
from lab.tracking.hypotheses import Verdict
from lab.tracking.report import cell

_NONE = "not measured"
# Setup and number by hypothesis, from figures 4 to 8 and the text.
_CLAIMS: dict[str, tuple[str, str]] = {
    stated_as.MATCHED: ("RoBERTa-base r=1/8/64 against full on MNLI, accuracy .868/.870/.872 against .875; Llama-2-7B",
                        "r ≤ 16 always, up to r=256 in Llama-2; counts in a figure only"),
    stated_as.NONE_IN_FULL: ("the same", "almost none, even at ε = .6 to .9; a figure only"),
    stated_as.BEYOND_RANDOM: (_NONE, "no such null"),
    stated_as.WITH_FORGETTING: ("RoBERTa on MNLI over rates; Llama-2-7B", ".971; .59 (p = .0006). No intervals"),
    stated_as.AT_EQUAL_NORM: (_NONE, "no such control"),
    stated_as.SAVES: ("RoBERTa on QQP, r=8, top intruder times 0.7",
                      "33.2 % of forgetting gone; MNLI times 0.5: 13.7 % (r=1), 19.8 % (r=8); MetaMath r=256 times 0.3: "
                      "33.3 %"),
    stated_as.BEYOND_SHRINKING: (_NONE, "no such control"),
    stated_as.BEYOND_NEIGHBOURS: ("neighbours that are no intruders", "a figure only"),
    stated_as.LEARNING_KEPT: ("RoBERTa on QQP, r=8, top intruder times 0.7",
                              "accuracy -0.0 %; MNLI times 0.5: -2.7 % (r=1), -0.6 % (r=8); MetaMath times 0.3: -0.1 %"),
}


def setup(config: Any, trained: Sequence[Trial]) -> str:
    """Returns in words what was trained here."""
    ranks = ",".join(map(str, sorted(set(config.r))))
    return (f"{config.model} on {config.dataset}, {config.steps} steps, r={ranks} and full, {len(trained)} trainings, "
            f"alpha {config.alpha:g}; forgetting in bits per byte of held-out documents")


def rows(verdicts: Sequence[Verdict], here: str) -> list[dict[str, Any]]:
    """Returns one line for each claim, the paper's number beside ours.

    Args:
        verdicts: Of the study.
        here: Its setup in words.
    """
    found = []
    for verdict in verdicts:
        told, number = _CLAIMS[verdict.name]
        interval = None if verdict.interval is None else " to ".join(map(cell, verdict.interval))
        found.append({"claim": verdict.name.replace("_", " "), "paper: setup": told, "paper: number": number,
                      "here: number": None if verdict.value is None else f"{cell(verdict.value)} {verdict.unit}",
                      "here: 95 % interval": interval, "interval covers": verdict.covers, "here: null": verdict.null,
                      "verdict": verdict.outcome, "remark": verdict.detail, "here: setup": here})
    return found
