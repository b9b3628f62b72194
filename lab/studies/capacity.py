"""Short at this budget, or out of capacity? Asked only where the data's information is known exactly."""

import math
from typing import Any

import numpy as np

from lab.evaluation.capacity import learned_bits
from lab.evaluation.intervals import Estimate, over_items
from lab.studies.point_rows import FACTS, bits, information
from lab.studies.rules import undecided
from lab.studies.training_run import Point
from lab.tracking.hypotheses import Hypothesis, Outcome, Verdict
from lab.training.evaluate import Evaluation, last_quarter

NAME = "out_of_capacity"
MARGIN = 0.05
ALL = 0.95
NULL = f"{MARGIN:.0%}: still rising means short at this budget"


def hypotheses(config: Any) -> list[Hypothesis]:
    """Returns the hypothesis where it can be asked: facts of known information."""
    if config.dataset != FACTS:
        return []
    return [Hypothesis(
        NAME, "What is not learned is not learned for want of capacity (otherwise: the run is short at this budget).",
        f"relative rise of learned bits over the last quarter of training (with capacity=true, "
        f"twice the steps over once): refuted, short at this budget, if its 95 % interval lies above {MARGIN:.0%}; "
        f"supported only with capacity=true, if it lies below {MARGIN:.0%} and twice the facts do not raise learned "
        f"bits; undecided if at least {ALL:.0%} was learned or the training diverged", NULL)]


def verdicts(point: Point, config: Any) -> list[Verdict]:
    """Returns the verdict that a single training allows: short at this budget, or not decided."""
    if config.dataset != FACTS:
        return []
    settled = _no_question(point, config)
    if settled:
        return [settled]
    late = last_quarter(point.trained.evaluations)
    if late is None:
        return [_open("too few evaluations: lower eval_every")]
    rise = relative_rise(*late, config.answers)
    where = f"from step {late[0].step} to {late[1].step}"
    if rise.low > MARGIN:
        return [_verdict("refuted", rise, f"short at this budget: learned bits still rose {where}")]
    return [_verdict("undecided", rise, f"little rise {where}; only more steps and more facts can "
                                        "tell: lora_rank with capacity=true")]


def checked(point: Point, longer: Point, larger: Point, config: Any) -> Verdict:
    """Returns the verdict from two further trainings of the same point.

    Args:
        point: The training in question.
        longer: The same with twice the steps.
        larger: The same with twice the facts.
        config: The configuration of `point`.
    """
    settled = _no_question(point, config)
    if settled:
        return settled
    if point.trained.best is None or longer.trained.best is None or larger.trained.best is None:
        return _open("a check training diverged")
    rise = relative_rise(point.trained.best, longer.trained.best, config.answers)
    had, more = bits(point, config) or 0.0, learned_bits(larger.trained.best.nll, config.answers)
    facts = f"twice the facts: {more:.0f} bits after {had:.0f}"
    if rise.low > MARGIN:
        return _verdict("refuted", rise, f"short at this budget: twice the steps add more than {MARGIN:.0%}; {facts}")
    if rise.high < MARGIN and more <= had * (1 + MARGIN):
        return _verdict("supported", rise, f"out of capacity: twice the steps add less than {MARGIN:.0%}, and {facts}")
    return _verdict("undecided", rise, f"twice the steps neither clearly add nor clearly not; {facts}")


def relative_rise(before: Evaluation, after: Evaluation, answers: int) -> Estimate:
    """Returns learned bits after over before, minus 1, facts paired and resampled together.

    Below 1 % of the data's bits `before` counts as 1 %, so that a start from nothing is a large rise and not infinity.
    """
    information_each = math.log2(answers)

    def rise(rows: np.ndarray) -> float:
        floor = 0.01 * len(rows) * information_each
        first = max(floor, len(rows) * information_each - before.nll[rows].sum() / math.log(2))
        last = max(floor, len(rows) * information_each - after.nll[rows].sum() / math.log(2))
        return float(last / first - 1)

    return over_items(rise, len(before.nll))


def _no_question(point: Point, config: Any) -> Verdict | None:
    if point.trained.diverged_at is not None or point.trained.best is None:
        return _open(f"the training diverged at step {point.trained.diverged_at}: divergence, not capacity")
    share = (bits(point, config) or 0.0) / (information(config) or 1.0)
    if share >= ALL:
        return _open(f"{share:.1%} of the data was learned: neither short nor full; ask again with more facts")
    return None


def _open(reason: str) -> Verdict:
    return undecided(NAME, unit="relative rise", null=NULL, detail=reason)


def _verdict(outcome: Outcome, rise: Estimate, detail: str) -> Verdict:
    return Verdict(name=NAME, outcome=outcome, value=rise.value, unit="relative rise", interval=(rise.low, rise.high),
                   covers=rise.covers, null=NULL, detail=detail)
