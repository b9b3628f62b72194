"""The training that is to forget less: its files, and the configuration that it is trained again with."""

from dataclasses import dataclass
from typing import Any

from lab import options
from lab.errors import OptionError
from lab.studies.finetune import Config as Training
from lab.tracking import capsule, rows
from lab.tracking.capsule import Capsule
from lab.tracking.lookup import find


@dataclass(frozen=True)
class Source:
    """A training of the lab.

    Attributes:
        capsule: What it kept, verified.
        training: Its configuration, as one of `finetune`.
        finished: Whether it came to its end, with everything that it measured.
    """

    capsule: Capsule
    training: Training
    finished: bool = True


def read(config: Any) -> Source:
    """Returns the training that is asked about.

    Args:
        config: Of the study: `run_id`, `scales`, `replay`, `rates`, `stops`, `model`, `device` and `dtype`.

    Raises:
        OptionError: It was not trained here, or nothing can be tried on it.
        RunNotFound, AmbiguousRun, NoAdapter, CapsuleChanged: See `lab.tracking.capsule.fetch`.
    """
    kept = capsule.fetch(config.run_id)
    run = find(kept.run_id)
    values = rows.config_of(run)
    _check_trained_here(kept, run.data.tags, values)
    _check_remedies(config, kept, values)
    return Source(kept, _again(config, values), run.data.tags.get("lab.ended") == "finished")


def _check_trained_here(kept: Capsule, tags: dict[str, str], values: dict[str, Any]) -> None:
    if tags.get("lab.training") == "ablated":
        raise OptionError(f"run {kept.run_id} holds what an analysis left of an adapter; type the training that it came "
                          f"from: run_id={tags.get('lab.source_run_id', '')}")
    if "steps" not in values or "dataset" not in values:
        raise OptionError(f"run {kept.run_id} was trained elsewhere (its study is {tags.get('lab.study')}): on what and how "
                          "is not known, so that it cannot be trained again. To scale its adapter alone, type "
                          f"adapter_geometry -P run_id={kept.run_id} -P ablate=scale:0.5; else give a training of the lab")


def _check_remedies(config: Any, kept: Capsule, values: dict[str, Any]) -> None:
    if not (config.scales or config.replay or config.rates or config.stops):
        raise OptionError("scales=none, replay=none, rates=none and stops=false leave nothing to try; type for example "
                          "scales=0.5 or replay=0.25")
    if config.scales and kept.kind == "model":
        raise OptionError(f"scales={options.text_of(config.scales)}: run {kept.run_id} kept a whole model and no adapter "
                          "that could be scaled; type scales=none")
    if values.get("replay"):
        raise OptionError(f"run {kept.run_id} was trained with replay={options.text_of(values['replay'])} already; give the "
                          "training without it, of which this is a remedy")
    if config.replay_data != "auto" and not config.replay:
        raise OptionError(f"replay_data={config.replay_data} with replay=none: no row of it would be trained on; type a "
                          "share too, such as replay=0.25")


def _again(config: Any, values: dict[str, Any]) -> Training:
    """The configuration of one training, of which a sweep's child has `r` and `lr` as lists of one."""
    plain = {name: value[0] if isinstance(value, list) else value for name, value in values.items()}
    known = options.as_json(Training())
    placed = {"model": config.model or plain["model"]}
    placed |= {name: getattr(config, name) for name in ("device", "dtype") if getattr(config, name) != "auto"}
    return options.from_json(Training, {**known, **{name: plain[name] for name in known if name in plain}, **placed,
                                        "seeds": 1, "predict": None, "register": None})
