"""What was measured of an arm: its losses by rate and seed, its best rate, and its loss there."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lab.evaluation.intervals import Estimate, over_seeds
from lab.studies.regret_arms import Arm
from lab.studies.trials import Trial
from lab.training.curve_rates import RateFit, best_rate


@dataclass(frozen=True)
class Measured:
    """An arm after its trainings. N trainings.

    Attributes:
        arm: The arm.
        fit: Its best rate.
        rates: (N,)
        losses: (N,) held-out nats per trained token after the last step; nan where the training diverged.
        seeds: (N,)
        parameters: Trainable.
        base_loss: Of the bare base, the same for all.
    """

    arm: Arm
    fit: RateFit
    rates: np.ndarray
    losses: np.ndarray
    seeds: np.ndarray
    parameters: int
    base_loss: float

    @property
    def at_best(self) -> dict[int, float]:
        """By seed, the loss at the rate tried that is best over seeds; empty where every rate diverged."""
        mine = self.rates == self.fit.grid_best
        return dict(zip(self.seeds[mine].tolist(), self.losses[mine].tolist(), strict=True))

    @property
    def lost(self) -> list[str]:
        """The trainings that diverged, in words."""
        gone = ~np.isfinite(self.losses)
        return [f"{rate:g} seed {seed}" for rate, seed in zip(self.rates[gone], self.seeds[gone], strict=True)]


def measure(compared: Sequence[Arm], trials: Sequence[Trial]) -> dict[str, Measured]:
    """Returns what was measured of every arm, by name."""
    return {arm.name: _one(arm, [trial for trial in trials if arm.owns(trial)]) for arm in compared}


def gap(worse: Measured, better: Measured) -> Estimate | None:
    """Returns how much higher one arm's loss is than another's, each at its best rate, nats per token, paired by seed."""
    first, second = worse.at_best, better.at_best
    common = sorted(first.keys() & second.keys())
    return over_seeds([first[seed] - second[seed] for seed in common]) if len(common) > 1 else None


def _one(arm: Arm, mine: Sequence[Trial]) -> Measured:
    rates, seeds = np.array([trial.lr for trial in mine]), np.array([trial.seed for trial in mine])
    losses = np.array([np.nan if trial.diverged_at is not None else float(trial.loss[-1]) for trial in mine])
    return Measured(arm, best_rate(rates, losses, seeds), rates, losses, seeds, mine[0].parameters, float(mine[0].loss[0]))
