"""What a run claims before it computes, and what came out."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from lab.errors import TrackingError

Outcome = Literal["supported", "refuted", "undecided"]
_OUTCOMES = ("supported", "refuted", "undecided")


@dataclass(frozen=True)
class Hypothesis:
    """A claim that the run can decide either way.

    Args:
        name: Short and without spaces; the verdict's tag carries it.
        statement: The claim in one sentence.
        rule: How the measurement decides: supported if …, refuted if …, otherwise undecided.
        null: What would be seen if there were nothing to find.
    """

    name: str
    statement: str
    rule: str
    null: str


@dataclass(frozen=True)
class Verdict:
    """What the measurement said about the hypothesis of the same name.

    Args:
        value: The measured number, None if there is none.
        unit: Of the value and the interval.
        interval: Lower and upper end, None if there is none.
        covers: What the interval covers, such as "evaluation items" or "evaluation items and training seeds".
        null: The value under the null.
        detail: Anything a reader needs beside it.
    """

    name: str
    outcome: Outcome
    value: float | None
    unit: str
    interval: tuple[float, float] | None
    covers: str
    null: str
    detail: str = ""

    def __post_init__(self) -> None:
        if self.outcome not in _OUTCOMES:
            raise TrackingError(f"verdict {self.name}: outcome {self.outcome}; allowed: {', '.join(_OUTCOMES)}")
        numbers = [] if self.value is None else [self.value]
        if not all(math.isfinite(number) for number in [*numbers, *(self.interval or ())]):
            raise TrackingError(
                f"verdict {self.name}: value {self.value}, interval {self.interval}; "
                "allowed: finite numbers, or None where nothing was measured"
            )


def check_stated(hypotheses: Sequence[Hypothesis]) -> None:
    """Raises unless the hypotheses have different names that a tag can carry.

    Raises:
        TrackingError: Names a hypothesis that cannot be stated.
    """
    seen: set[str] = set()
    for hypothesis in hypotheses:
        if hypothesis.name in seen:
            raise TrackingError(f"hypothesis {hypothesis.name} is stated twice; allowed: one of each name")
        if not hypothesis.name.replace("_", "").replace("-", "").isalnum():
            raise TrackingError(f"hypothesis name {hypothesis.name!r}; allowed: letters, digits, - and _")
        seen.add(hypothesis.name)


def check_answered(hypotheses: Sequence[Hypothesis], verdicts: Sequence[Verdict]) -> None:
    """Raises unless there is exactly one verdict for each stated hypothesis.

    Raises:
        TrackingError: Names what is missing, unknown or double.
    """
    stated, answered = [h.name for h in hypotheses], [v.name for v in verdicts]
    if sorted(stated) != sorted(answered):
        raise TrackingError(
            f"verdicts for {', '.join(answered) or 'nothing'}; stated were {', '.join(stated) or 'no hypotheses'}: "
            "each needs exactly one"
        )
