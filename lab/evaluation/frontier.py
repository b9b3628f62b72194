"""Learning against forgetting: which points no other beats, and what was lost when equally much was learned."""

from typing import Any

import numpy as np

from lab.evaluation.intervals import Estimate


def undominated(learned: Any, lost: Any) -> np.ndarray:
    """Returns which points lie on the frontier, [P] bool: no other learned as much or more and lost as little or less.

    Of points equal in both, all are on the frontier or none.

    Args:
        learned: [P], more is better; nan where a training came apart, which is on no frontier.
        lost: [P], less is better.
    """
    learned, lost = np.asarray(learned, dtype=float), np.asarray(lost, dtype=float)
    as_good = (learned[:, None] >= learned) & (lost[:, None] <= lost)       # whether the first is as good as the second
    better = as_good & ((learned[:, None] > learned) | (lost[:, None] < lost))
    return ~better.any(0) & np.isfinite(learned) & np.isfinite(lost)


def crossing(learned: Any, target: float) -> tuple[int, float] | None:
    """Returns where an arm first had learned this much, or None if its checkpoints do not reach around it.

    Args:
        learned: [C], at the arm's checkpoints, in the order of steps.
        target: To be learned.

    Returns:
        The checkpoint before, and the share of the way to the next one.
    """
    learned = np.asarray(learned, dtype=float)
    for before, (first, second) in enumerate(zip(learned, learned[1:], strict=False)):
        if first <= target <= second:
            return before, float((target - first) / (second - first)) if second > first else 0.0
    return None


def lost_at(learned: Any, lost: Any, target: float) -> float | None:
    """Returns what an arm had lost when it had learned this much, linear between checkpoints; None outside their range.

    Args:
        learned: [C], at the arm's checkpoints, the bare base first.
        lost: [C].
        target: To be learned.
    """
    found = crossing(learned, target)
    if found is None:
        return None
    before, share = found
    return float((1 - share) * lost[before] + share * lost[before + 1])


def estimate_at(learned: Any, lost: Any, intervals: Any, target: float, covers: str) -> Estimate | None:
    """Returns `lost_at` with an interval: its ends are interpolated too, which is at least as wide as that of the mean.

    Args:
        learned: [C], as for `lost_at`.
        lost: [C].
        intervals: [C, 2], ends for each checkpoint.
        target: To be learned.
        covers: What the intervals cover.
    """
    value, ends = lost_at(learned, lost, target), np.asarray(intervals, dtype=float)
    low, high = lost_at(learned, ends[:, 0], target), lost_at(learned, ends[:, 1], target)
    return None if value is None or low is None or high is None else Estimate(value, low, high, covers)


def common(arms: Any) -> float | None:
    """Returns the most that every arm learned, so that all can be compared there; None if one learned nothing.

    Args:
        arms: For each, [C] learned at its checkpoints.
    """
    reached = [float(np.max(learned)) for learned in arms]
    return min(reached) if reached and min(reached) > 0 else None
