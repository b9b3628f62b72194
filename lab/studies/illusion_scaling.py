"""Adapters with their intruders scaled down, beside two controls of the same size, scored on what the trainings were."""

import contextlib
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import sqrt
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lab.adapters import neighbours
from lab.adapters.intruder_scaling import with_scaled
from lab.adapters.modules import modules, update_of, weight_of
from lab.adapters.neighbours import Paired
from lab.adapters.update import Update
from lab.adapters.weights import decompose
from lab.models.adapters import put_on
from lab.studies.geometry_folders import write
from lab.studies.trials import Trial
from lab.tracking.capsule import Capsule

SLOT = "scaled"
INTRUDERS, SHRUNK, NEIGHBOURS = "intruders", "shrunk", "neighbours"
ARMS = {INTRUDERS: "intruders scaled", SHRUNK: "whole update, shrunk to that norm", NEIGHBOURS: "neighbours scaled"}


@dataclass(frozen=True, eq=False)
class Scored:
    """What one model scores.

    Attributes:
        row_nll: [rows] nats, of held-out rows of what was trained.
        text_nll: [D] nats, of documents.
        correct: By suite, [N] bool.
    """

    row_nll: np.ndarray
    text_nll: np.ndarray
    correct: Mapping[str, np.ndarray]


@dataclass(frozen=True, eq=False)
class Scaled:
    """One adapter, and what it scores with its intruders scaled down and under the controls.

    Attributes:
        trial: The training; it has the base's scores too.
        whole: The adapter as it was trained, scored anew.
        intruders: How many are scaled, over all weights; as many neighbours.
        weights: In how many weights.
        arms: Scores by factor and arm.
        norms: Norm of the update as a share of that of the whole, by factor and arm.
    """

    trial: Trial
    whole: Scored
    intruders: int
    weights: int
    arms: Mapping[tuple[float, str], Scored]
    norms: Mapping[tuple[float, str], float]

    @property
    def drift(self) -> float:
        """Bits per byte by which the documents' loss differs from what was recorded in training: only rounding."""
        bits = np.log(2) * self.trial.text_bytes.sum()
        return float(abs(self.whole.text_nll.sum() - self.trial.text_nll[-1].sum()) / bits)


def measure(model: Any, adapter: str, trial: Trial, kept: Capsule, score: Callable[[Any], Scored], *,
            factors: Sequence[float], k: int, threshold: float, most: int | None) -> Scaled | None:
    """Returns what an adapter scores with its intruders scaled by each factor, or None where it has none.

    Args:
        model: A PEFT model with the adapter; it is the active one afterwards, unchanged.
        adapter: Its name there.
        trial: Its training.
        kept: Its files.
        score: Scores the model as it is.
        factors: What intruders are multiplied by.
        k: See `lab.adapters.neighbours.pair`.
        threshold: Likewise.
        most: Likewise.
    """
    held = modules(model, adapter)
    with torch.no_grad():
        whole = {name: update_of(layer, adapter) for name, layer in held.items()}
        found = {name: _pair(layer, whole[name], k, threshold, most) for name, layer in held.items()}
    count = sum(len(each.intruders.values) for each in found.values() if each)
    if not count:
        return None
    model.set_adapter(adapter)
    before, arms, norms = score(model), {}, {}
    for factor in factors:
        for arm, updates in _arms(whole, found, factor):
            with _on(model, kept, updates, adapter):
                arms[factor, arm] = score(model)
            norms[factor, arm] = _norm(updates) / _norm(whole)
    return Scaled(trial, before, count, sum(each is not None for each in found.values()), arms, norms)


def _pair(layer: Any, update: Update, k: int, threshold: float, most: int | None) -> Paired | None:
    weight = weight_of(layer)
    return neighbours.pair(weight, decompose(weight), update, k=k, threshold=threshold, most=most)


def _arms(whole: Mapping[str, Update], found: Mapping[str, Paired | None], factor: float
          ) -> Iterator[tuple[str, dict[str, Update]]]:
    """The three arms at one factor; the shrunk one has the norm of the first over all weights."""
    def scaled(which: str) -> dict[str, Update]:
        return {name: update if (pair := found[name]) is None else with_scaled(update, getattr(pair, which), factor)
                for name, update in whole.items()}

    intruders = scaled(INTRUDERS)
    share = _norm(intruders) / _norm(whole)
    yield INTRUDERS, intruders
    yield SHRUNK, {name: update.scaled(share) for name, update in whole.items()}
    yield NEIGHBOURS, scaled(NEIGHBOURS)


def _norm(updates: Mapping[str, Update]) -> float:
    return sqrt(sum(update.norm**2 for update in updates.values()))


@contextlib.contextmanager
def _on(model: Any, kept: Capsule, updates: Mapping[str, Update], before: str) -> Iterator[None]:
    """Another adapter instead of the one that is active, with these updates."""
    with tempfile.TemporaryDirectory(prefix="lab-") as folder:
        write(kept, updates, Path(folder))
        put_on(model, Path(folder), SLOT)
    try:
        model.set_adapter(SLOT)
        yield
    finally:
        model.set_adapter(before)
        model.delete_adapter(SLOT)
