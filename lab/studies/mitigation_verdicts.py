"""What is claimed of remedies against forgetting, and what a measurement says of it."""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from lab.evaluation.paired import TOLERATED
from lab.studies.mitigation_arms import Arm, Measured
from lab.studies.mitigation_intervals import estimate, points
from lab.studies.mitigation_recommendation import Recommendation, lost_untreated, rule, standings
from lab.studies.rules import exceeds, undecided
from lab.tracking.hypotheses import Hypothesis, Outcome, Verdict

POINTS, NATS = "points", "nats/token"
NONE_LEFT = "every training of this kind came apart"
AS_TRAINED = "0: as the run was trained"
_BY = "supported if its 95 % interval over {} lies above 0, refuted if below"
WORDS = {"replay": "Replaying rows of the base's own data", "scale": "Scaling the adapter down"}
MENDS, STANDS_OUT = "there_is_something_to_mend", "a_remedy_stands_out"
EQUAL = "replay_forgets_less_than_scaling_at_equal_learning"


@dataclass(frozen=True)
class Asked:
    """Which remedies there will be.

    Attributes:
        scales: Factors of the adapter.
        replay: Shares of replayed rows.
        stops: Whether earlier checkpoints of the training are compared.
        keep: Share of what was learned that a remedy has to keep.
    """

    scales: Sequence[float]
    replay: Sequence[float]
    stops: bool
    keep: float


def hypotheses(asked: Asked) -> list[Hypothesis]:
    """Returns what there will be the data to ask."""
    found = [
        Hypothesis(MENDS, "The run as trained forgot: there is something to mend.",
                   "points of accuracy lost, mean over suites: refuted if the upper end of the 95 % interval over items is "
                   f"under {TOLERATED:g}; else supported if the lower end is above 0", "0: the bare base"),
        Hypothesis(STANDS_OUT, "One remedy can be recommended.", f"{rule(asked.keep)} Supported if one is recommended, "
                   "refuted if every remedy surely does not forget less or surely keeps too little", AS_TRAINED)]
    for kind, values in (("scale", asked.scales), ("replay", asked.replay)):
        if values:
            found += _of_kind(kind)
    if asked.scales and asked.replay:
        found.append(_against(EQUAL, "scaling the adapter down",
                              "the line from the base over the scaled adapters to the whole one"))
    for kind, values in (("replay", asked.replay), ("scale", asked.scales)):
        if values and asked.stops:
            line = "the line through the checkpoints of the training"
            found.append(_against(_stopping(kind), "stopping earlier", line, kind))
    return found


def verdicts(stated: Sequence[Hypothesis], found: Measured, said: Recommendation, keep: float) -> list[Verdict]:
    """Returns one verdict a hypothesis.

    Args:
        stated: From `hypotheses`.
        found: What was measured.
        said: What the rule says of it.
        keep: Share of what was learned that a remedy has to keep.
    """
    answers: dict[str, Callable[[], Verdict]] = {
        MENDS: lambda: _mends(found), STANDS_OUT: lambda: _stands_out(found, said, keep),
        EQUAL: lambda: _equal(EQUAL, found, "replay", scaling_line(found)),
        _reduces("replay"): lambda: _mean_saved(found, "replay"), _reduces("scale"): lambda: _mean_saved(found, "scale"),
        _costs("replay"): lambda: _mean_cost(found, "replay"), _costs("scale"): lambda: _mean_cost(found, "scale"),
        **{_stopping(kind): functools.partial(_equal, _stopping(kind), found, kind, stopping_line(found))
           for kind in ("replay", "scale")}}
    return [answers[each.name]() for each in stated]


def scaling_line(found: Measured) -> list[Arm]:
    """The base, the scaled adapters from small to large, and the whole one."""
    return [found.base, *found.of("scale"), found.trained]


def stopping_line(found: Measured) -> list[Arm]:
    """The base, the checkpoints in order, and the run as trained."""
    return [found.base, *found.of("stop"), found.trained]


def least_at(target: np.ndarray, learned: np.ndarray, lost: np.ndarray) -> np.ndarray:
    """Returns the fewest points that a line loses where it has learned as much as a target, [draws].

    Straight between its points. More than the line ever learned counts as the most that it did, less as nothing.

    Args:
        target: [draws], what was learned.
        learned: [points, draws], along the line; its first point is the base.
        lost: [points, draws].
    """
    sought = np.clip(target, learned.min(0), learned.max(0))
    least = np.full(target.shape, np.inf)
    for at in range(len(learned) - 1):
        low, high = learned[at], learned[at + 1]
        across = (sought - low) * (sought - high) <= 0
        with np.errstate(divide="ignore", invalid="ignore"):
            share = np.where(high == low, 0.0, (sought - low) / (high - low))
        least = np.where(across, np.minimum(least, lost[at] + share * (lost[at + 1] - lost[at])), least)
    return least


def _of_kind(kind: str) -> list[Hypothesis]:
    every = "shares" if kind == "replay" else "factors"
    return [
        Hypothesis(_reduces(kind), f"{WORDS[kind]} reduces forgetting.",
                   f"points lost by the run as trained − points lost with the remedy, mean over all {every} tried: "
                   + _BY.format("items"), AS_TRAINED),
        Hypothesis(_costs(kind), f"{WORDS[kind]} costs learning.",
                   f"what the run as trained learned − what is learned with the remedy, nats per held-out token, mean over "
                   f"all {every} tried: " + _BY.format("held-out rows"), AS_TRAINED)]


def _against(name: str, other: str, line: str, kind: str = "replay") -> Hypothesis:
    return Hypothesis(
        name, f"{WORDS[kind]} forgets less than {other} at equal learning.",
        f"points lost on {line}, straight between its points, where it learned as much (its most, where the remedy learned "
        f"more) − points lost with the remedy, mean over all tried: {_BY.format('items and rows')}", f"0: as {other}")


def _reduces(kind: str) -> str:
    return f"{_verb(kind)}_reduces_forgetting"


def _costs(kind: str) -> str:
    return f"{_verb(kind)}_costs_learning"


def _stopping(kind: str) -> str:
    return f"{_verb(kind)}_forgets_less_than_stopping_at_equal_learning"


def _verb(kind: str) -> str:
    return "scaling" if kind == "scale" else kind


def _mends(found: Measured) -> Verdict:
    lost = lost_untreated(found)
    outcome: Outcome = "refuted" if lost.high < TOLERATED else "supported" if lost.low > 0 else "undecided"
    return Verdict(MENDS, outcome, lost.value, POINTS, (lost.low, lost.high), lost.covers, "0: the bare base")


def _stands_out(found: Measured, said: Recommendation, keep: float) -> Verdict:
    stand = standings(found)
    if said.outcome == "recommended":
        (best,) = (one for one in stand if one.arm is said.arms[0])
        return Verdict(STANDS_OUT, "supported", best.saved.value, POINTS, (best.saved.low, best.saved.high),
                       best.saved.covers, AS_TRAINED, said.reason)
    settled = said.outcome in ("none forgets less", "none keeps enough") and all(one.fails(keep) for one in stand)
    if not settled or not stand:
        return undecided(STANDS_OUT, unit=POINTS, null=AS_TRAINED, detail=said.reason)
    best = max(stand, key=lambda one: one.saved.value)
    return Verdict(STANDS_OUT, "refuted", best.saved.value, POINTS, (best.saved.low, best.saved.high), best.saved.covers,
                   AS_TRAINED, f"{said.reason} The value is that of {best.arm.label}, which loses fewest points.")


def _mean_saved(found: Measured, kind: str) -> Verdict:
    arms = found.of(kind)
    if not arms:
        return undecided(_reduces(kind), unit=POINTS, null=AS_TRAINED, detail=NONE_LEFT)
    right = {suite: np.mean([arm.correct[suite] for arm in arms], axis=0) for suite in found.clusters}
    each = "; ".join(f"{arm.label} {found.saved(arm, found.trained).value:.3g}" for arm in arms)
    return exceeds(_reduces(kind), points(right, found.trained.correct, found.clusters), threshold=0, unit=POINTS,
                   null=AS_TRAINED, detail=each)


def _mean_cost(found: Measured, kind: str) -> Verdict:
    arms = found.of(kind)
    if not arms:
        return undecided(_costs(kind), unit=NATS, null=AS_TRAINED, detail=NONE_LEFT)
    costs = [found.learned(found.trained) - found.learned(arm) for arm in arms]
    each = "; ".join(f"{arm.label} {cost[0]:.3g}" for arm, cost in zip(arms, costs, strict=True))
    return exceeds(_costs(kind), estimate(np.mean(costs, axis=0), found.row_covers), threshold=0, unit=NATS, null=AS_TRAINED,
                   detail=each)


def _equal(name: str, found: Measured, kind: str, line: Sequence[Arm]) -> Verdict:
    arms, null = found.of(kind), "0: equal forgetting at equal learning"
    if not arms:
        return undecided(name, unit=POINTS, null=null, detail=NONE_LEFT)
    learned, lost = (np.stack([of(arm) for arm in line]) for of in (found.learned, found.lost))
    saved = [least_at(found.learned(arm), learned, lost) - found.lost(arm) for arm in arms]
    each = "; ".join(f"{arm.label} {values[0]:.3g}" for arm, values in zip(arms, saved, strict=True))
    beyond = [arm.label for arm in arms if found.learned(arm)[0] > learned[:, 0].max()]
    more = f"; {', '.join(beyond)} learned more than the line ever does and is held against its most" if beyond else ""
    covers = f"evaluation items and held-out rows only (n={found.items} and {len(found.row_tokens)})"
    return exceeds(name, estimate(np.mean(saved, axis=0), covers), threshold=0, unit=POINTS, null=null, detail=each + more)
