"""Intruder dimensions of every training's last weights: adapters on one loaded base, whole models from their files."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lab.errors import TrackingError
from lab.models.tuned import Several
from lab.studies import geometry_measured
from lab.studies.attention_trained import Trained
from lab.studies.geometry_measured import Measured
from lab.studies.illusion_arms import label
from lab.studies.trials import Trial
from lab.tracking import capsule
from lab.tracking.capsule import Capsule


@dataclass(frozen=True)
class Looked:
    """One training and the geometry of its update.

    Attributes:
        trial: The training.
        measured: Of its last weights.
        epsilon: Cosine below which a direction is an intruder.
    """

    trial: Trial
    measured: Measured
    epsilon: float

    @property
    def intruders(self) -> np.ndarray:
        """[L, modules], among the k strongest directions of each weight."""
        return self.measured.intruders(np.array([self.epsilon]))[..., 0]

    @property
    def null_intruders(self) -> np.ndarray:
        """[L, modules, N], of random directions of the same sizes."""
        return self.measured.null_intruders(np.array([self.epsilon]))[..., 0]

    @property
    def energy(self) -> np.ndarray:
        """[L, modules], share of the energy of the k strongest directions that intruders hold."""
        return self.measured.energy(np.array([self.epsilon]))[..., 0]

    @property
    def null_energy(self) -> np.ndarray:
        """[L, modules, N], of random directions."""
        return self.measured.null_energy(np.array([self.epsilon]))[..., 0]

    @property
    def per_weight(self) -> float:
        """Intruders, mean over weights."""
        return float(np.nanmean(self.intruders))

    @property
    def norm(self) -> float:
        """‖Δ‖ / ‖W‖ (Frobenius), over all weights that are measured."""
        update = self.measured.grid(lambda one: one.norm)
        weight = self.measured.grid(lambda one: one.weight_norm)
        return float(np.sqrt(np.nansum(update**2) / np.nansum(weight**2)))


def fetch(trials: Sequence[Trial]) -> dict[str, Capsule]:
    """Returns the last weights of every training by its run id, verified to be those of its last checkpoint.

    Raises:
        TrackingError: A run keeps weights of another step than its forgetting was measured at.
        NoAdapter, CapsuleChanged: See `lab.tracking.capsule.fetch`.
    """
    kept = {}
    for trial in trials:
        one = capsule.fetch(f"{trial.run_id}@last")
        if one.manifest["step"] != trial.steps[-1]:
            raise TrackingError(f"run {trial.run_id} keeps the weights of step {one.manifest['step']}, and its forgetting "
                                f"was measured at step {trial.steps[-1]}; train it again, without resume")
        kept[trial.run_id] = one
    return kept


def look(trials: Sequence[Trial], kept: dict[str, Capsule], opened: Several | None, config: Any) -> list[Looked]:
    """Returns the geometry of every training, adapters first as they come.

    Args:
        trials: Adapters and whole models.
        kept: From `fetch`.
        opened: The base with all adapters on it; None where there are none.
        config: Of the study: `k`, `draws`, `epsilon`, `seed`, `device`, `dtype`.

    Raises:
        OptionError: A weight has fewer than k directions.
        ModelUnsupported: An adapter is more than products of factors.
    """
    named = {one.run_id: name for name, one in opened.capsules.items()} if opened else {}
    adapters = [trial for trial in trials if trial.r is not None]
    found = {}
    if opened is not None:
        trained = [_trained(trial, kept[trial.run_id], named[trial.run_id]) for trial in adapters]
        geometry_measured.check(opened.model, trained, config.k)
        found = dict(zip((trial.run_id for trial in adapters), geometry_measured.measured(
            opened.model, trained, k=config.k, draws=config.draws, seed=config.seed), strict=True))
    for trial in trials:
        if trial.r is None:
            found[trial.run_id] = _whole(trial, kept[trial.run_id], config)
    return [Looked(trial, found[trial.run_id], config.epsilon) for trial in trials]


def _whole(trial: Trial, kept: Capsule, config: Any) -> Measured:
    from lab.adapters.difference import pairs
    from lab.devices import choose
    from lab.models.fingerprint import fingerprint
    from lab.models.references import folder_of, resolve
    from lab.models.tuned import check_fingerprint

    placement = choose(config.device, "float32")
    given = kept.manifest["base_reference"]["resolved"]
    base = folder_of(resolve(given))
    check_fingerprint(kept, given, fingerprint(base))
    weights = pairs(base, kept.folder)
    geometry_measured.check_k(config.k, {pair.name: pair.shape for pair in weights})
    return geometry_measured.measured_whole(
        _trained(trial, kept, trial.run_id), weights, k=config.k, draws=config.draws, seed=config.seed,
        device="cpu" if placement.kind == "mps" else placement.device)  # Metal has no float64


def _trained(trial: Trial, kept: Capsule, name: str) -> Trained:
    return Trained(kept, name, {}, "lora_illusion", label(trial))
