"""Base and tuned model on the same items: from one loaded base, or one whole model after the other."""

from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from lab.evaluation import drift as drifts
from lab.evaluation import drift_forwards as forwards
from lab.evaluation.asking import ask
from lab.evaluation.drift import Drift
from lab.evaluation.scores import Scores
from lab.models.loading import Base
from lab.models.tuned import open_base, open_run
from lab.studies import opening
from lab.studies.forgetting_tasks import Suites
from lab.tracking import capsule
from lab.tracking.capsule import Capsule
from lab.tracking.run import Run


@dataclass
class Models:
    """What is compared.

    Attributes:
        base: In memory; gone once a whole model takes its place.
        tuned: The PEFT model on that base, the base's own model where it is held against itself, or None for a whole model
            that is loaded after the base.
        tokenizer: Of both.
        capsule: Of the training, or None for a base against itself.
    """

    base: Base | None
    tuned: Any
    tokenizer: Any
    capsule: Capsule | None


@dataclass(frozen=True)
class Measured:
    """Scores of both, and how far their next tokens differ.

    Attributes:
        base: Of the bare base.
        tuned: Of the tuned model.
        drift: On the texts, or None without any.
        resolution: What rounding alone makes of the base on the same texts.
    """

    base: Scores
    tuned: Scores
    drift: Drift | None
    resolution: Drift | None


def open_models(run: Run, config: Any) -> Models:
    """Returns the verified adapter on its base, or the base of a whole model, or a model to hold against itself.

    Args:
        run: Open; gets the base's facts and the source run.
        config: Of the study: `run_id`, `model`, `device` and `dtype`.
    """
    if config.run_id is None:
        base = opening.open_model(run, config)
        models = Models(base, base.model, base.tokenizer, None)
    else:
        kept = capsule.fetch(config.run_id)
        capsule.use(run, kept)
        if kept.kind == "model":
            base = open_base(kept, base=config.model, device=config.device, dtype=config.dtype)
            models = Models(base, None, base.tokenizer, kept)
        else:
            tuned = open_run(opening.reference(kept), base=config.model, device=config.device, dtype=config.dtype)
            base = tuned.base
            models = Models(base, tuned.model, tuned.tokenizer, kept)
    run.params(opening.facts(base))
    return models


def measure(models: Models, suites: Suites, config: Any) -> Measured:
    """Returns what base and tuned model score on the same items, in the same batches.

    Args:
        models: From `open_models`.
        suites: What is asked.
        config: Of the study: `greedy`, `batch_size`, `items`, `seed`, `device` and `dtype`.
    """
    def score(model: Any, label: str) -> Scores:
        print(f"scoring {label} …", flush=True)
        return ask(model, models.tokenizer, suites.items, suites.texts, chat=suites.chat, batch_size=config.batch_size,
                   answer=config.greedy, named=suites.named, most=config.items, seed=config.seed)

    assert models.base is not None
    if models.capsule is None:
        model = models.base.model
        read = forwards.reader(model)
        return Measured(score(model, "the model"), score(model, "it once more"), *_drift(suites, models, model, read, read))
    if models.tuned is not None:
        with models.tuned.disable_adapter():
            base = score(models.tuned, "the base")
        tuned = score(models.tuned, f"run {models.capsule.run_id}")
        return Measured(base, tuned, *_drift(suites, models, models.tuned, forwards.reader(models.tuned, adapter=False),
                                             forwards.reader(models.tuned)))
    return _one_after_the_other(models, suites, config, score)


def _drift(suites: Suites, models: Models, model: Any, base: Any, tuned: Any) -> tuple[Drift | None, Drift | None]:
    if not suites.texts:
        return None, None
    documents = drifts.encode(suites.texts, models.tokenizer, longest=forwards.longest(model))
    off = hasattr(model, "disable_adapter")
    padded = forwards.reader(model, adapter=not off, padding=forwards.PADDING)
    return drifts.measure(documents, base, tuned), drifts.measure(documents, base, padded)


def _one_after_the_other(models: Models, suites: Suites, config: Any, score: Any) -> Measured:
    """Two whole models are never in memory together; the base's logits of the texts wait on disk."""
    assert models.base is not None and models.capsule is not None
    first = models.base.model
    base = score(first, "the base")
    with ExitStack() as stack:
        kept = resolution = None
        documents = []
        if suites.texts:
            every = drifts.encode(suites.texts, models.tokenizer, longest=forwards.longest(first))
            documents = forwards.within(every, int(first.config.get_text_config(decoder=True).vocab_size),
                                        bytes_each=next(first.parameters()).element_size())
            kept = stack.enter_context(forwards.kept(documents, forwards.reader(first)))
            resolution = drifts.measure(documents, kept, forwards.reader(first, padding=forwards.PADDING))
        models.base = None
        del first
        opening.free()
        whole = open_run(opening.reference(models.capsule), device=config.device, dtype=config.dtype)
        tuned = score(whole.model, f"run {models.capsule.run_id}")
        return Measured(base, tuned, kept and drifts.measure(documents, kept, forwards.reader(whole.model)), resolution)
