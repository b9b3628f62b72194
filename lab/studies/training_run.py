"""One point of a training study: train it and record everything about it in its run."""

import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from lab.adapters.spectra import as_grid, spectra
from lab.data.dataset import Dataset, build, origin
from lab.data.replay import WORLD
from lab.figures.layout import panels
from lab.figures.spectra import singular_values
from lab.figures.training import training_panel
from lab.models.adapters import attach, detach, facts_of, save_adapter, save_model
from lab.models.loading import Base, load_base, restore, snapshot
from lab.randomness import seed_everything
from lab.studies import opening
from lab.studies.retention import Checkpoints, Forgetting, Suites, auto_replay
from lab.studies.sampled import Answers
from lab.studies.training_history import History, as_rows, evaluations
from lab.studies.training_options import TrainingOptions, base_quantization
from lab.tracking import capsule
from lab.tracking.run import Run
from lab.training import finetune as training
from lab.training.checkpoints import spread
from lab.training.evaluate import Evaluation, evaluate
from lab.training.finetune import Trained, finetune

EVALUATIONS = 15
LARGE = 1_000_000_000


@dataclass(frozen=True)
class Setup:
    """What the points of a sweep share: `suites` where they measure forgetting, and `measured` of the base by the first."""

    base: Base
    data: Dataset
    suites: Suites | None = None
    measured: dict[str, Any] = field(default_factory=dict, repr=False)


@dataclass(frozen=True)
class Point:
    """One finished training.

    Attributes:
        run_id: The run that holds its adapter.
        r: Rank, or None for a full fine-tune.
        lr: Peak learning rate.
        seed: Training seed.
        parameters: Trainable parameters.
        trained: Evaluations, steps, divergence.
        seconds: Wall time of the training with its evaluations.
        samples: Prompt, expected answer, and the answers of base, best and last.
        forgetting: What was measured at the checkpoints; None where it was not asked for, or where the training came apart
            before its base could be scored.
    """

    run_id: str
    r: int | None
    lr: float
    seed: int
    parameters: int
    trained: Trained
    seconds: float
    samples: list[dict[str, str]]
    forgetting: Forgetting | None = None


def prepare(config: TrainingOptions) -> Setup:
    """Returns the base and the tokenised data, loaded once for all points of a sweep."""
    base = load(config)
    return Setup(base, read_data(config, base), read_suites(config, base))


def load(config: TrainingOptions) -> Base:
    """Returns the base that a configuration trains."""
    return load_base(config.model, quantization=base_quantization(config), device=config.device, dtype=base_dtype(config),
                     backend=config.backend, max_length=config.max_length)


def base_dtype(config: TrainingOptions) -> str:
    """Returns the number format of the base: a whole model needs float32 for its small steps."""
    return "float32" if config.method == "full" and config.dtype == "auto" else config.dtype


def read_data(config: TrainingOptions, base: Base) -> Dataset:
    """Returns the rows to train on and those held out, with replayed ones where the configuration has a share of them."""
    replay_data = auto_replay(config.replay_data, base) if config.replay else WORLD
    return build(config.dataset, base.tokenizer, max_length=config.max_length, eval_split=config.eval_split,
                 seed=config.data_seed, facts=config.facts, answers=config.answers, replay=config.replay,
                 replay_data=replay_data)


def read_suites(config: TrainingOptions, base: Base) -> Suites | None:
    """Returns the suites that the checkpoints are scored on, or None where no forgetting is measured."""
    return Suites(base, config.evaluate_items) if config.evaluate == "forgetting" else None


def show_data(run: Run, setup: Setup) -> None:
    """Prints and records what will be trained: one conversation with its trained tokens marked, and the shares."""
    profile = setup.data.profile
    facts = ", ".join(f"{name.replace('_', ' ')} {value:.3g}" if isinstance(value, float) else
                      f"{name.replace('_', ' ')} {value}" for name, value in profile.items())
    print(f"\n{setup.data.preview}\n\ndata: {facts}\nbase: {setup.base.reference.given}, {setup.base.placement.description}"
          f"\n", flush=True)
    run.text("data_preview.txt", f"{setup.data.preview}\n\n{facts}\n")
    if setup.data.replay is not None:
        run.text("replay_preview.txt", f"{setup.data.replay.name}\n\n{setup.data.replay.preview}\n")


def train_point(run: Run, setup: Setup, config: TrainingOptions, *, r: int, lr: float) -> Point:
    """Trains one adapter (or the whole model) and keeps it in `run`.

    Args:
        run: Open; gets params, step metrics, samples, figures and the capsule.
        setup: From `prepare`; its base is unchanged afterwards.
        config: Everything but the swept values.
        r: Rank; unused by a full fine-tune.
        lr: Peak learning rate.
    """
    base = setup.base
    seed_everything(config.seed)
    original = snapshot(base) if config.method == "full" else None
    model = base.model.requires_grad_(True) if config.method == "full" else attach(
        base, r=r, alpha=config.alpha, targets=config.targets, seed=config.seed, gradient_checkpointing=_checkpointing(base))
    try:
        return _train(run, setup, config, model, r=r, lr=lr)
    finally:
        if original is not None:
            restore(base, original)
        else:
            detach(model)


def _train(run: Run, setup: Setup, config: TrainingOptions, model: Any, *, r: int, lr: float) -> Point:
    base, data = setup.base, setup.data
    trainable = sum(p.numel() for p in model.parameters() if p.requires_grad)
    _record_facts(run, setup, trainable)
    answers = Answers(base, data)
    if "answers" not in setup.measured:
        setup.measured["answers"] = answers.said(model)
    answers.keep("base", setup.measured["answers"])
    began = time.monotonic()
    history = History()

    def on_step(step: int, values: dict[str, float]) -> None:
        run.step(step, values)
        history.add(step, values)

    checkpoints = Checkpoints(setup.suites) if setup.suites else None

    def on_checkpoint(step: int) -> None:
        assert checkpoints is not None
        on_step(step, checkpoints.measure(model, step))
        if 0 < step < config.steps:  # the first and the last are evaluated anyway
            checkpoints.learning[step] = evaluate(model, data.evaluation, step=step, pad_id=base.tokenizer.pad_token_id)

    trained = finetune(
        model, base.tokenizer, data.train, data.evaluation, steps=config.steps, batch_size=config.batch_size,
        accumulate=config.accumulate, lr=lr, schedule=config.schedule, warmup=config.warmup, seed=config.seed,
        device=base.placement.device, bf16=base.placement.kind == "cuda" and base.placement.dtype == "bfloat16",
        eval_every=config.eval_every or max(1, config.steps // EVALUATIONS),
        gradient_checkpointing=_checkpointing(base),
        on_step=on_step, checkpoints=spread(config.steps, config.checkpoints) if checkpoints else (),
        on_checkpoint=on_checkpoint, base=setup.measured.get("losses"), label=run.name)
    setup.measured["losses"] = trained.base
    seconds = time.monotonic() - began
    if trained.diverged_at is not None:
        run.tags({"lab.diverged_at_step": str(trained.diverged_at)})
    _keep(run, setup, config, model, trained, answers)
    run.table("samples", answers.rows)
    _draw(run, config, model, trained, history)
    forgetting = None
    if checkpoints is not None:
        checkpoints.learning |= {0: trained.base, trained.last_step: trained.last}
        forgetting = checkpoints.forgetting()
    return Point(run.id, None if config.method == "full" else r, lr, config.seed, trainable, trained, seconds, answers.rows,
                 forgetting)


def _checkpointing(base: Base) -> bool:
    return base.placement.kind == "cuda" and base.model.num_parameters() > LARGE


def _record_facts(run: Run, setup: Setup, trainable: int) -> None:
    base, data = setup.base, setup.data
    run.params({**opening.facts(base), "base.parameters": base.model.num_parameters(), "base.backend": base.backend,
                "base.attention": base.attention,
                "parameters.trainable": trainable, "data.sha256": data.sha256, "data.eval_sha256": data.eval_sha256,
                **{f"data.{name}": value for name, value in data.profile.items()}})
    run.dataset(data.name, data.sha256, data.source, "training", data.profile["train_rows"], data.profile)
    run.dataset(data.name, data.eval_sha256, data.source, "evaluation", len(data.evaluation), {})
    if data.replay is not None:
        run.params({"data.replay_sha256": data.replay.sha256})
        run.dataset(data.replay.name, data.replay.sha256, origin(data.replay.name), "replay", len(data.replay.rows),
                    {"different": data.replay.different})


def _keep(run: Run, setup: Setup, config: TrainingOptions, model: Any, trained: Trained, answers: Answers
          ) -> None:
    """Keeps the last and the best weights where they differ; the model ends up with the best."""
    if trained.best is None:  # diverged before any evaluation: there is nothing that anyone should load
        return
    if trained.best_weights:
        if trained.diverged_at is None:
            answers.ask(model, "last")
            _keep_one(run, setup, config, model, trained.last, "last")
        training.load(model, trained.best_weights)
    answers.ask(model, "best")
    _keep_one(run, setup, config, model, trained.best, "best")


def _keep_one(run: Run, setup: Setup, config: TrainingOptions, model: Any, evaluation: Evaluation, which: capsule.Which
              ) -> None:
    kind: capsule.Kind = "model" if config.method == "full" else "adapter"
    save = save_model if kind == "model" else save_adapter
    with tempfile.TemporaryDirectory(prefix="lab-") as name:
        folder = Path(name)
        save(model, folder, setup.base)
        capsule.seal(folder, kind, facts_of(setup.base, model=model, step=evaluation.step, eval_loss=evaluation.loss,
                                            dataset_sha256=setup.data.sha256))
        capsule.keep(run, folder, kind, which, register=config.register if which == "best" else None)


def _draw(run: Run, config: TrainingOptions, model: Any, trained: Trained, history: History) -> None:
    arrays = history.arrays()
    figure, axes = panels(4)
    training_panel(axes, arrays, diverged_at=trained.diverged_at)
    kept = {name.replace("/", "."): values for name, values in arrays.items()}
    run.figure("training", figure, {**kept, "batches": as_rows(trained.batches), **evaluations(trained)})
    if config.method != "full" and trained.best_step:
        grid, roles = as_grid(spectra(model))
        run.figure("singular_values", singular_values(grid, roles), {"singular_values": grid, "modules": np.array(roles)})
