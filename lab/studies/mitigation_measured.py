"""Every remedy measured alike: the held-out rows of the task, the suites and the documents, on one loaded base."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from lab.models.loading import Base
from lab.models.tuned import open_base, open_run, open_several
from lab.studies import opening, training_run
from lab.studies.geometry_losses import shrunk
from lab.studies.mitigation_arms import Arm, Measured
from lab.studies.mitigation_source import Source
from lab.studies.mitigation_trainings import Trainings
from lab.studies.point_rows import FACTS
from lab.studies.retention import TEXT, Suites
from lab.studies.trials import Trial
from lab.tracking.run import Run
from lab.training.evaluate import evaluate

AS_TRAINED = ("trained", 0.0)


def measure(run: Run, config: Any, source: Source, trainings: Trainings) -> Measured:
    """Returns the answers of the base, of the run as trained, and of every remedy.

    Args:
        run: Open; gets the facts of the base.
        config: Of the study.
        source: The run as trained.
        trainings: What was trained for the remedies.
    """
    measuring = _adapters if source.capsule.kind == "adapter" else _whole_models
    asked, arms = measuring(run, config, source, trainings)
    if trainings.again is not None:
        arms += _stops(trainings.again)
    answers = source.training.answers if source.training.dataset == FACTS else None
    return Measured(arms[0], arms[1], arms[2:], asked.row_tokens, asked.clusters, asked.text_bytes, answers)


class _Asked:
    """The rows, questions and documents that every model gets, and what they have in common."""

    def __init__(self, run: Run, config: Any, source: Source, base: Base) -> None:
        run.params(opening.facts(base))
        self.rows = training_run.read_data(source.training, base).evaluation
        self.suites = Suites(base, config.evaluate_items)
        self.clusters: dict[str, np.ndarray] = {}
        self.text_bytes = self.row_tokens = np.zeros(0)

    def arm(self, model: Any, kind: str, value: float, run_id: str, steps: int = 0) -> Arm:
        """Returns what a model says."""
        print(f"measuring {run_id or 'the base'} {kind} {value:g} …" if value else f"measuring {run_id or 'the base'} …",
              flush=True)
        learned = evaluate(model, self.rows, step=steps, pad_id=self.suites.tokenizer.pad_token_id)
        scores = self.suites.score(model)
        self.row_tokens, self.text_bytes = learned.tokens, scores.text[TEXT].bytes
        self.clusters = {name: np.array(scores.ranked[name].clusters) for name in self.suites.names}
        return Arm(kind, value, run_id, learned.nll, {name: scores.ranked[name].correct for name in self.suites.names},
                   scores.text[TEXT].nll, steps)


def _references(source: Source, trainings: Trainings) -> list[tuple[str, str, float, Trial | None]]:
    """What is opened: reference, kind, value and training; of the same moment, best or last, as the run asked about."""
    last = "@last" if source.capsule.which == "last" else ""
    return [(opening.reference(source.capsule), *AS_TRAINED, None),
            *((f"{trial.run_id}{last}", kind, value, trial) for kind, value, trial in trainings.remedies)]


def _adapters(run: Run, config: Any, source: Source, trainings: Trainings) -> tuple[_Asked, list[Arm]]:
    wanted = _references(source, trainings)
    opened = open_several([each[0] for each in wanted], device=config.device, dtype=config.dtype, base=config.model)
    asked = _Asked(run, config, source, opened.base)
    with opened.model.disable_adapter():
        arms = [asked.arm(opened.model, "base", 0.0, "")]
    for name, (_, kind, value, trial) in zip(opened.capsules, wanted, strict=True):
        opened.model.set_adapter(name)
        arms.append(asked.arm(opened.model, kind, value, opened.capsules[name].run_id, _steps(trial, source)))
    untreated = next(iter(opened.capsules))
    opened.model.set_adapter(untreated)
    for factor in sorted(set(config.scales or ()), reverse=True):
        with shrunk(opened.model, untreated, factor):
            arms.append(asked.arm(opened.model, "scale", factor, source.capsule.run_id))
    return asked, arms


def _whole_models(run: Run, config: Any, source: Source, trainings: Trainings) -> tuple[_Asked, list[Arm]]:
    """One whole model in memory at a time."""
    base = open_base(source.capsule, base=config.model, device=config.device, dtype=config.dtype)
    asked = _Asked(run, config, source, base)
    arms = [asked.arm(base.model, "base", 0.0, "")]
    del base
    for reference, kind, value, trial in _references(source, trainings):
        opening.free()
        tuned = open_run(reference, device=config.device, dtype=config.dtype)
        arms.append(asked.arm(tuned.model, kind, value, tuned.capsule.run_id, _steps(trial, source)))
        del tuned
    return asked, arms


def _steps(trial: Trial | None, source: Source) -> int:
    return trial.config.steps if trial else source.training.steps


def _stops(trial: Trial) -> list[Arm]:
    """The checkpoints of a training but for the base and the last."""
    return [Arm("stop", float(step), trial.run_id, trial.row_nll[at],
                {suite: right[at] for suite, right in trial.correct.items()}, trial.text_nll[at], int(step))
            for at, step in enumerate(trial.steps) if 0 < step < trial.steps[-1]]


def repeated(source: Source, trainings: Trainings) -> str:
    """Returns in words whether training the run again gave the same weights; empty where it was not trained again.

    Args:
        source: The run.
        trainings: With the run trained again.
    """
    from lab.tracking import capsule

    if trainings.again is None or trainings.again.run_id == source.capsule.run_id:
        return ""
    kept = capsule.fetch(f"{trainings.again.run_id}@{source.capsule.which}")
    if _digests(kept.manifest) == _digests(source.capsule.manifest):
        return f"Trained again (run {kept.run_id}) it has the same weights to the last digit."
    before, after = (float(each.manifest.get("eval_loss") or np.nan) for each in (source.capsule, kept))
    return (f"Trained again (run {kept.run_id}) it has other weights: held-out loss {after:.4f} after {before:.4f} "
            "nats/token. Its checkpoints are of another training than the one asked about.")


def _digests(manifest: dict[str, Any]) -> Sequence[tuple[str, Any]]:
    return sorted((name, digest) for name, digest in manifest["files"].items() if name.endswith(".safetensors"))
