"""A loss curve as measured: points in the order of steps, and the moment it stopped being a number."""

from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Curve:
    """Finite points of one series, each step once, in rising order.

    `diverged_at` is the first step whose value was not finite or, where the recorder knew it, the step at which
    the run diverged; nothing is kept from there on.
    """

    steps: np.ndarray
    values: np.ndarray
    diverged_at: int | None = None

    def __len__(self) -> int:
        return len(self.steps)

    def after(self, step: int) -> "Curve":
        """The part of the curve later than `step`."""
        keep = self.steps > step
        return Curve(self.steps[keep], self.values[keep], self.diverged_at)


def tidy(steps: Any, values: Any, *, diverged_at: int | None = None) -> Curve:
    """The curve that these points make.

    A step recorded twice (a resumed run) keeps the value written last. Everything from the first non-finite value,
    or from `diverged_at`, is cut off: what a diverged run logs afterwards says nothing about learning.

    Args:
        steps: Step of each point, in the order recorded.
        values: Value of each point.
        diverged_at: First step known to be non-finite, for recorders that log no point there.

    Raises:
        ValueError: Steps and values have different lengths.
    """
    steps, values = np.asarray(steps, dtype=np.int64).ravel(), np.asarray(values, dtype=np.float64).ravel()
    if len(steps) != len(values):
        raise ValueError(f"{len(steps)} steps and {len(values)} values: a curve needs one value for each step.")
    last = {int(step): float(value) for step, value in zip(steps, values, strict=True)}
    order = np.array(sorted(last), dtype=np.int64)
    ordered = np.array([last[int(step)] for step in order], dtype=np.float64)
    broken = order[~np.isfinite(ordered)]
    ends = [int(step) for step in broken[:1]] + ([] if diverged_at is None else [int(diverged_at)])
    if not ends:
        return Curve(order, ordered)
    end = min(ends)
    return Curve(order[order < end], ordered[order < end], end)


def too_few(points: int, needed: int) -> str:
    """The words for a curve too short to be measured, or an empty string where it is long enough."""
    return "" if points >= needed else f"too few points ({points}, need {needed})"
