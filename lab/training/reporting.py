"""From the trainer's events to step metrics, evaluations and the best weights so far."""

import math
import time
from collections.abc import Callable, Collection
from typing import Any

import torch
from transformers import TrainerCallback

from lab.devices import peak_bytes, reset_peak
from lab.training.divergence import diverged_at
from lab.training.evaluate import Evaluation
from lab.training.progress import Progress


class StepReports(TrainerCallback):
    """Reports every step under the names of the run contract and stops at the first non-finite number.

    Args:
        steps: Optimiser steps planned.
        eval_every: Steps between evaluations.
        on_step: Takes a step and its metrics.
        progress: Shows the training to a person.
        device: For the memory figure.
        tokens: Takes the step, gives the tokens it trained on, without padding; Unsloth's trainer does not say.
        evaluate: Takes the step, gives the held-out loss.
        snapshot: Copies the trainable tensors.
        checkpoint: Called with the steps taken at each of `checkpoints`, unless the training came apart before.
        checkpoints: Optimiser steps, 0 before the first.
    """

    def __init__(self, *, steps: int, eval_every: int, on_step: Callable[[int, dict[str, float]], None],
                 progress: Progress, device: str, tokens: Callable[[int], int], evaluate: Callable[[int], Evaluation],
                 snapshot: Callable[[], dict[str, torch.Tensor]], checkpoint: Callable[[int], None],
                 checkpoints: Collection[int]):
        self.steps, self.eval_every, self.on_step, self.progress, self.device = steps, eval_every, on_step, progress, device
        self.tokens, self.evaluate, self.snapshot = tokens, evaluate, snapshot
        self.checkpoint, self.checkpoints = checkpoint, frozenset(checkpoints)
        self.evaluations: list[Evaluation] = []
        self.best_weights: dict[str, torch.Tensor] = {}
        self.last_step = self.best_step = 0
        self.diverged_at: int | None = None
        self.losses: list[float] = []
        self._began = self._seconds = 0.0

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._evaluate(0)
        if 0 in self.checkpoints:
            self.checkpoint(0)

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        reset_peak(self.device)  # evaluations in between are not the training's memory
        self._began = time.perf_counter()

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.last_step = state.global_step

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float] | None = None, **kwargs: Any) -> Any:
        if not logs or "loss" not in logs:  # the closing summary
            return control
        self._seconds = time.perf_counter() - self._began  # here the loss was read, so the device has finished
        step = state.global_step
        metrics = {"train/loss": logs["loss"], "train/grad_norm": float(logs["grad_norm"]),
                   "train/learning_rate": logs["learning_rate"], "time/step_seconds": self._seconds,
                   "train/tokens_per_second": self.tokens(step) / self._seconds,
                   "memory/peak_bytes": float(peak_bytes(self.device))}
        self.on_step(step, metrics)
        self.losses.append(logs["loss"])
        self.progress.update(step, logs["loss"])
        if not (math.isfinite(logs["loss"]) and math.isfinite(metrics["train/grad_norm"])):
            self.diverged_at = step
            control.should_training_stop = True
            return control
        if step % self.eval_every == 0 or step == self.steps:
            self._evaluate(step)
        if step in self.checkpoints:
            self.checkpoint(step)
        return control

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.progress.close()
        self.diverged_at = self.diverged_at or diverged_at(self.losses)
        if self.best_step == self.last_step:
            self.best_weights = {}

    def _evaluate(self, step: int) -> None:
        result = self.evaluate(step)
        self.on_step(step, {"eval/loss": result.loss, "eval/bits_per_byte": result.bits_per_byte})
        self.evaluations.append(result)
        if not math.isfinite(result.loss):
            self.diverged_at = self.diverged_at or step
        elif step > 0 and (self.best_step == 0 or result.loss < self._best_loss()):
            self.best_step, self.best_weights = step, self.snapshot()

    def _best_loss(self) -> float:
        return next(e.loss for e in self.evaluations if e.step == self.best_step)
