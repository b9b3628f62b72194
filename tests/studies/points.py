"""Trainings that never happened, with losses of our choosing, to see the rules decide."""

import math

import numpy as np

from lab.studies.lora_rank import Config
from lab.studies.training_run import Point
from lab.training.evaluate import Evaluation
from lab.training.finetune import Trained

ITEMS = 400
ANSWERS = 1024


def evaluation(step: int, loss: float, noise: float = 0.05, seed: int = 0) -> Evaluation:
    """Per-row losses around `loss` nats; one trained token a row."""
    nll = loss + noise * np.random.default_rng(seed).standard_normal(ITEMS)
    return Evaluation(step, nll, np.ones(ITEMS, dtype=int), np.full(ITEMS, 4))


def point(r: int, losses: list[float], *, lr: float = 1e-3, seed: int = 0, diverged_at: int | None = None,
          noise: float = 0.05) -> Point:
    """A point whose base loss is log(1024) and whose evaluations at steps 10, 20, … have these losses."""
    evaluations = [evaluation(0, math.log(ANSWERS), 0)]
    evaluations += [evaluation(10 * (i + 1), loss, noise, seed) for i, loss in enumerate(losses)]
    finite = [e for e in evaluations[1:] if math.isfinite(e.loss)]
    best = min(finite, key=lambda e: e.loss).step if finite else 0
    at_best = next((e for e in evaluations[1:] if e.step == best), None)
    trained = Trained(evaluations, evaluations[0], evaluations[-1], at_best, 10 * len(losses), best, {}, diverged_at, [])
    return Point(f"run-{r}-{lr}-{seed}", r, lr, seed, 100 * r, trained, 1.0, [])


def config(**changes) -> Config:
    return Config(**{"facts": ITEMS, "answers": ANSWERS, "batch_size": 10, **changes})
