"""When a training came apart: its loss rose well above where it began and stayed there."""

from collections.abc import Sequence

import numpy as np

WINDOW = 20
FACTOR = 1.2
RISE = 0.05  # nats; a base that knows its data begins near 0, where a fifth more is noise


def diverged_at(losses: Sequence[float]) -> int | None:
    """Returns the step after which the running mean of the loss stayed above its first value by a fifth and `RISE`, or None.

    The mean runs over `WINDOW` steps, or a fifth of a shorter training. A spike that comes down again is no divergence,
    and neither is a training that ends near or below its start.

    Args:
        losses: [steps], training loss of step 1, 2, …; a non-finite loss diverges at its own step.
    """
    values = np.asarray(losses, dtype=float)
    broken = np.flatnonzero(~np.isfinite(values))
    if len(broken):
        return int(broken[0]) + 1
    window = min(WINDOW, max(1, len(values) // 5))
    if len(values) < 2 * window:
        return None
    means = np.convolve(values, np.ones(window) / window, mode="valid")  # means[i] ends at step i + window
    below = np.flatnonzero(means <= max(FACTOR * values[0], values[0] + RISE))
    first_above = int(below[-1]) + 1 if len(below) else 0
    if len(means) - first_above < window:
        return None
    return first_above + window
