"""Trainings that never happened, whose losses over rates are planted."""

import dataclasses
from hashlib import md5

import numpy as np

from lab.studies.lora_without_regret import Config
from lab.studies.regret_arms import Arm, arms, training
from lab.studies.regret_hypotheses import hypotheses
from lab.studies.regret_measured import measure
from lab.studies.regret_verdicts import verdicts
from lab.studies.trials import Trial

CONFIG = Config(r=(1, 8, 64))
BASE_LOSS = 5.0
ROWS = 20


def trial(arm: Arm, lr: float, seed: int, loss: float, *, diverged_at: int | None = None, config: Config = CONFIG) -> Trial:
    """A training that went straight from the base's loss to this one."""
    made = training(config, arm, lr, seed)
    losses = np.array([BASE_LOSS, (BASE_LOSS + loss) / 2, loss])
    parameters = 3_000_000 if arm.r is None else 1000 * arm.r
    return Trial(run_id=md5(f"{arm.name} {lr} {seed}".encode()).hexdigest(), config=made, method=made.method, r=arm.r, lr=lr,
                 seed=seed, replay=0.0, parameters=parameters, diverged_at=diverged_at, steps=np.array([0, 50, 100]),
                 loss=losses, row_nll=np.tile(losses[:, None], (1, ROWS)), row_tokens=np.ones(ROWS), correct={},
                 clusters={}, gold_nll={}, text_nll=np.zeros((3, 0)), text_bytes=np.zeros(0))


def study(best: dict[str, float], lowest: dict[str, float] | None = None, *, noise: float = 0.03, config: Config = CONFIG,
          diverged: tuple[tuple[str, float], ...] = ()) -> list[Trial]:
    """Every arm at every rate and seed; its loss is lowest at a planted rate, where it has a planted value.

    Args:
        best: By the start of an arm's name, its best rate; r=8's where there is none.
        lowest: By the start of an arm's name, its loss there; 0.5 where there is none.
        noise: Of a seed's log loss.
        config: Of the study.
        diverged: Start of an arm's name, and the rate from which on it diverges.
    """
    generator, found = np.random.default_rng(0), []
    for arm in arms(config):
        rate = _of(best, arm, 1e-3)
        for lr in arm.rates:
            for seed in range(config.seeds):
                log = 1.2 * np.log(lr / rate) ** 2 + noise * generator.standard_normal()
                loss = _of(lowest or {}, arm, 0.5) * np.exp(log)
                gone = any(arm.name.startswith(start) and lr >= limit for start, limit in diverged)
                found.append(trial(arm, lr, seed, float(loss), diverged_at=7 if gone else None, config=config))
    return found


def decide(trials: list[Trial], config: Config = CONFIG) -> dict:
    """Verdicts by name."""
    return {each.name: each for each in verdicts(hypotheses(config), measure(arms(config), trials), config)}


def changed(**values) -> Config:
    return dataclasses.replace(CONFIG, **values)


def _of(planted: dict[str, float], arm: Arm, default: float) -> float:
    return next((value for start, value in planted.items() if arm.name.startswith(start)), default)
