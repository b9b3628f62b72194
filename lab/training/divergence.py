"""When a training came apart: its loss rose above where it began and stayed there."""

from collections.abc import Sequence

import numpy as np

WINDOW = 20


def diverged_at(losses: Sequence[float], window: int = WINDOW) -> int | None:
    """Returns the step after which the running mean of the loss stayed above its first value, or None.

    A spike that comes down again is no divergence, and a training that ends below its start has not diverged.

    Args:
        losses: [steps], training loss of step 1, 2, …; a non-finite loss diverges at its own step.
        window: Steps in the running mean; fewer than that many steps above the start do not count.
    """
    values = np.asarray(losses, dtype=float)
    broken = np.flatnonzero(~np.isfinite(values))
    if len(broken):
        return int(broken[0]) + 1
    if len(values) < 2 * window:
        return None
    means = np.convolve(values, np.ones(window) / window, mode="valid")  # means[i] ends at step i + window
    below = np.flatnonzero(means <= values[0])
    first_above = int(below[-1]) + 1 if len(below) else 0
    if len(means) - first_above < window:
        return None
    return first_above + window
