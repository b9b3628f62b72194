"""Pretraining, recorded: accuracy per category as it grows, and the model kept as a capsule."""

import tempfile
from collections import defaultdict
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from lab.devices import choose, peak_bytes, reset_peak
from lab.figures.layout import panels
from lab.figures.training import accuracy_by_category, loss_curve
from lab.models.adapters import facts_of
from lab.models.loading import load_base
from lab.tracking import capsule
from lab.tracking.run import Run
from lab.training.pretrain import Pretrained, pretrain
from lab.training.progress import Progress

_NOT_OF_TRAINING = ("device", "predict", "register", "eval_every", "questions")
DURING = 200


def train(run: Run, config: Any) -> Pretrained:
    """Trains and records losses, accuracies and their figure."""
    place = choose(config.device, config.dtype)
    reset_peak(place.device)
    progress = Progress(config.steps, run.name)
    losses: list[tuple[int, float]] = []
    shares: dict[str, list[tuple[int, float]]] = defaultdict(list)
    chance: dict[str, float] = {}

    def on_step(step: int, values: dict[str, float]) -> None:
        run.step(step, values)
        losses.append((step, values["train/loss"]))
        progress.update(step, values["train/loss"])

    def on_eval(step: int, accuracies: dict[str, Any], model: Any) -> None:
        for category, found in accuracies.items():
            shares[category].append((step, found.share))
            chance[category] = found.chance
        run.step(step, {f"accuracy/{category}": found.share for category, found in accuracies.items()})
        run.step(step, {"memory/peak_bytes": float(peak_bytes(place.device))})

    settings = {name: value for name, value in asdict(config).items() if name not in _NOT_OF_TRAINING}
    trained = pretrain(**{**settings, "dtype": place.dtype}, device=place.device, on_step=on_step, on_eval=on_eval,
                       eval_every=config.eval_every or max(1, config.steps // 4), final_questions=config.questions,
                       eval_questions=min(DURING, config.questions))
    progress.close()
    run.params({"parameters.trainable": trained.parameters, "data.tokens": trained.tokens,
                "base.device": place.description, "base.dtype": place.dtype})
    run.summary({f"best/accuracy_{category}": found.share for category, found in trained.accuracies.items()})
    _draw(run, losses, shares, chance)
    return trained


def keep(run: Run, trained: Pretrained, config: Any) -> None:
    """Keeps the model under the run; it is its own base."""
    with tempfile.TemporaryDirectory(prefix="lab-") as name:
        folder = Path(name)
        trained.save(folder)
        facts = facts_of(load_base(name, device="cpu"), step=trained.steps)
        itself = f"run:{run.id}"
        capsule.seal(folder, "model", {**facts, "base_reference": {"given": itself, "resolved": itself}})
        capsule.keep(run, folder, "model", "best", register=config.register)


def _draw(run: Run, losses: list[tuple[int, float]], shares: dict[str, list[tuple[int, float]]], chance: dict[str, float]
          ) -> None:
    figure, axes = panels(2)
    steps, values = np.array(losses).T
    loss_curve(steps, values, [], [], axes[0])
    at = np.array([step for step, _ in next(iter(shares.values()))])
    accuracies = {category: np.array([share for _, share in pairs]) for category, pairs in shares.items()}
    accuracy_by_category(at, accuracies, chance, axes[1])
    run.figure("pretraining", figure, {
        "steps": steps, "train_loss": values, "accuracy_steps": at, "categories": np.array(list(accuracies)),
        "accuracy": np.stack(list(accuracies.values())), "chance": np.array([chance[c] for c in accuracies])})
