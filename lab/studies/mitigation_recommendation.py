"""Which remedy is recommended: a rule that is stated before anything is measured, and what it says of a measurement."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from lab.evaluation.intervals import Estimate
from lab.evaluation.paired import TOLERATED
from lab.studies.mitigation_arms import Arm, Measured
from lab.studies.mitigation_intervals import estimate

Outcome = Literal["recommended", "nothing learned", "nothing to mend", "none forgets less", "none keeps enough",
                  "none stands out"]


def rule(keep: float) -> str:
    """Returns the rule in words.

    Args:
        keep: Share of what was learned that a remedy has to keep.
    """
    return (
        f"There is nothing to mend if the run as trained lost fewer than {TOLERATED:g} points, mean over suites (upper end "
        "of the 95 % interval over items). Else a remedy qualifies that loses fewer points than the run as trained ("
        "interval over items wholly above 0, the intervals of all remedies holding together in 95 % of cases), keeps at "
        f"least {keep:.0%} of what was learned (lower end of the 95 % interval over held-out rows), and is not beaten by "
        "another that learns at least as much and loses at most as many points. Of several the one that loses fewest points "
        "is recommended if it loses fewer than each of the others (95 % interval over items above 0); else none stands out "
        "between it and those that it is not told from.")


@dataclass(frozen=True)
class Recommendation:
    """What the rule says.

    Attributes:
        outcome: Which of its branches.
        arms: The one recommended, those between which none stands out, or the nearest where none keeps enough.
        reason: With numbers.
    """

    outcome: Outcome
    arms: tuple[Arm, ...]
    reason: str


@dataclass(frozen=True)
class Standing:
    """How one remedy stands against the rule.

    Attributes:
        arm: The remedy.
        saved: Points that it loses less than the run as trained; the intervals of all remedies hold together.
        kept: Share of what was learned.
        beaten_by: Another that learns at least as much and loses at most as many points, or None.
    """

    arm: Arm
    saved: Estimate
    kept: Estimate
    beaten_by: Arm | None

    def fails(self, keep: float) -> bool:
        """Whether it surely does not forget less, or surely keeps too little."""
        return self.saved.high <= 0 or self.kept.high < keep


def standings(found: Measured) -> list[Standing]:
    """Returns how every remedy stands, in the order they were measured."""
    return [Standing(arm, found.saved(arm, found.trained, family=len(found.remedies)),
                     estimate(found.kept(arm), found.row_covers), _beaten(found, arm)) for arm in found.remedies]


def lost_untreated(found: Measured) -> Estimate:
    """Returns the points that the run as trained lost against the base."""
    return found.saved(found.base, found.trained)


def recommend(found: Measured, keep: float) -> Recommendation:
    """Returns what `rule` says of a measurement.

    Args:
        found: All that was measured.
        keep: Share of what was learned that a remedy has to keep.
    """
    untreated = lost_untreated(found)
    if estimate(found.learned(found.trained), found.row_covers).low <= 0:
        return Recommendation("nothing learned", (), "The run as trained learned nothing that shows: its held-out loss is "
                              "not below the base's by its interval. There is nothing that a remedy could keep.")
    if untreated.high < TOLERATED:
        return Recommendation("nothing to mend", (), f"The run as trained lost {in_points(untreated)}, fewer than "
                              f"{TOLERATED:g}: there is nothing to mend.")
    stand = standings(found)
    fewer = [one for one in stand if one.saved.low > 0]
    if not fewer:
        doubt = "" if untreated.low > 0 else " Whether it forgets at all is not settled: measure more items."
        return Recommendation("none forgets less", (), "No remedy loses fewer points than the run as trained, which lost "
                              f"{in_points(untreated)}, by an interval above 0.{doubt}")
    enough = [one for one in fewer if one.kept.low >= keep]
    if not enough:
        nearest = max(fewer, key=lambda one: one.kept.value)
        return Recommendation("none keeps enough", (nearest.arm,), (
            f"{len(fewer)} of {len(stand)} remedies forget less, and none of them surely keeps {keep:.0%} of what was "
            f"learned. Nearest comes: {nearest.arm.label}, which keeps {in_percent(nearest.kept)} and loses "
            f"{nearest.saved.value:.1f} points less."))
    unbeaten = [one for one in enough if one.beaten_by is None]
    return _among(found, unbeaten) if unbeaten else _beaten_by_unsure(enough)


def in_points(found: Estimate) -> str:
    """Returns points with their interval in words."""
    return f"{found.value:.1f} points ({found.low:.1f} to {found.high:.1f})"


def in_percent(found: Estimate) -> str:
    """Returns a share with its interval in words."""
    return f"{found.value:.0%} ({found.low:.0%} to {found.high:.0%})"


def _among(found: Measured, qualified: Sequence[Standing]) -> Recommendation:
    """The one that loses fewest points, or all that it is not told from."""
    first, *others = sorted(qualified, key=lambda one: found.lost(one.arm)[0])
    less = {one.arm.label: found.saved(first.arm, one.arm) for one in others}
    near = [one for one in others if less[one.arm.label].low <= 0]
    if near:
        names = [one.arm.label for one in (first, *near)]
        differences = "; ".join(f"{name} loses {in_points(less[name])} more than {names[0]}" for name in names[1:])
        return Recommendation("none stands out", (first.arm, *(one.arm for one in near)), (
            f"None stands out between {_and(names)}: each forgets less than the run as trained and keeps enough, and their "
            f"lost points are not told apart ({differences})."))
    fewest = f", and loses fewer points than {_and([one.arm.label for one in others])}, which would do" if others else ""
    return Recommendation("recommended", (first.arm,), (
        f"{first.arm.label[0].upper()}{first.arm.label[1:]}: it lost {in_points(found.saved(found.base, first.arm))} where "
        f"the run as trained lost {in_points(lost_untreated(found))}, and keeps {in_percent(first.kept)} of what was learned"
        f"{fewest}."))


def _beaten_by_unsure(enough: Sequence[Standing]) -> Recommendation:
    """All that qualify are beaten, and those that beat them do not qualify by their own intervals."""
    beaten = enough[0]
    assert beaten.beaten_by is not None
    return Recommendation("none stands out", (beaten.beaten_by, beaten.arm), (
        f"None stands out between {beaten.beaten_by.label} and {beaten.arm.label}: the first beats the second in both "
        "measures, but does not qualify by its own intervals."))


def _beaten(found: Measured, arm: Arm) -> Arm | None:
    learned, lost = found.learned(arm)[0], found.lost(arm)[0]
    for other in found.remedies:
        more, fewer = found.learned(other)[0] - learned, lost - found.lost(other)[0]
        if more >= 0 and fewer >= 0 and (more > 0 or fewer > 0):
            return other
    return None


def _and(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
