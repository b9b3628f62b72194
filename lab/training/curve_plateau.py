"""Where a held-out curve stops getting better."""

from dataclasses import dataclass

import numpy as np

from lab.training.curve_smoothing import smooth
from lab.training.curves import too_few

POINTS_NEEDED = 5


@dataclass(frozen=True)
class Plateau:
    """The first step from which on the loss improves by less than `share` of itself in any `within` steps.

    `step` is None if the loss still improves at the end, or if, as `problem` then says, the curve is too short.
    """

    step: int | None
    share: float
    within: int
    window: int
    problem: str = ""

    @property
    def words(self) -> str:
        """The finding in words."""
        rule = f"{self.share:.1%} in {self.within} steps"
        if self.problem:
            return self.problem
        if self.step is None:
            return f"no plateau: improves by {rule} or more until the end"
        return f"plateau from step {self.step} (improves by less than {rule})"


def plateau(
    steps: np.ndarray, losses: np.ndarray, *, share: float = 0.01, within: int | None = None, window: int = 3
) -> Plateau:
    """The plateau of a held-out curve.

    Args:
        steps: (N,) rising.
        losses: (N,) finite.
        share: Improvement, as a share of the loss, below which a stretch is flat.
        within: Length of a stretch in steps; None for a fifth of the curve.
        window: Points of the centred mean that is judged instead of the noisy losses.
    """
    within = max(1, round((int(steps[-1]) - int(steps[0])) / 5)) if within is None and len(steps) else within or 1
    short = too_few(len(losses), POINTS_NEEDED)
    if short:
        return Plateau(None, share, within, window, short)
    smoothed = smooth(losses, window=window).smooth
    starts = np.flatnonzero(steps + within <= steps[-1])
    if len(starts) == 0:
        span = int(steps[-1] - steps[0])
        return Plateau(None, share, within, window, f"curve of {span} steps, shorter than the {within} steps judged")
    later = np.interp(steps[starts] + within, steps, smoothed)
    improves = smoothed[starts] - later >= share * smoothed[starts]
    flat_from = int(np.flatnonzero(improves)[-1]) + 1 if improves.any() else 0
    step = int(steps[starts[flat_from]]) if flat_from < len(starts) else None
    return Plateau(step, share, within, window)
