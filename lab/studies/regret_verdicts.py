"""The rules that answer how the best rates compare and whether anything is to be regretted."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from lab.evaluation.intervals import Estimate
from lab.studies import rate_verdicts
from lab.studies.regret_arms import ATTENTION, FEED_FORWARD, FULL, compared_ranks, middle_rank
from lab.studies.regret_hypotheses import NATS, PERCENT, RATIO, REGRET, TIMES, WIDEST
from lab.studies.regret_measured import Measured, gap
from lab.studies.rules import exceeds, undecided
from lab.tracking.hypotheses import Hypothesis, Outcome, Verdict
from lab.training.curve_rate_ratio import ratio


def verdicts(stated: Sequence[Hypothesis], measured: Mapping[str, Measured], config: Any) -> list[Verdict]:
    """Returns a verdict on each stated hypothesis."""
    rules: dict[str, Callable[[Mapping[str, Measured], Any], Verdict]] = {
        "lora_rate_ten_times_full": _ten_times, "best_rate_free_of_rank": _free_of_rank,
        "rank_one_rate_lower": _rank_one_lower, "lora_without_regret": _without_regret,
        "feed_forward_beats_attention": _feed_forward}
    return [replace(rules[each.name](measured, config), null=each.null) for each in stated]


def _ten_times(measured: Mapping[str, Measured], config: Any) -> Verdict:
    name = "lora_rate_ten_times_full"
    lora, full = measured[f"r={middle_rank(config)}"], measured[FULL]
    found, words = ratio(lora.fit, full.fit), _words(lora, full)
    if found is None:
        return undecided(name, unit=RATIO, null="", detail=words)
    outcome: Outcome = "undecided"
    if found.width >= WIDEST:
        words = f"interval {found.width:.2g} times as high as low, too wide for a verdict; {words}"
    elif found.low >= TIMES[0] and found.high <= TIMES[1]:
        outcome = "supported"
    elif found.high < TIMES[0] or found.low > TIMES[1]:
        outcome = "refuted"
    return Verdict(name=name, outcome=outcome, value=found.value, unit=RATIO, interval=(found.low, found.high),
                   covers=found.covers, null="", detail=words)


def _free_of_rank(measured: Mapping[str, Measured], config: Any) -> Verdict:
    low, high = compared_ranks(config) or (0, 0)
    return rate_verdicts.free_of_rank("best_rate_free_of_rank", low, high,
                                      {rank: measured[f"r={rank}"].fit for rank in (low, high)})


def _rank_one_lower(measured: Mapping[str, Measured], config: Any) -> Verdict:
    name = "rank_one_rate_lower"
    one, middle = measured["r=1"], measured[f"r={middle_rank(config)}"]
    found, words = ratio(one.fit, middle.fit), _words(one, middle)
    if found is None:
        return undecided(name, unit=RATIO, null="", detail=words)
    outcome: Outcome = "supported" if found.high < 1 else "refuted" if found.low > 1 else "undecided"
    return Verdict(name=name, outcome=outcome, value=found.value, unit=RATIO, interval=(found.low, found.high),
                   covers=found.covers, null="", detail=words)


def _without_regret(measured: Mapping[str, Measured], config: Any) -> Verdict:
    name = "lora_without_regret"
    lora, full = measured[f"r={max(config.r)}"], measured[FULL]
    found = percent_behind(lora, full)
    if found is None or not (lora.fit.inside and full.fit.inside):
        return _unequal(name, found, PERCENT, _words(lora, full))
    above = exceeds(name, found, threshold=REGRET, unit=PERCENT, null="", detail=_words(lora, full))
    turned: dict[Outcome, Outcome] = {"supported": "refuted", "refuted": "supported", "undecided": "undecided"}
    return replace(above, outcome=turned[above.outcome])


def _feed_forward(measured: Mapping[str, Measured], config: Any) -> Verdict:
    name = "feed_forward_beats_attention"
    attention, feed_forward = placements(measured)
    found = gap(attention, feed_forward)
    words = (f"{attention.parameters:,} and {feed_forward.parameters:,} trainable parameters; "
             f"{_words(attention, feed_forward)}")
    if found is None or not (attention.fit.inside and feed_forward.fit.inside):
        return _unequal(name, found, NATS, words)
    return exceeds(name, found, threshold=0, unit=NATS, null="", detail=words)


def placements(measured: Mapping[str, Measured]) -> tuple[Measured, Measured]:
    """Returns the arms on attention alone and on feed-forward layers alone."""
    attention, feed_forward = (next(each for name, each in measured.items() if name.startswith(part))
                               for part in (ATTENTION, FEED_FORWARD))
    return attention, feed_forward


def percent_behind(lora: Measured, full: Measured) -> Estimate | None:
    """Returns how much higher a loss is than full fine-tuning's, in percent of what that learned, over seeds."""
    found = gap(lora, full)
    fall = full.base_loss - sum(full.at_best.values()) / len(full.at_best) if full.at_best else 0.0
    if found is None or fall <= 0:
        return None
    return Estimate(100 * found.value / fall, 100 * found.low / fall, 100 * found.high / fall, found.covers)


def _unequal(name: str, found: Estimate | None, unit: str, words: str) -> Verdict:
    """A number without a verdict: it compares an arm that was not given its best rate."""
    if found is None:
        return undecided(name, unit=unit, null="", detail=words)
    return Verdict(name=name, outcome="undecided", value=found.value, unit=unit, interval=(found.low, found.high),
                   covers=found.covers, null="", detail=f"not at its best rate: {words}")


def _words(*arms: Measured) -> str:
    said = [f"{each.arm.name}: {each.fit.words}" for each in arms]
    lost = [f"diverged: {each.arm.name} at {', '.join(each.lost)}" for each in arms if each.lost]
    return "; ".join([*said, *lost])
