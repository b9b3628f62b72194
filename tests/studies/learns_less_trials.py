"""Trainings that never happened, whose learning and forgetting are planted."""

import dataclasses

import numpy as np

from lab.studies import learns_less_arms as arms
from lab.studies.learns_less_curves import curves
from lab.studies.learns_less_verdicts import Evidence, verdicts
from lab.studies.lora_learns_less import Config
from lab.studies.trials import Trial

ROWS, ITEMS, CLUSTERS, DOCUMENTS = 200, 400, 200, 30
STEPS = np.array([0, 10, 20, 30, 40])
BASE_LOSS = 6.0
RATES = (1e-3, 3e-3, 1e-2)
FULL_RATES = (1e-4, 3e-4, 1e-3)
CONFIG = Config(r=(1, 8, 64), lr=RATES, full_lr=FULL_RATES, seeds=3, dataset="embedded:facts")


def trial(r: int | None, *, learned: float, lost: float, text: float = 0.1, lr: float | None = None, seed: int = 0,
          spread: float = 0.02, along=(0, 0.4, 0.7, 0.9, 1), diverged_at: int | None = None) -> Trial:
    """A training that ends with so much learned (nats/token), points lost and bits per byte lost, in these shares along the
    way; by `spread` of them a seed differs from another."""
    generator = np.random.default_rng([seed, r or 0, 7])
    shares = np.array(along, dtype=float)
    learned, lost, text = (value * (1 + spread * generator.standard_normal()) for value in (learned, lost, text))
    hardness = np.random.default_rng(1).normal(0, 0.3, ROWS)  # of the rows, alike for all trainings
    nll = np.maximum(0.0, BASE_LOSS + hardness - learned * shares[:, None])
    right = np.random.default_rng(2).random((2, ITEMS)).argsort(1)  # which questions fall first, alike for all
    correct = {suite: right[number] < np.round(ITEMS * (0.9 - lost * shares / 100))[:, None]
               for number, suite in enumerate(("math", "code"))}
    clusters = {suite: np.arange(ITEMS) % CLUSTERS for suite in correct}
    size = np.full(DOCUMENTS, 500)
    nats = np.log(2) * size * (1.0 + np.random.default_rng(3).normal(0, 0.1, DOCUMENTS) + text * shares[:, None])
    gold = {suite: np.where(each, 0.1, 2.0) for suite, each in correct.items()}
    rate = lr if lr is not None else 3e-4 if r is None else 3e-3
    at = slice(0, 2) if diverged_at is not None else slice(None)
    return Trial(
        run_id=f"run-{r}-{rate:g}-{seed}", config=None, method="full" if r is None else "lora", r=r, lr=rate, seed=seed,
        replay=0.0, parameters=1000 * (r or 100), diverged_at=diverged_at, steps=STEPS[at], loss=nll.mean(1)[at],
        row_nll=nll[at], row_tokens=np.ones(ROWS), correct={name: each[at] for name, each in correct.items()},
        clusters=clusters, gold_nll={name: each[at] for name, each in gold.items()}, text_nll=nats[at], text_bytes=size)


def study(learned: dict, lost: dict, *, seeds: int = 3, text: dict | None = None, along: dict | None = None, spread=0.02
          ) -> list[Trial]:
    """Every arm at all its rates, the middle one the best, and the seeds beyond the first at the best alone."""
    found = []
    for r in learned:
        about = {"text": (text or {}).get(r, 0.1), "along": (along or {}).get(r, (0, 0.4, 0.7, 0.9, 1)), "spread": spread}
        rates = FULL_RATES if r is None else RATES
        for lr in rates:
            worse = 1.0 if lr == rates[1] else 0.6
            found.append(trial(r, learned=worse * learned[r], lost=lost[r], lr=lr, **about))
        found += [trial(r, learned=learned[r], lost=lost[r], lr=rates[1], seed=seed, **about) for seed in range(1, seeds)]
    return found


def evidence(trials: list[Trial], *, ranks=None, config: Config = CONFIG) -> Evidence:
    """What the study would judge by."""
    tuned = [arms.tune(arm, trials, config.seed) for arm in arms.arms(config)]
    return Evidence(config, tuned, curves(arms.chosen(tuned, trials), draws=200), ranks or {})


def decide(trials: list[Trial], **given) -> dict:
    """Verdicts by name."""
    from lab.studies.learns_less_hypotheses import hypotheses

    config = given.get("config", CONFIG)
    return {each.name: each for each in verdicts(hypotheses(config), evidence(trials, **given))}


def changed(config: Config = CONFIG, **values) -> Config:
    return dataclasses.replace(config, **values)
