"""Finished trainings, found again in the store and read back."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from lab import options
from lab.errors import OptionError, TrackingError
from lab.studies import retention
from lab.studies.finetune import Config
from lab.studies.trials import Trial
from lab.tracking import rows
from lab.tracking.lookup import find, resolve
from lab.tracking.opening import children
from lab.tracking.store import client, failing_as, tracking_uri

if TYPE_CHECKING:
    from mlflow.entities import Run as MlflowRun

TAG = "lab.trial"


def key(config: Config) -> str:
    """Returns the SHA-256 of everything that a training is asked for; a guess and a registered name change nothing."""
    values = options.as_json(replace(config, predict=None, register=None))
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def families(references: Sequence[str]) -> list[str]:
    """Returns the ids of the runs that are meant and of all that they went on from, each once.

    Raises:
        RunNotFound, AmbiguousRun: There is no such run, or several.
    """
    found: list[str] = []
    waiting = [resolve(reference).run_id for reference in references]
    while waiting:
        run_id = waiting.pop(0)
        if run_id not in found:
            found.append(run_id)
            waiting += [resolve(earlier).run_id for earlier in rows.config_of(find(run_id)).get("resume") or ()]
    return found


def finished(references: Sequence[str]) -> dict[str, list["MlflowRun"]]:
    """Returns the finished trainings of earlier parts by their key, those of the run named first before others."""
    found: dict[str, list[MlflowRun]] = {}
    for run_id in families(references):
        with failing_as(f"finding the trainings of run {run_id}", tracking_uri()):
            experiment = client().get_run(run_id).info.experiment_id
            each = [client().get_run(child) for child in children(client(), experiment, run_id)]
        for run in each:
            if TAG in run.data.tags and run.data.tags.get("lab.ended") == "finished":
                found.setdefault(run.data.tags[TAG], []).append(run)
    return found


def seconds(run: "MlflowRun") -> float:
    """Returns how long a finished run took."""
    return (run.info.end_time - run.info.start_time) / 1000


def read(reference: str) -> Trial:
    """Returns a finished training as it was recorded, whatever study it belongs to.

    Raises:
        OptionError: The run is no finished training of the lab.
        RunNotFound: There is no such run.
    """
    run = find(resolve(reference).run_id)
    if "parameters.trainable" not in run.data.params or run.data.tags.get("lab.ended") != "finished":
        raise OptionError(f"run {run.info.run_id} ({run.info.run_name}) is no finished training; name one of finetune, of a "
                          "sweep's children, or of a study of trials")
    config = options.from_json(Config, _single(rows.config_of(run)))
    diverged = run.data.tags.get("lab.diverged_at_step")
    measured = _measured(run.info.run_id, config)
    return Trial(
        run_id=run.info.run_id, config=config, method=config.method, r=None if config.method == "full" else config.r,
        lr=config.lr, seed=config.seed, replay=config.replay, parameters=int(run.data.params["parameters.trainable"]),
        diverged_at=None if diverged is None else int(diverged), **measured)


def _measured(run_id: str, config: Config) -> dict[str, Any]:
    if config.evaluate == "forgetting":
        kept = retention.read(rows.arrays(run_id, "forgetting"))
        return {"steps": kept.steps, "row_nll": kept.learning_nll, "row_tokens": kept.learning_tokens,
                "loss": kept.learning_nll.sum(1) / kept.learning_tokens.sum(), "correct": kept.correct,
                "clusters": kept.clusters, "gold_nll": kept.gold_nll, "text_nll": kept.text_nll,
                "text_bytes": kept.text_bytes}
    curve = rows.arrays(run_id, "training")
    if "held_out.steps" not in curve:
        raise TrackingError(f"run {run_id} was recorded before the losses of single rows were; train it again")
    nll, tokens = curve["held_out.nll"], curve["held_out.tokens"]
    return {"steps": curve["held_out.steps"], "row_nll": nll, "row_tokens": tokens, "loss": nll.sum(1) / tokens.sum(),
            "correct": {}, "clusters": {}, "gold_nll": {}, "text_nll": np.zeros((len(nll), 0)), "text_bytes": np.zeros(0)}


def _single(values: dict[str, Any]) -> dict[str, Any]:
    """The options of a single training, of which a sweep's child has `r` and `lr` as lists of one."""
    names = {info.name for info in options.describe(Config)}
    return {name: value[0] if isinstance(value, list) else value for name, value in values.items() if name in names}

