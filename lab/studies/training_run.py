"""One point of a training study: train it and record everything about it in its run."""

import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lab.adapters.spectra import as_grid, spectra
from lab.data.dataset import Dataset, build
from lab.figures.layout import panels
from lab.figures.spectra import singular_values
from lab.figures.training import training_panel
from lab.models.adapters import attach, detach, facts_of, save_adapter, save_model
from lab.models.loading import Base, load_base, restore, snapshot
from lab.randomness import seed_everything
from lab.studies import opening
from lab.studies.training_options import TrainingOptions, base_quantization
from lab.tracking import capsule
from lab.tracking.run import Run
from lab.training.evaluate import Evaluation, greedy_answers, split_row
from lab.training.finetune import Trained, finetune, load

SAMPLES = 20
EVALUATIONS = 15
LARGE = 1_000_000_000


@dataclass(frozen=True)
class Setup:
    """What the points of a sweep share."""

    base: Base
    data: Dataset


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
    """

    run_id: str
    r: int | None
    lr: float
    seed: int
    parameters: int
    trained: Trained
    seconds: float
    samples: list[dict[str, str]]


def prepare(config: TrainingOptions) -> Setup:
    """Returns the base and the tokenised data, loaded once for all points of a sweep."""
    dtype = "float32" if config.method == "full" and config.dtype == "auto" else config.dtype  # small steps need fp32
    base = load_base(config.model, quantization=base_quantization(config), device=config.device, dtype=dtype,
                     backend=config.backend, max_length=config.max_length)
    data = build(config.dataset, base.tokenizer, max_length=config.max_length, eval_split=config.eval_split,
                 seed=config.data_seed, facts=config.facts, answers=config.answers)
    return Setup(base, data)


def show_data(run: Run, setup: Setup) -> None:
    """Prints and records what will be trained: one conversation with its trained tokens marked, and the shares."""
    profile = setup.data.profile
    facts = ", ".join(f"{name.replace('_', ' ')} {value:.3g}" if isinstance(value, float) else
                      f"{name.replace('_', ' ')} {value}" for name, value in profile.items())
    print(f"\n{setup.data.preview}\n\ndata: {facts}\nbase: {setup.base.reference.given}, {setup.base.placement.description}"
          f"\n", flush=True)
    run.text("data_preview.txt", f"{setup.data.preview}\n\n{facts}\n")


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
    answers = _Answers(base, data)
    answers.ask(model, "base")
    began = time.monotonic()
    history = History()

    def on_step(step: int, values: dict[str, float]) -> None:
        run.step(step, values)
        history.add(step, values)

    trained = finetune(
        model, base.tokenizer, data.train, data.evaluation, steps=config.steps, batch_size=config.batch_size,
        accumulate=config.accumulate, lr=lr, schedule=config.schedule, warmup=config.warmup, seed=config.seed,
        device=base.placement.device, bf16=base.placement.kind == "cuda" and base.placement.dtype == "bfloat16",
        eval_every=config.eval_every or max(1, config.steps // EVALUATIONS),
        gradient_checkpointing=_checkpointing(base),
        on_step=on_step, label=run.name)
    seconds = time.monotonic() - began
    if trained.diverged_at is not None:
        run.tags({"lab.diverged_at_step": str(trained.diverged_at)})
    _keep(run, setup, config, model, trained, answers)
    run.table("samples", answers.rows)
    _draw(run, config, model, trained, history)
    return Point(run.id, None if config.method == "full" else r, lr, config.seed, trainable, trained, seconds, answers.rows)


def _checkpointing(base: Base) -> bool:
    return base.placement.kind == "cuda" and base.model.num_parameters() > LARGE


def _record_facts(run: Run, setup: Setup, trainable: int) -> None:
    base, data = setup.base, setup.data
    run.params({**opening.facts(base), "base.parameters": base.model.num_parameters(), "base.backend": base.backend,
                "base.attention": base.attention,
                "parameters.trainable": trainable, "data.sha256": data.sha256, "data.eval_sha256": data.eval_sha256,
                **{f"data.{name}": value for name, value in data.profile.items()}})
    run.dataset(data.name, data.sha256, data.source, "training", len(data.train), data.profile)
    run.dataset(data.name, data.eval_sha256, data.source, "evaluation", len(data.evaluation), {})


class _Answers:
    """Twenty fixed held-out prompts and what the model says to them at several moments."""

    def __init__(self, base: Base, data: Dataset):
        self.tokenizer = base.tokenizer
        pairs = [split_row(row) for row in data.evaluation[:SAMPLES]]
        self.prompts = [prompt for prompt, _ in pairs]
        self.length = min(64, 4 + max(len(expected) for _, expected in pairs))
        self.rows = [{"prompt": self._text(prompt), "rendered": base.tokenizer.decode(prompt),
                      "expected": self._text(expected)} for prompt, expected in pairs]

    def ask(self, model: Any, moment: str) -> None:
        answers = greedy_answers(model, self.tokenizer, self.prompts, self.length)
        for row, answer in zip(self.rows, answers, strict=True):
            row[moment] = answer

    def _text(self, ids: list[int]) -> str:
        return self.tokenizer.decode(ids, skip_special_tokens=True).strip()


def _keep(run: Run, setup: Setup, config: TrainingOptions, model: Any, trained: Trained, answers: _Answers
          ) -> None:
    """Keeps the last and the best weights where they differ; the model ends up with the best."""
    if trained.best is None:  # diverged before any evaluation: there is nothing that anyone should load
        return
    if trained.best_weights:
        if trained.diverged_at is None:
            answers.ask(model, "last")
            _keep_one(run, setup, config, model, trained.last, "last")
        load(model, trained.best_weights)
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


class History:
    """The step metrics of one training as arrays, for its figure."""

    def __init__(self) -> None:
        self.points: dict[str, list[tuple[int, float]]] = {}

    def add(self, step: int, values: dict[str, float]) -> None:
        for name, value in values.items():
            self.points.setdefault(name, []).append((step, value))

    def arrays(self) -> dict[str, np.ndarray]:
        """Returns `<metric>/steps` and `<metric>/values` of every metric."""
        found = {}
        for name, pairs in self.points.items():
            found[f"{name}/steps"] = np.array([step for step, _ in pairs])
            found[f"{name}/values"] = np.array([value for _, value in pairs])
        return found


def _as_rows(batches: list[list[int]]) -> np.ndarray:
    """Returns the rows that each step trained on, [steps, rows], -1 where a batch was smaller."""
    rows = np.full((len(batches), max(map(len, batches), default=0)), -1, dtype=np.int32)
    for step, batch in enumerate(batches):
        rows[step, :len(batch)] = batch
    return rows


def _draw(run: Run, config: TrainingOptions, model: Any, trained: Trained, history: History) -> None:
    arrays = history.arrays()
    figure, axes = panels(4)
    training_panel(axes, arrays, diverged_at=trained.diverged_at)
    kept = {name.replace("/", "."): values for name, values in arrays.items()}
    run.figure("training", figure, {**kept, "batches": _as_rows(trained.batches)})
    if config.method != "full" and trained.best_step:
        grid, roles = as_grid(spectra(model))
        run.figure("singular_values", singular_values(grid, roles), {"singular_values": grid, "modules": np.array(roles)})
