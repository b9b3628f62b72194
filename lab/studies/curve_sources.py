"""The loss curves of training runs, as their metrics in the store tell them."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lab.errors import OptionError
from lab.tracking import rows
from lab.tracking.lookup import find, resolve
from lab.tracking.opening import children
from lab.tracking.store import client
from lab.training.curves import Curve, tidy

TRAIN, HELD_OUT, GRADIENT = "train/loss", "eval/loss", "train/grad_norm"
FRESH = "train loss of batches never seen before"
LEARNABLE = ("embedded:facts", "embedded:style", "embedded:cipher")
_MOST_MEANS = 60


@dataclass(frozen=True)
class Source:
    """One training run's curves.

    Attributes:
        run_id: Of the run.
        name: Of the run.
        study: Entry point that made it.
        config: Its configuration, empty for a run of another program.
        train: Train loss at every step logged.
        held_out: Held-out loss; for pretraining, whose batches are all new, means of the train loss.
        held_out_is: `eval/loss`, or what stands for it.
        gradient: Gradient norm by step.
    """

    run_id: str
    name: str
    study: str
    config: dict[str, Any]
    train: Curve
    held_out: Curve
    held_out_is: str
    gradient: dict[int, float]

    @property
    def points(self) -> int:
        """Held-out points after step 0, which a law can be fitted to."""
        return len(self.held_out.after(0))


def load(references: Sequence[str]) -> list[Source]:
    """Returns the training runs meant, in order and each once; a parent stands for its children.

    Args:
        references: Run ids in any form that the lab takes.

    Raises:
        RunNotFound: A reference means no run.
        OptionError: A run and its children logged no loss.
    """
    found: dict[str, Source] = {}
    for reference in references:
        run = find(resolve(reference).run_id)
        nested = [find(child) for child in children(client(), run.info.experiment_id, run.info.run_id)]
        trainings = [one for one in (run, *nested) if TRAIN in one.data.metrics or HELD_OUT in one.data.metrics]
        if not trainings:
            raise OptionError(
                f"run_ids={reference}: run {run.info.run_id} ({run.info.run_name}) logged neither {TRAIN} nor {HELD_OUT}, "
                f"and none of its {len(nested)} children did; give a training run (finetune, lora_rank, learning_rate, "
                "pretrain, or their parent)")
        found |= {one.info.run_id: _source(one) for one in trainings if one.info.run_id not in found}
    return list(found.values())


def known_floor(source: Source) -> tuple[float, str] | None:
    """Returns the loss that no model of this data can go below, in nats per token, and why; None where unknown.

    The answers of the embedded fine-tuning sets follow from what is trained: 0. The corpus of pretraining has the
    entropy of its generator. Of other data the entropy is not known.
    """
    if source.config.get("dataset") in LEARNABLE:
        return 0.0, "each answer follows from what is trained"
    if source.study != "pretrain":
        return None
    from importlib.resources import files

    from tokenizers import Tokenizer

    from lab.data.world.entropy import corpus_entropy

    tokenizer = Tokenizer.from_str(files("lab.models.embedded").joinpath("tokenizer.json").read_text(encoding="utf-8"))
    entropy = corpus_entropy(lambda text: len(tokenizer.encode(text, add_special_tokens=False).ids))
    return entropy.nats_per_token, f"entropy of the generated corpus, standard error {entropy.error:.2g}"


def _source(run: Any) -> Source:
    tags, metrics = run.data.tags, run.data.metrics
    diverged = tags.get("lab.diverged_at_step")
    study = tags.get("lab.study", "")

    def curve(metric: str) -> Curve:
        points = rows.history(run.info.run_id, metric) if metric in metrics else ([], [])
        return tidy(*points, diverged_at=None if diverged is None else int(diverged))

    train, held_out, held_out_is, gradient = curve(TRAIN), curve(HELD_OUT), HELD_OUT, curve(GRADIENT)
    if study == "pretrain" and len(held_out) == 0:
        held_out, held_out_is = _means(train), FRESH
    return Source(run.info.run_id, run.info.run_name or run.info.run_id, study, _config(tags.get("lab.config", "")), train,
                  held_out, held_out_is, dict(zip(gradient.steps.tolist(), gradient.values.tolist(), strict=True)))


def _means(curve: Curve) -> Curve:
    """Returns means of up to 60 equal stretches: single batches are noisy, and what is fitted needs no more points."""
    parts = min(_MOST_MEANS, len(curve) // 2)
    if parts == 0:
        return curve
    steps, values = (np.array([part.mean() for part in np.array_split(x, parts)]) for x in (curve.steps, curve.values))
    return Curve(steps.round().astype(np.int64), values, curve.diverged_at)


def _config(text: str) -> dict[str, Any]:
    return json.loads(text) if text.startswith("{") else {}
