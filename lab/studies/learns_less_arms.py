"""The arms that are compared, each LoRA rank and the whole model, and the rate that each is given."""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from lab.options import text_of
from lab.studies.finetune import Config as Training
from lab.studies.training_options import compact
from lab.studies.trials import Trained, Trial

FULL = "full"
LEAST_MINUTES = 0.01  # in which nothing is begun


@dataclass(frozen=True)
class Arm:
    """One way of training.

    Attributes:
        r: Rank, or None where the whole model is trained.
        rates: Learning rates that are tried.
    """

    r: int | None
    rates: tuple[float, ...]

    @property
    def name(self) -> str:
        """`r=8` or `full`."""
        return FULL if self.r is None else f"r={self.r}"


@dataclass(frozen=True)
class Tuned:
    """An arm with its rate.

    Attributes:
        arm: The arm.
        losses: By rate tried, the last loss on the held-out rows that are for choosing, nats per token; nan where the
            training diverged.
    """

    arm: Arm
    losses: dict[float, float]

    @property
    def lr(self) -> float | None:
        """The rate of the lowest loss; None where all diverged."""
        known = {lr: loss for lr, loss in self.losses.items() if math.isfinite(loss)}
        return min(known, key=lambda lr: known[lr]) if known else None

    @property
    def remark(self) -> str:
        """What is to be known about the choice, or nothing."""
        rates = sorted(self.losses)
        if self.lr is None:
            return "every rate diverged"
        if len(rates) == 1:
            return "not tuned: one rate"
        if self.lr in (rates[0], rates[-1]):
            return f"{'lowest' if self.lr == rates[0] else 'highest'} of the rates tried: a better one may lie beyond"
        return ""


class Remaining:
    """What is left of `minutes` for the second of two rounds of training.

    Args:
        minutes: For both, from now on; None for no end.
    """

    def __init__(self, minutes: float | None) -> None:
        self._ends = None if minutes is None else time.monotonic() + 60 * minutes

    def options(self, config: Any) -> Any:
        """Returns the configuration with the minutes that are left."""
        if self._ends is None:
            return config
        return replace(config, minutes=max(LEAST_MINUTES, round((self._ends - time.monotonic()) / 60, 2)))

    @staticmethod
    def restored(trained: Trained, given: Any, config: Any) -> Trained:
        """Returns the second round with a command that asks for as many minutes as the user did."""
        asked, left = (f"minutes={text_of(each.minutes)}" for each in (config, given))
        return replace(trained, command=trained.command.replace(f" {left} ", f" {asked} "))


def arms(config: Any) -> list[Arm]:
    """Returns the arms that a configuration asks for, ranks rising, the whole model last."""
    return [Arm(r, _sorted(config.lr)) for r in sorted(set(config.r))] + [Arm(None, _sorted(config.full_lr))]


def tuning(config: Any) -> list[Training]:
    """Returns the trainings of every arm at every rate, first seed."""
    return [training(config, arm, lr, config.seed) for arm in arms(config) for lr in arm.rates]


def repeats(config: Any, tuned: Sequence[Tuned]) -> list[Training]:
    """Returns the trainings of every arm at its best rate, the other seeds."""
    return [training(config, one.arm, one.lr, seed) for seed in range(config.seed + 1, config.seed + config.seeds)
            for one in tuned if one.lr is not None]


def training(config: Any, arm: Arm, lr: float, seed: int) -> Training:
    """Returns the complete configuration of one training."""
    shared = {field.name: getattr(config, field.name) for field in fields(Training)}
    own: dict[str, Any] = {"method": FULL, "r": Training().r} if arm.r is None else {"r": arm.r}  # full makes no use of r
    return Training(**{**shared, "lr": lr, "seed": seed, "seeds": 1, "predict": None, **own})


def name(config: Training) -> str:
    """Returns what a training is called."""
    arm = FULL if config.method == FULL else f"r={config.r}"
    return f"lora_learns_less {arm} lr={compact(config.lr)} seed={config.seed}"


def tune(arm: Arm, trials: Sequence[Trial], seed: int) -> Tuned:
    """Returns the arm with the losses by which its rate is chosen.

    Args:
        arm: The arm.
        trials: Of the study; those of other arms and seeds are passed over.
        seed: At which the rates are compared.
    """
    mine = {trial.lr: trial for trial in trials if trial.r == arm.r and trial.seed == seed}
    return Tuned(arm, {lr: _choosing_loss(mine[lr]) for lr in arm.rates})


def halves(rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns the held-out rows by which rates are chosen, and the others, by which the arms are compared.

    A rate chosen on the rows that also judge it would look better than it is.
    """
    mixed = np.random.default_rng(0).permutation(rows)
    return np.sort(mixed[:rows // 2]), np.sort(mixed[rows // 2:])


def chosen(tuned: Sequence[Tuned], trials: Sequence[Trial]) -> dict[int, dict[str, Trial]]:
    """Returns by seed and arm the trainings at the best rates that ran to their end."""
    rates = {one.arm.r: one for one in tuned}
    found: dict[int, dict[str, Trial]] = {}
    for trial in sorted(trials, key=lambda trial: trial.seed):
        one = rates.get(trial.r)
        if one is not None and trial.lr == one.lr and trial.diverged_at is None:
            found.setdefault(trial.seed, {})[one.arm.name] = trial
    return found


def _choosing_loss(trial: Trial) -> float:
    if trial.diverged_at is not None:
        return math.nan
    rows, _ = halves(len(trial.row_tokens))
    return float(trial.row_nll[-1, rows].sum() / trial.row_tokens[rows].sum())


def _sorted(rates: Sequence[float]) -> tuple[float, ...]:
    return tuple(sorted(set(rates)))
