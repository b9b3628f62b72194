"""How a measured estimate becomes a verdict: by its interval, never by its point value alone."""

from lab.evaluation.intervals import Estimate
from lab.tracking.hypotheses import Outcome, Verdict


def exceeds(name: str, estimate: Estimate, *, threshold: float, unit: str, null: str, detail: str = "") -> Verdict:
    """Returns supported when the whole interval lies above the threshold, refuted when below, else undecided."""
    outcome: Outcome
    if estimate.low > threshold:
        outcome = "supported"
    elif estimate.high < threshold:
        outcome = "refuted"
    else:
        outcome = "undecided"
    return Verdict(name=name, outcome=outcome, value=estimate.value, unit=unit, interval=(estimate.low, estimate.high),
                   covers=estimate.covers, null=null, detail=detail)


def undecided(name: str, *, unit: str, null: str, detail: str) -> Verdict:
    """Returns a verdict for what could not be measured, saying why."""
    return Verdict(name=name, outcome="undecided", value=None, unit=unit, interval=None, covers="nothing was measured",
                   null=null, detail=detail)
