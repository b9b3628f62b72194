"""Spikes of the train loss: steps far above their neighbourhood."""

from dataclasses import dataclass

import numpy as np

from lab.training.curves import too_few

WINDOW = 31
_NARROWEST = 5  # points on either side
_MAD_TO_SD = 1.4826
_LEAST_SCALE = 1e-3  # of the median: below it a deviation is no spike however quiet the neighbourhood


@dataclass(frozen=True)
class Spike:
    """One excursion: its highest step (one batch each), its height above the running median, and its robust z-score.

    `first` and `last` are the steps it covers.
    """

    step: int
    height: float
    z: float
    first: int
    last: int


@dataclass(frozen=True)
class Spikes:
    """The spikes found among `judged` steps, or, in `problem`, why none could be looked for."""

    found: tuple[Spike, ...]
    judged: int
    threshold: float
    problem: str = ""


def spikes(steps: np.ndarray, losses: np.ndarray, *, window: int = WINDOW, threshold: float = 6.0) -> Spikes:
    """The spikes of a train loss, by robust z-score against a running median.

    The window is centred and narrows symmetrically towards the ends, so that the steep start of training does not
    look like spikes; the first and last five steps cannot be judged. Neighbouring steps above the threshold are one
    spike. A single batch that is harder than others is a spike too: look at its rows before blaming the optimiser.

    Args:
        steps: (N,) rising.
        losses: (N,) finite.
        window: Points of the running median and of the median absolute deviation.
        threshold: z-score from which a step is a spike; normal noise gives about one in 20,000 steps at 6.
    """
    short = too_few(len(losses), 2 * _NARROWEST + 1)
    if short:
        return Spikes((), 0, threshold, short)
    judged = np.arange(_NARROWEST, len(losses) - _NARROWEST)
    height, z = np.array([_score(losses, place, max(window // 2, _NARROWEST)) for place in judged.tolist()]).T
    high = np.flatnonzero(z > threshold)
    groups = np.split(high, np.flatnonzero(np.diff(high) > 1) + 1) if len(high) else []
    found = []
    for group in groups:
        peak = group[height[group].argmax()]
        place = judged[peak]
        ends = judged[group[0]], judged[group[-1]]
        found.append(Spike(int(steps[place]), float(height[peak]), float(z[peak]), *(int(steps[end]) for end in ends)))
    return Spikes(tuple(found), len(judged), threshold)


def _score(losses: np.ndarray, place: int, half: int) -> tuple[float, float]:
    reach = min(half, place, len(losses) - 1 - place)
    near = losses[place - reach : place + reach + 1]
    median = float(np.median(near))
    scale = _MAD_TO_SD * float(np.median(np.abs(near - median)))
    height = float(losses[place]) - median
    return height, height / max(scale, _LEAST_SCALE * abs(median), 1e-12)
