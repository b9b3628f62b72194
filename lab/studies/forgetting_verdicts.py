"""What `forgetting` claims before it scores anything, and what came out."""

import math
from typing import Any

import numpy as np

from lab.evaluation.intervals import Estimate
from lab.evaluation.paired import TOLERATED, Change, compare
from lab.studies.forgetting_compared import Compared, Documents
from lab.studies.forgetting_tasks import Suites
from lab.tracking.hypotheses import Hypothesis, Outcome, Verdict

ALPHA = 0.05
TEXT_SHARE = 0.02  # of the base's bits per byte
_POINTS = "points of accuracy"
_NULL = "0: the bare base on the same items"


def hypotheses(suites: Suites, config: Any) -> list[Hypothesis]:
    """Returns one claim a suite: that next to nothing was lost; and one on the form of answers.

    Args:
        suites: What will be asked.
        config: Of the study: `run_id` and `greedy`.
    """
    if config.run_id is None:
        return [Hypothesis("repeats", "Scoring the same model twice gives the same numbers.",
                           "items whose score differs in any digit: supported if none, refuted if any", "0 items")]
    rule = (f"lost points, 100 · (base − tuned accuracy): supported if the upper end of the 95 % interval is under "
            f"{TOLERATED:g}; refuted if the loss is significant (p < {ALPHA:g}, Holm over all suites) and the interval lies "
            "above 0; else undecided")
    stated = [Hypothesis(f"keeps_{name}", f"Training cost less than {TOLERATED:g} points in {name}.", rule, _NULL)
              for name in suites.judged]
    for name in suites.read:
        stated.append(Hypothesis(
            f"keeps_{name}", f"Texts became less likely by less than {100 * TEXT_SHARE:g} % of the base's bits per byte.",
            "tuned − base, bits per byte: supported if the upper end of the 95 % interval is under that; refuted if the "
            f"rise is significant (p < {ALPHA:g}, Holm) and the interval lies above 0; else undecided", _NULL))
    if config.greedy and suites.items:
        stated.append(Hypothesis(
            "keeps_format", "Answers keep the form that was asked for, be they right or wrong.",
            f"share of answers in another form, tuned − base, in points: supported if the upper end is under {TOLERATED:g}; "
            f"refuted if p < {ALPHA:g} and the interval lies above 0; else undecided. Another form is no forgetting", _NULL))
    return stated


def verdicts(found: Compared, config: Any) -> list[Verdict]:
    """Returns a verdict for each claim.

    Args:
        found: The comparison.
        config: Of the study: `run_id`.
    """
    if config.run_id is None:
        return [_repeats(found)]
    judged = [_kept(f"keeps_{one.name}", one.change, one.p) for one in found.judged]
    judged += [_read(one) for one in found.documents]
    form = form_change(found)
    return judged + ([_kept("keeps_format", form, form.p)] if form is not None else [])


def form_change(found: Compared) -> Change | None:
    """Returns how many answers more are in another form than was asked for, over all suites, or None without answers."""
    said = [(one.name, one.said, one.base.clusters) for one in found.questions if one.said is not None]
    if not said:
        return None
    base, tuned = (np.concatenate([~pair[model].misformatted for _, pair, _ in said]) for model in (0, 1))
    return compare(base, tuned, np.array([f"{name}/{cluster}" for name, _, clusters in said for cluster in clusters]))


def outcome(estimate: Estimate, p: float, tolerated: float) -> Outcome:
    """Returns supported if the loss is surely small, refuted if it is surely there, else undecided.

    A loss that is both, significant and surely under the bar, counts as small.

    Args:
        estimate: Of the loss.
        p: Adjusted.
        tolerated: In the estimate's unit.
    """
    if estimate.high < tolerated:
        return "supported"
    return "refuted" if p < ALPHA and estimate.low > 0 else "undecided"


def _kept(name: str, one: Change, p: float) -> Verdict:
    said = [f"{one.lost} from right to wrong, {one.gained} from wrong to right of {one.items}", f"p {p:.3g} ({one.method})",
            *([one.words] if one.words else []),
            f"the smallest detectable loss is {one.detectable:.2g} points" if math.isfinite(one.detectable) else
            "with so few clusters no loss could be called"]
    unit = "points of answers" if name == "keeps_format" else _POINTS
    return Verdict(name, outcome(one.estimate, p, TOLERATED), one.estimate.value, unit,
                   (one.estimate.low, one.estimate.high), one.estimate.covers, _NULL, "; ".join(said))


def _read(one: Documents) -> Verdict:
    shift, estimate, p = one.shift, one.shift.estimate, one.p
    wide = estimate.high > estimate.low
    return Verdict(f"keeps_{one.name}", outcome(estimate, p, TEXT_SHARE * shift.base), estimate.value, "bits per byte",
                   (estimate.low, estimate.high) if wide else None, estimate.covers, _NULL,
                   f"{shift.base:.4g} before, {shift.tuned:.4g} after; p {p:.3g}, Holm")


def _repeats(found: Compared) -> Verdict:
    differing = sum(int((np.asarray(one.base.loglikelihood) != one.tuned.loglikelihood).any(1).sum())
                    for one in found.questions)
    differing += sum(int((one.base.nll != one.tuned.nll).sum()) for one in found.documents)
    differing += sum(sum(a != b for a, b in zip(one.said[0].said, one.said[1].said, strict=True))
                     for one in found.questions if one.said)
    items = sum(one.change.items for one in found.judged) + sum(one.shift.items for one in found.documents)
    return Verdict("repeats", "refuted" if differing else "supported", float(differing), "items", None,
                   "nothing varies: the same model, items and batches", "0 items", f"of {items} items")
