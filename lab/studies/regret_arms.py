"""The arms that are compared, and the trainings of each."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

from lab.studies.finetune import Config as Training
from lab.studies.training_options import compact
from lab.studies.trials import Trial

FULL = "full"
ALL = "all-linear"
ATTENTION, FEED_FORWARD = "attention only", "feed-forward only"


@dataclass(frozen=True)
class Arm:
    """One way of training.

    Attributes:
        name: `r=8`, `full`, or a placement with its rank.
        r: Rank, or None where the whole model is trained.
        targets: Modules that get an adapter.
        rates: Learning rates, rising.
    """

    name: str
    r: int | None
    targets: str
    rates: tuple[float, ...]

    @property
    def ranked(self) -> bool:
        """Whether it is one of the ranks on all linear layers."""
        return self.r is not None and self.targets == ALL

    def owns(self, trial: Trial) -> bool:
        """Whether a training is one of this arm's."""
        return trial.r == self.r and (self.r is None or trial.config.targets == self.targets)


def rates(lowest: float, highest: float, factor: float) -> tuple[float, ...]:
    """Returns rates from the lowest up to the highest, each this factor times the one before, to three digits."""
    count = 1 + max(0, math.floor(math.log(highest / lowest) / math.log(factor) + 0.05))
    return tuple(float(f"{lowest * factor ** step:.2e}") for step in range(count))


def arms(config: Any) -> list[Arm]:
    """Returns the arms that a configuration asks for: ranks rising, the whole model, the two placements.

    Raises:
        OptionError: See `lab.studies.regret_placement.matched`.
    """
    from lab.studies.regret_placement import of_model

    lora = rates(config.lr_lowest, config.lr_highest, config.factor)
    found = [Arm(f"r={r}", r, ALL, lora) for r in sorted(set(config.r))]
    found.append(Arm(FULL, None, ALL, rates(config.full_lr_lowest, config.full_lr_highest, config.factor)))
    if config.attention_r is not None:
        for name, placed in zip((ATTENTION, FEED_FORWARD), of_model(config.model, config.attention_r), strict=True):
            found.append(Arm(f"{name}, r={placed.r}", placed.r, placed.targets, lora))
    return found


def trainings(config: Any, compared: Sequence[Arm]) -> list[Training]:
    """Returns every arm at every rate and seed."""
    return [training(config, arm, lr, seed) for arm in compared for lr in arm.rates
            for seed in range(config.seed, config.seed + config.seeds)]


def training(config: Any, arm: Arm, lr: float, seed: int) -> Training:
    """Returns the complete configuration of one training."""
    shared = {field.name: getattr(config, field.name) for field in fields(Training) if hasattr(config, field.name)}
    own: dict[str, Any] = {"method": FULL, "r": Training().r} if arm.r is None else {"r": arm.r, "targets": arm.targets}
    return Training(**{**shared, "lr": lr, "seed": seed, "seeds": 1, "predict": None, **own})


def name(config: Training) -> str:
    """Returns what a training is called."""
    arm = FULL if config.method == FULL else f"r={config.r}"
    where = "" if config.method == FULL or config.targets == ALL else f" on {config.targets}"
    return f"lora_without_regret {arm}{where} lr={compact(config.lr)} seed={config.seed}"


def middle_rank(config: Any) -> int:
    """The rank whose best rate is held against full fine-tuning's: the middle one, of two the smaller."""
    ranks = sorted(set(config.r))
    return int(ranks[(len(ranks) - 1) // 2])


def compared_ranks(config: Any) -> tuple[int, int] | None:
    """The ranks whose best rates are compared: the highest with the lowest from 4 on, else the lowest; None of one."""
    ranks = sorted(set(config.r))
    from_four = [rank for rank in ranks if rank >= 4]
    low, high = (from_four if len(from_four) > 1 else ranks)[0], ranks[-1]
    return (low, high) if low < high else None
