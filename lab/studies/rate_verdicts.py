"""What a sweep over learning rates is asked, and the rules that answer."""

import math
from collections.abc import Sequence
from functools import partial
from typing import Any

from lab.evaluation.intervals import Estimate
from lab.studies.paired import Losses, best_of, estimate, left_out, whole
from lab.studies.rules import undecided
from lab.studies.training_options import compact
from lab.studies.training_run import Point
from lab.tracking.hypotheses import Hypothesis, Outcome, Verdict
from lab.training.curve_rate_ratio import ratio
from lab.training.curve_rates import RateFit, best_rate

FACTOR = 2.0
SAME = f"a factor of {FACTOR:g}"


def hypotheses(config: Any) -> list[Hypothesis]:
    """Returns what this sweep has enough points to ask."""
    rates, ranks = sorted(set(config.lr)), sorted(set(config.r))
    stated = []
    if len(rates) >= 2:
        stated.append(Hypothesis(
            "highest_diverges", f"The highest rate, {compact(rates[-1])}, diverges.",
            "share of its trainings whose loss became non-finite or rose to 1.2 times its start and stayed above: "
            "supported if all, refuted if none, else undecided", "0: none diverges"))
    if len(rates) >= 3:
        stated.append(Hypothesis(
            "best_rate_inside", "For every rank the best rate lies inside the grid.",
            "loss at each end of the grid minus the lowest loss (an end that diverged counts as worse): supported if both "
            "95 % intervals lie above 0 for every rank, refuted if for some rank an end is the best and better than every "
            "rate inside by such an interval", "0: an end is as good"))
        if len(ranks) >= 2:
            stated.append(Hypothesis(
                "best_rate_free_of_rank", f"The best rate of the largest and the smallest rank differ by less than {SAME}.",
                f"ratio of the two best rates (smooth curve in the logarithm of the rate): supported if its interval lies "
                f"between 1/{FACTOR:g} and {FACTOR:g}, refuted if wholly outside", "1: the same rate"))
    return stated


def fits(points: Sequence[Point]) -> dict[int, RateFit]:
    """Returns the best rate of each rank."""
    kept = {p.run_id for p in whole(points)}
    found = {}
    for rank in sorted({p.r for p in points if p.r is not None}):
        mine = [p for p in points if p.r == rank]
        losses = [best_of(p).loss if p.run_id in kept else math.nan for p in mine]
        found[rank] = best_rate([p.lr for p in mine], losses, [p.seed for p in mine])
    return found


def verdicts(points: Sequence[Point], found: dict[int, RateFit], config: Any) -> list[Verdict]:
    """Returns a verdict on each of `hypotheses(config)`."""
    answers = {"highest_diverges": lambda: _diverges(points, config),
               "best_rate_inside": lambda: _inside(points, found, config),
               "best_rate_free_of_rank": lambda: _free_of_rank(found)}
    return [answers[hypothesis.name]() for hypothesis in hypotheses(config)]


def _diverges(points: Sequence[Point], config: Any) -> Verdict:
    highest = [p for p in points if p.lr == max(config.lr)]
    lost = len(highest) - len(whole(highest))
    share = lost / len(highest)
    outcome: Outcome = "supported" if share == 1 else "refuted" if share == 0 else "undecided"
    return Verdict(name="highest_diverges", outcome=outcome, value=share, unit="share of trainings", interval=None,
                   covers=f"exact count, {lost} of {len(highest)}", null="0: none diverges", detail=left_out(points))


def _inside(points: Sequence[Point], found: dict[int, RateFit], config: Any) -> Verdict:
    name, null = "best_rate_inside", "0: an end is as good"
    rates, results, words = sorted(set(config.lr)), [], []
    worst: Estimate | None = None
    for rank, fit in found.items():
        result, gap = _rank_inside([p for p in points if p.r == rank], rates)
        results.append(result)
        words.append(f"r={rank}: {fit.words}")
        worst = gap if worst is None or (gap is not None and gap.value < worst.value) else worst
    outcome: Outcome = "refuted" if "refuted" in results else "undecided" if "undecided" in results else "supported"
    if worst is None:
        if outcome == "supported":  # both ends diverged for every rank
            return Verdict(name=name, outcome=outcome, value=None, unit="nats/token", interval=None,
                           covers="exact count", null=null, detail="; ".join(words))
        return undecided(name, unit="nats/token", null=null, detail="; ".join(words))
    return Verdict(name=name, outcome=outcome, value=worst.value, unit="nats/token, the nearer end above the best",
                   interval=(worst.low, worst.high), covers=worst.covers, null=null, detail="; ".join(words))


def _rank_inside(points: Sequence[Point], rates: list[float]) -> tuple[str, Estimate | None]:
    """Returns the outcome for one rank, and the smaller of the two gaps between an end and the best inside."""
    kept = whole(points)
    whole_ids = {p.run_id for p in kept}
    lost = {p.lr for p in points if p.run_id not in whole_ids}
    inside = [rate for rate in rates[1:-1] if rate not in lost]
    if not inside:
        return "undecided", None
    mean = {rate: sum(best_of(p).loss for p in kept if p.lr == rate) / sum(p.lr == rate for p in kept)
            for rate in inside}
    best = min(mean, key=lambda rate: mean[rate])
    gaps = []
    for end in (rates[0], rates[-1]):
        if end not in lost:
            gaps.append(estimate(kept, lambda p: p.lr, [end, best], partial(_gap, end=end, best=best)))
    measured = [gap for gap in gaps if gap is not None]
    smallest = min(measured, key=lambda gap: gap.value, default=None)
    if any(gap.high < 0 for gap in measured):
        return "refuted", smallest
    return ("supported" if all(gap.low > 0 for gap in measured) else "undecided"), smallest


def _gap(losses: Losses, end: float, best: float) -> float:
    return losses[end][0] / losses[end][1] - losses[best][0] / losses[best][1]


def _free_of_rank(found: dict[int, RateFit]) -> Verdict:
    return free_of_rank("best_rate_free_of_rank", min(found), max(found), found)


def free_of_rank(name: str, low: int, high: int, found: dict[int, RateFit]) -> Verdict:
    """Returns whether the best rates of two ranks differ by less than `FACTOR`.

    Args:
        name: Of the hypothesis.
        low: The smaller rank.
        high: The larger.
        found: Fits by rank.
    """
    null, unit = "1: the same rate", "ratio"
    words = f"r={low}: {found[low].words}; r={high}: {found[high].words}"
    measured = ratio(found[high], found[low])
    if measured is None:
        return undecided(name, unit=unit, null=null, detail=words)
    outcome: Outcome = "undecided"
    if measured.low > 1 / FACTOR and measured.high < FACTOR:
        outcome = "supported"
    elif measured.high < 1 / FACTOR or measured.low > FACTOR:
        outcome = "refuted"
    return Verdict(name=name, outcome=outcome, value=measured.value, unit=unit, interval=(measured.low, measured.high),
                   covers=measured.covers, null=null, detail=words)
