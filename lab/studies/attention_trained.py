"""The trainings that are compared: what each is called, what tells them apart, and the command for a placebo."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lab.errors import BaseMismatch, OptionError
from lab.models.tuned import check_one_base
from lab.options import text_of
from lab.tracking import capsule
from lab.tracking.capsule import Capsule
from lab.tracking.lookup import find
from lab.tracking.report import next_command

PLACEBO = "embedded:placebo"
ALIKE = ("r", "lr", "alpha", "targets", "steps", "batch_size", "accumulate", "schedule", "warmup", "method", "quantization")
_NOT_TRAINING = {"seed", "seeds", "r", "predict", "register", "capacity", "device"}
_REPEATED = ("model", "r", "lr", "alpha", "targets", "steps", "batch_size", "accumulate", "schedule", "warmup", "max_length",
             "seed", "method", "quantization", "dtype", "backend")


@dataclass(frozen=True)
class Trained:
    """One training whose capsule is compared.

    Attributes:
        capsule: What it kept.
        name: Of the adapter on the model, as `lab.models.tuned.open_several` names it.
        config: How it was trained; empty for one that was trained elsewhere.
        study: Entry point that made it.
        label: Tells it from the others of the comparison: `r=8 seed=1`.
        diverged: Step at which the training diverged, or None.
    """

    capsule: Capsule
    name: str
    config: dict[str, Any]
    study: str
    label: str
    diverged: int | None = None

    @property
    def rank(self) -> int | None:
        """Of the adapter; None for a whole model."""
        return self.capsule.manifest.get("lora", {}).get("r")

    @property
    def seed(self) -> int:
        """Of the training; 0 where that is unknown."""
        return self.config.get("seed", 0)

    @property
    def folder(self) -> str:
        """Where its own figures lie among several."""
        return self.label.replace(" ", "_")


def fetch(run_ids: Sequence[str], placebo: str | None) -> tuple[list[Trained], Trained | None]:
    """Returns the trainings and the placebo, verified, all on the same base, of kinds that can be compared.

    Args:
        run_ids: A sweep's parent stands for its children.
        placebo: Another run, on data with nothing to learn.

    Raises:
        OptionError: A run is given twice, whole models and adapters are mixed, or the placebo is no adapter.
        RunNotFound, AmbiguousRun, NoAdapter, CapsuleChanged: See `lab.tracking.capsule.fetch`.
        BaseMismatch: They were not all trained on the same base.
    """
    kept = list({(one.run_id, one.which): one for one in capsule.several(run_ids)}.values())
    whole = [one for one in kept if one.kind == "model"]
    if whole and len(kept) > 1:
        raise OptionError(f"run_id={','.join(run_ids)}: run {whole[0].run_id} kept a whole model, which is compared with "
                          f"its base alone; type run_id={whole[0].run_id}")
    control = None
    if placebo is not None:
        control = capsule.fetch(placebo)
        if control.kind == "model" or whole:
            raise OptionError(f"placebo={placebo}: a placebo is an adapter beside an adapter, and run "
                              f"{(control if control.kind == 'model' else whole[0]).run_id} kept a whole model; leave it "
                              "out")
        if control.run_id in {one.run_id for one in kept}:
            raise OptionError(f"placebo={placebo} is the run that is asked about; a placebo is another training, on "
                              f"dataset={PLACEBO}; or leave it out")
    check_one_base(kept)
    if control is not None and control.manifest["base_fingerprint"] != kept[0].manifest["base_fingerprint"]:
        raise BaseMismatch(f"placebo={placebo}: run {control.run_id} was trained on {control.manifest['base_fingerprint']}, "
                           f"run {kept[0].run_id} on {kept[0].manifest['base_fingerprint']}; a placebo is trained on the "
                           "same base: take another one, or leave it out")
    trained = _labelled(kept)
    return trained, None if control is None else _labelled([control], "placebo")[0]


def alike_but_for_seed(trained: Sequence[Trained]) -> list[Trained]:
    """Returns those that differ from the first in nothing but the training seed, the first among them."""
    first = trained[0]
    return [one for one in trained if one.config and recipe(one) == recipe(first) and one.rank == first.rank]


def by_rank(trained: Sequence[Trained]) -> dict[int, dict[int, Trained]]:
    """Returns by seed and rank those that differ from the first in nothing else; only seeds with all of several ranks."""
    first, found = trained[0], {}  # type: ignore[var-annotated]
    for one in trained:
        if one.config and recipe(one) == recipe(first) and one.rank is not None:
            found.setdefault(one.seed, {})[one.rank] = one
    ranks = {rank for of_seed in found.values() for rank in of_seed}
    return {seed: of_seed for seed, of_seed in sorted(found.items()) if len(ranks) > 1 and set(of_seed) == ranks}


def differences(one: Trained, placebo: Trained) -> list[str]:
    """Returns in words in what, other than its data, a placebo was not trained like the run it stands beside."""
    if not one.config or not placebo.config:
        return ["how one of the two was trained is not known"]
    found = [f"{name} {text_of(placebo.config.get(name))} instead of {text_of(one.config.get(name))}"
             for name in ALIKE if _value(placebo, name) != _value(one, name)]
    steps = [each.capsule.manifest.get("step") for each in (placebo, one)]
    if steps[0] != steps[1]:
        found.append(f"weights of step {steps[0]} instead of step {steps[1]}")
    if placebo.config.get("dataset") != PLACEBO:
        found.append(f"its data are {placebo.config.get('dataset')}, not {PLACEBO}")
    return found


def placebo_command(one: Trained) -> str | None:
    """Returns the command that trains a placebo for a run, or None where it is not known how that was trained."""
    if not one.config or one.config.get("method") == "full" or one.capsule.kind == "model":
        return None
    same = {name: one.config[name] for name in _REPEATED if name in one.config}
    study = one.study if one.study in ("finetune", "lora_rank", "learning_rate") else "finetune"
    from lab.options import describe
    from lab.studies.registry import load

    defaults = {info.name: info.default for info in describe(load(study).Config)}
    told = {name: value for name, value in same.items() if name in defaults and text_of(value) != defaults[name]}
    return next_command(study, dataset=PLACEBO, **told)


def recipe(one: Trained) -> dict[str, Any]:
    """Returns how it was trained, but for its rank, its seed and what does not change the training."""
    return {name: value for name, value in one.config.items() if name not in _NOT_TRAINING}


def _value(one: Trained, name: str) -> Any:
    value = one.config.get(name)
    return value[0] if isinstance(value, list) and len(value) == 1 else value


def _labelled(kept: Sequence[Capsule], fixed: str | None = None) -> list[Trained]:
    runs = [find(one.run_id) for one in kept]
    tags = [run.data.tags for run in runs]
    configs = [json.loads(text) if (text := tag.get("lab.config", "")).startswith("{") else {} for tag in tags]
    configs = [config if "steps" in config else {} for config in configs]
    labels = [fixed] if fixed else _labels(kept, configs)
    return [Trained(one, one.run_id if one.which == "best" else f"{one.run_id}_{one.which}", config,
                    tag.get("lab.study", ""), label,
                    int(tag["lab.diverged_at_step"]) if "lab.diverged_at_step" in tag else None)
            for one, config, tag, label in zip(kept, configs, tags, labels, strict=True)]


def _labels(kept: Sequence[Capsule], configs: Sequence[dict[str, Any]]) -> list[str]:
    facts = [{"r": one.manifest.get("lora", {}).get("r"), "lr": config.get("lr"), "seed": config.get("seed"),
              "data": config.get("dataset")} for one, config in zip(kept, configs, strict=True)]
    telling = [name for name in ("r", "lr", "seed", "data") if len({text_of(fact[name]) for fact in facts}) > 1]
    labels = [" ".join(f"{name}={text_of(fact[name])}" for name in telling).replace("/", "-") for fact in facts]
    if len(set(labels)) == len(labels) and all(labels):
        return labels
    return [f"{label} {one.run_id[:8]}{'@last' if one.which == 'last' else ''}".strip()
            for label, one in zip(labels, kept, strict=True)]
