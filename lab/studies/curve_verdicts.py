"""What loss curves are asked, and the rules that answer."""

import math
from collections.abc import Iterable, Sequence
from typing import Any

from lab.studies.curve_readings import Reading
from lab.studies.curve_sources import FRESH, Source
from lab.studies.rules import undecided
from lab.tracking.hypotheses import Hypothesis, Outcome, Verdict
from lab.training import curve_fits, curve_overfitting, curve_plateau
from lab.training.curve_laws import EXPONENTIAL, POWER

NEAR = 0.05
MOST_SAID = 3  # runs whose words stand in a verdict
NOISE = "noise along the curve of the run named, no other seeds"
UNIT = "nats/token"


def hypotheses(sources: Sequence[Source], config: Any, floors: Sequence[tuple[float, str] | None]) -> list[Hypothesis]:
    """Returns what these curves have enough points to be asked.

    Args:
        sources: The runs.
        config: Of `loss_curves`.
        floors: Known entropy of each run's data.
    """
    fitted = [i for i, source in enumerate(sources)
              if len(source.held_out.after(config.fit_after)) >= curve_fits.POINTS_NEEDED]
    stated = []
    if fitted:
        stated.append(Hypothesis(
            "power_law_tail", "The held-out loss falls by a power law rather than exponentially.",
            "each law, with a floor, is fitted to the first three quarters of the points and predicts the rest: supported "
            "if in every run the power law is nearer, by more than noise around the other law gives in 2.5 % of curves; "
            "refuted if in some run the exponential is, by the same rule", "1: both predict alike"))
    if any(floors[i] is not None for i in fitted):
        stated.append(Hypothesis(
            "floor_above_entropy", "Longer training of this kind would not bring the loss down to the entropy of the data.",
            f"floor of the power law minus the known entropy: supported if its 95 % interval lies above 0 in every run; "
            f"refuted if in some run it ends within {NEAR:.0%} of the last loss above the entropy; undecided where the "
            "floor is not identified", "0: the floor is the entropy"))
    if any(len(s.held_out) >= curve_overfitting.POINTS_NEEDED and s.held_out_is != FRESH for s in sources):
        stated.append(Hypothesis(
            "overfits", "After its lowest point the held-out loss rises while the train loss falls.",
            "change of both losses after the lowest held-out point, by the straight line through them: supported if in "
            "every run the 95 % intervals lie above 0 (held-out) and below 0 (train); refuted if in some run the held-out "
            "loss is lowest at the end, falls on, or the train loss rises with it", "0: no rise"))
    if any(len(s.held_out) >= curve_plateau.POINTS_NEEDED for s in sources):
        stated.append(Hypothesis(
            "plateau", "The held-out loss stops improving before the training ends.",
            f"supported if in every run the smoothed loss improves, from some step on, by less than "
            f"{config.plateau_share:.1%} of itself in any {config.plateau_steps or 'fifth of the'} steps; refuted if in "
            "some run it improves by more until the end", "no such step"))
    return stated


def verdicts(stated: Sequence[Hypothesis], readings: Sequence[Reading]) -> list[Verdict]:
    """Returns a verdict on each hypothesis stated."""
    answers = {"power_law_tail": _tail, "floor_above_entropy": _floor, "overfits": _overfits, "plateau": _plateau}
    return [answers[hypothesis.name](hypothesis, readings) for hypothesis in stated]


def _every(said: Sequence[bool | None]) -> Outcome:
    if any(one is False for one in said):
        return "refuted"
    return "supported" if said and all(one is True for one in said) else "undecided"


def _tail(hypothesis: Hypothesis, readings: Sequence[Reading]) -> Verdict:
    usable = [r for r in readings if r.comparison.power_error is not None]
    if not usable:
        return undecided(hypothesis.name, unit="ratio", null=hypothesis.null, detail=_problems(readings))
    said = [{POWER.name: True, EXPONENTIAL.name: False}.get(r.comparison.better) for r in usable]
    ratios = [math.log(_positive(r.comparison.exponential_error) / _positive(r.comparison.power_error)) for r in usable]
    detail = _in_words((r, r.comparison.words) for r in usable)
    return Verdict(hypothesis.name, _every(said), math.exp(sum(ratios) / len(ratios)), "exponential's error / power law's",
                   None, f"{len(usable)} of {len(readings)} runs, no interval", hypothesis.null, detail)


def _floor(hypothesis: Hypothesis, readings: Sequence[Reading]) -> Verdict:
    usable = [r for r in readings if r.usable and r.known_floor is not None]
    if not usable:
        return undecided(hypothesis.name, unit=UNIT, null=hypothesis.null, detail=_problems(readings))
    said, gaps = [], []
    for reading in usable:
        assert reading.power.floor_interval is not None and reading.known_floor is not None
        assert reading.power.floor is not None
        known = reading.known_floor[0]
        low, high = (end - known for end in reading.power.floor_interval)
        gaps.append((reading.power.floor - known, low, high))
        near = high <= NEAR * float(reading.fitted.values[-1])
        said.append((True if low > 0 else False if near else None) if reading.power.floor_identified else None)
    lowest = min(range(len(usable)), key=lambda i: gaps[i][0])
    detail = _in_words((r, f"{r.power.words}, entropy {r.known_floor[0]:.3g} ({r.known_floor[1]})")
                       for r in usable if r.known_floor)
    value, *interval = gaps[lowest]
    return Verdict(hypothesis.name, _every(said), value, f"{UNIT} above the entropy", (interval[0], interval[1]),
                   f"{NOISE}: {usable[lowest].source.name}", hypothesis.null, detail)


def _overfits(hypothesis: Hypothesis, readings: Sequence[Reading]) -> Verdict:
    usable = [r for r in readings if not r.overfitting.problem]
    if not usable:
        detail = _in_words((r, r.overfitting.problem) for r in readings)
        return undecided(hypothesis.name, unit=UNIT, null=hypothesis.null, detail=detail)
    detail = _in_words((r, r.overfitting.words) for r in usable)
    outcome = _every([r.overfitting.overfits for r in usable])
    changes = [(r, r.overfitting.held_out) for r in usable if r.overfitting.held_out is not None]
    if not changes:
        return Verdict(hypothesis.name, outcome, None, UNIT, None, "exact count", hypothesis.null, detail)
    reading, change = min(((r, c) for r, c in changes if c is not None), key=lambda pair: pair[1].value)
    return Verdict(hypothesis.name, outcome, change.value, f"{UNIT} after the lowest point", (change.low, change.high),
                   f"{NOISE}: {reading.source.name}", hypothesis.null, detail)


def _plateau(hypothesis: Hypothesis, readings: Sequence[Reading]) -> Verdict:
    usable = [r for r in readings if not r.plateau.problem]
    if not usable:
        detail = _in_words((r, r.plateau.problem) for r in readings)
        return undecided(hypothesis.name, unit="step", null=hypothesis.null, detail=detail)
    steps = [r.plateau.step for r in usable]
    detail = _in_words((r, r.plateau.words) for r in usable)
    known = [float(step) for step in steps if step is not None]
    outcome = _every([step is not None for step in steps])
    return Verdict(hypothesis.name, outcome, max(known) if known else None, "step", None,
                   "the smoothed curve as measured, no interval", hypothesis.null, detail)


def _problems(readings: Sequence[Reading]) -> str:
    return _in_words((r, r.power.problem or "entropy of the data unknown") for r in readings)


def _in_words(said: Iterable[tuple[Reading, str]]) -> str:
    lines = [f"{reading.source.name}: {words}" for reading, words in said]
    more = f"; and {len(lines) - MOST_SAID} more in the table" if len(lines) > MOST_SAID else ""
    return "; ".join(lines[:MOST_SAID]) + more


def _positive(error: float | None) -> float:
    return max(error or 0.0, 1e-12)
