"""How a measured estimate becomes a verdict: by its interval, never by its point value alone."""

from lab.evaluation.intervals import Estimate
from lab.tracking.hypotheses import Outcome, Verdict

_NO_WIDTH = 1e-12  # equal values differ by the rounding of their sums


def exceeds(name: str, estimate: Estimate, *, threshold: float, unit: str, null: str, detail: str = "") -> Verdict:
    """Returns supported when the whole interval lies above the threshold, refuted when below, else undecided.

    An interval of no width would look like certainty: where every resample gives the same number none is shown, and the
    verdict says so. Of shares give one from `lab.evaluation.intervals.all_alike` instead.
    """
    outcome: Outcome
    if estimate.low > threshold:
        outcome = "supported"
    elif estimate.high < threshold:
        outcome = "refuted"
    else:
        outcome = "undecided"
    interval: tuple[float, float] | None = (estimate.low, estimate.high)
    if estimate.high - estimate.low <= _NO_WIDTH * max(1.0, abs(estimate.value)):
        interval = None
        same = f"no variation over {estimate.covers}, so that no interval can be given"
        detail = "; ".join(part for part in (same, detail) if part)
    return Verdict(name=name, outcome=outcome, value=estimate.value, unit=unit, interval=interval, covers=estimate.covers,
                   null=null, detail=detail)


def undecided(name: str, *, unit: str, null: str, detail: str) -> Verdict:
    """Returns a verdict for what could not be measured, saying why."""
    return Verdict(name=name, outcome="undecided", value=None, unit=unit, interval=None, covers="nothing was measured",
                   null=null, detail=detail)
