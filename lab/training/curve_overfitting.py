"""Overfitting: the held-out loss rises again while the train loss falls on."""

from dataclasses import dataclass

import numpy as np

from lab.training.curve_noise import draw_noise, weigh_noise
from lab.training.curve_smoothing import smooth
from lab.training.curves import too_few

POINTS_NEEDED = 6
AFTER_NEEDED = 4
_MOST_POINTS = 60


@dataclass(frozen=True)
class Change:
    """Change of a loss over a stretch of steps, from the straight line through it, and its interval."""

    value: float
    low: float
    high: float

    @property
    def words(self) -> str:
        """The change and its interval."""
        return f"{self.value:+.3g} ({self.low:+.3g} to {self.high:+.3g})"


@dataclass(frozen=True)
class Overfitting:
    """The minimum of the held-out loss and what both losses do after it.

    `overfits` is True if the held-out loss rises after the minimum and the train loss falls, both by their whole
    intervals; False if the held-out loss falls to the end, or if the changes say otherwise by their whole intervals;
    None if noise leaves it open or, as `problem` says, there is too little to judge.
    """

    overfits: bool | None
    step: int | None = None
    loss: float | None = None
    held_out: Change | None = None
    train: Change | None = None
    problem: str = ""

    @property
    def words(self) -> str:
        """The finding in words."""
        if self.problem:
            return self.problem
        if self.held_out is None or self.train is None:
            return f"lowest held-out loss {self.loss:.3g} at step {self.step}, at the end or nearly"
        changes = (f"after the minimum at step {self.step} the held-out loss changes by {self.held_out.words}, "
                   f"the train loss by {self.train.words} nats per token")
        return {True: "overfits: ", False: "does not overfit: ", None: "open: "}[self.overfits] + changes


def overfitting(
    eval_steps: np.ndarray,
    eval_losses: np.ndarray,
    train_steps: np.ndarray,
    train_losses: np.ndarray,
    *,
    seed: int,
    window: int = 3,
    level: float = 0.95,
    draws: int = 1000,
) -> Overfitting:
    """Whether and from where a training overfits.

    Around a plateau that does not rise, noise was called overfitting in 0 to 4 % of simulated curves, and in up to 12 %
    with 12 points and a correlation of 0.8.

    Args:
        eval_steps: (N,) rising; step 0 counts, a training may be at its best before it began.
        eval_losses: (N,) held-out, finite.
        train_steps: (M,) rising.
        train_losses: (M,) finite.
        seed: Of the bootstrap.
        window: Points of the centred mean whose minimum is taken.
        level: Of the intervals.
        draws: Bootstrap series.
    """
    short = too_few(len(eval_losses), POINTS_NEEDED)
    if short:
        return Overfitting(None, problem=short)
    place = int(smooth(eval_losses, window=window).smooth.argmin())
    step, loss = int(eval_steps[place]), float(eval_losses[place])
    # without the points whose mean was lowest: they were chosen for being low, and would make a rise of noise
    after = slice(place + 1 + window // 2, None)
    if len(eval_losses[after]) < AFTER_NEEDED:
        at_end = place >= len(eval_losses) - 2 - window // 2
        problem = "" if at_end else too_few(len(eval_losses[after]), AFTER_NEEDED) + " after the minimum"
        return Overfitting(False if at_end else None, step, loss, problem=problem)
    later = train_steps > eval_steps[place]
    short = too_few(int(later.sum()), AFTER_NEEDED)
    if short:
        return Overfitting(None, step, loss, problem=f"{short} of the train loss after the minimum")
    rng = np.random.default_rng(seed)
    held_out = _change(eval_steps[after], eval_losses[after], rng, level, draws)
    train = _change(*_binned(train_steps[later], train_losses[later]), rng, level, draws)
    if held_out.low > 0 and train.high < 0:
        overfits = True
    elif held_out.high < 0 or (held_out.low > 0 and train.low > 0):
        overfits = False
    else:
        overfits = None
    return Overfitting(overfits, step, loss, held_out=held_out, train=train)


def _binned(steps: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Means of equal stretches, at most 60 of them: batch noise averages out, what is left is correlated."""
    bins = min(_MOST_POINTS, max(AFTER_NEEDED, len(values) // 5), len(values))
    return tuple(np.array([part.mean() for part in np.array_split(x, bins)]) for x in (steps, values))  # type: ignore


def _change(steps: np.ndarray, losses: np.ndarray, rng: np.random.Generator, level: float, draws: int) -> Change:
    """The rise of the least-squares line from the first of these steps to the last, noise from block bootstrap."""
    across = (steps - steps.mean()) / (steps[-1] - steps[0])
    weights = across / (across @ across)
    line = np.stack([np.ones(len(steps)), across], axis=1)
    value = float(weights @ losses)
    residuals = losses - losses.mean() - value * across
    errors = draw_noise(residuals, weigh_noise(residuals, line), draws, rng) @ weights
    low, high = np.quantile(errors, [(1 - level) / 2, (1 + level) / 2])
    return Change(value, value - float(high), value - float(low))
