"""Supervised fine-tuning through TRL's SFTTrainer, reported step by step to a callback."""

import tempfile
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from transformers.trainer_callback import PrinterCallback

from lab.training.checkpoints import set_aside
from lab.training.evaluate import Evaluation, evaluate
from lab.training.progress import Progress
from lab.training.reporting import StepReports

CURVE_ROWS = 400


@dataclass(frozen=True)
class Trained:
    """What a fine-tuning left behind. The model that was passed in now has the weights of `last_step`.

    Attributes:
        evaluations: Held-out losses in the order of steps, on the same `CURVE_ROWS` rows at most; the first is the bare
            base at step 0.
        base: All evaluation rows before the first step.
        last: All evaluation rows after the last step.
        best: All evaluation rows at `best_step`, or None if there was none to keep.
        last_step: Optimiser steps taken; fewer than asked for after a divergence.
        best_step: The step after 0 with the lowest held-out loss; 0 if there was none to keep.
        best_weights: Copies on the CPU of the trainable tensors at `best_step`; empty if that is `last_step`.
        diverged_at: First step with a non-finite loss or gradient, or after which the loss stayed well above its start.
        batches: Per optimiser step, the row indices it trained on.
    """

    evaluations: list[Evaluation]
    base: Evaluation
    last: Evaluation
    best: Evaluation | None
    last_step: int
    best_step: int
    best_weights: dict[str, torch.Tensor] = field(repr=False)
    diverged_at: int | None
    batches: list[list[int]] = field(repr=False)


def training_arguments(folder: str, *, steps: int, batch_size: int, accumulate: int, lr: float, schedule: str,
                       warmup: float, seed: int, device: str, bf16: bool, gradient_checkpointing: bool) -> Any:
    """Returns the `SFTConfig` of a run: rows arrive tokenised and masked, one log a step, nothing saved by TRL.

    Args:
        folder: Where the trainer may write; it is given nothing to write.
        steps: Optimiser steps.
        batch_size: Rows in one forward pass.
        accumulate: Forward passes in one optimiser step.
        lr: Peak learning rate of AdamW (weight decay 0, gradient norm clipped at 1).
        schedule: `constant`, `linear` or `cosine`, after the warm-up.
        warmup: Share of the steps over which the rate rises from 0.
        seed: Of the order of rows and of dropout.
        device: `cpu`, `cuda` or `mps`.
        bf16: Whether to compute in bfloat16 autocast.
        gradient_checkpointing: Whether to recompute activations in the backward pass.
    """
    from trl import SFTConfig

    return SFTConfig(
        output_dir=folder, max_steps=steps, per_device_train_batch_size=batch_size,
        gradient_accumulation_steps=accumulate, learning_rate=lr, lr_scheduler_type=schedule,
        warmup_steps=round(warmup * steps), weight_decay=0.0, max_grad_norm=1.0, optim="adamw_torch",
        seed=seed, data_seed=seed, use_cpu=device == "cpu", bf16=bf16, fp16=False,
        gradient_checkpointing=gradient_checkpointing,
        eval_strategy="no", save_strategy="no", logging_strategy="steps", logging_steps=1, logging_first_step=True,
        logging_nan_inf_filter=False,  # the default hides a divergence behind the last finite loss
        report_to="none", disable_tqdm=True, dataloader_num_workers=0, dataloader_pin_memory=device.startswith("cuda"),
        dataset_kwargs={"skip_prepare_dataset": True}, max_length=None, packing=False, completion_only_loss=False,
        remove_unused_columns=False,  # the row number travels with the row, to say which rows made a step
    )


def finetune(model: Any, tokenizer: Any, train: Sequence[dict[str, Any]], evaluation: Sequence[dict[str, Any]], *,
             steps: int, batch_size: int, accumulate: int, lr: float, schedule: str, warmup: float, seed: int,
             device: str, bf16: bool, eval_every: int, gradient_checkpointing: bool = False,
             on_step: Callable[[int, dict[str, float]], None], checkpoints: Collection[int] = (),
             on_checkpoint: Callable[[int], None] = lambda step: None, base: Evaluation | None = None,
             label: str = "training") -> Trained:
    """Trains the tensors of `model` that require gradients.

    Args:
        model: A causal language model, with an adapter attached or all of it trainable.
        tokenizer: Its tokenizer, with a pad token.
        train: Rows with `input_ids` and `labels`.
        evaluation: Rows with `trained_bytes` too; all are evaluated at step 0, at the end and for the best weights, evenly
            spread ones every `eval_every` steps.
        steps: See `training_arguments`, as the parameters that are not named here.
        eval_every: Steps between evaluations.
        on_step: Called with the optimiser steps taken and metrics by their contract names: `train/loss` (nats per
            trained token), `train/grad_norm`, `train/learning_rate`, `train/tokens_per_second`, `eval/loss`,
            `eval/bits_per_byte`, `memory/peak_bytes`, `time/step_seconds`. Values may be non-finite.
        checkpoints: Optimiser steps at which `on_checkpoint` is called; at 0 the model is the bare base.
        on_checkpoint: Called with the optimiser steps taken, the model in evaluation mode. It may draw random numbers: the
            training goes on as if it had not been called. After a non-finite loss or gradient it is not called any more.
        base: All evaluation rows before the first step, where an earlier training on the same base measured them.
        label: Shown with the progress.

    Returns:
        The evaluations and the best weights. A non-finite loss or gradient stops the training, and is no error.
    """
    from datasets import Dataset
    from trl import SFTTrainer

    known: dict[int, Evaluation] = {} if base is None else {0: base}

    def whole(step: int) -> Evaluation:
        if step not in known:
            known[step] = evaluate(model, evaluation, step=step, pad_id=tokenizer.pad_token_id)
        return known[step]

    def checkpoint(step: int) -> None:
        with set_aside(model):
            on_checkpoint(step)

    collate = _RecordingCollator(tokenizer.pad_token_id)
    rows = Dataset.from_dict({"input_ids": [row["input_ids"] for row in train],
                              "labels": [row["labels"] for row in train], "row": list(range(len(train)))})
    reports = StepReports(
        steps=steps, eval_every=eval_every, on_step=on_step, progress=Progress(steps, label), device=device,
        tokens=lambda step: sum(collate.tokens[(step - 1) * accumulate:step * accumulate]),
        evaluate=lambda step: whole(step) if len(evaluation) <= CURVE_ROWS else evaluate(
            model, evenly(evaluation, CURVE_ROWS), step=step, pad_id=tokenizer.pad_token_id),
        snapshot=lambda: trainable(model), checkpoint=checkpoint, checkpoints=checkpoints)

    base = whole(0)
    with tempfile.TemporaryDirectory(prefix="lab-") as folder, _forward_restored(model):
        arguments = training_arguments(
            folder, steps=steps, batch_size=batch_size, accumulate=accumulate, lr=lr, schedule=schedule, warmup=warmup,
            seed=seed, device=device, bf16=bf16, gradient_checkpointing=gradient_checkpointing)
        trainer = SFTTrainer(model=model, args=arguments, train_dataset=rows, processing_class=tokenizer,
                             data_collator=collate, callbacks=[reports])
        _trainable_in_float32(model)
        trainer.remove_callback(PrinterCallback)
        trainer.train()
    last = whole(reports.last_step)
    best = last if reports.best_step else None
    if reports.best_weights:
        kept = trainable(model)
        load(model, reports.best_weights)
        best = whole(reports.best_step)
        load(model, kept)
    return Trained(reports.evaluations, base, last, best, reports.last_step, reports.best_step, reports.best_weights,
                   reports.diverged_at, collate.steps(reports.last_step, accumulate))


def trainable(model: Any) -> dict[str, torch.Tensor]:
    """Returns copies on the CPU of the tensors that require gradients."""
    return {name: p.detach().cpu().clone() for name, p in model.named_parameters() if p.requires_grad}


def load(model: Any, weights: dict[str, torch.Tensor]) -> None:
    """Puts back what `trainable` copied."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name in weights:
                parameter.copy_(weights[name])


def evenly(rows: Sequence[dict[str, Any]], count: int) -> list[dict[str, Any]]:
    """Returns at most `count` rows, evenly spread."""
    return list(rows) if len(rows) <= count else [rows[i * len(rows) // count] for i in range(count)]


class _RecordingCollator:
    """Pads rows as TRL does and remembers which rows made each batch, and their tokens without padding."""

    def __init__(self, pad_id: int):
        from trl.trainer.sft_trainer import DataCollatorForLanguageModeling

        self.collate = DataCollatorForLanguageModeling(pad_token_id=pad_id)
        self.batches: list[list[int]] = []
        self.tokens: list[int] = []

    def __call__(self, rows: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
        self.batches.append([row["row"] for row in rows])
        self.tokens.append(sum(len(row["input_ids"]) for row in rows))
        return self.collate(rows)

    def steps(self, steps: int, accumulate: int) -> list[list[int]]:
        # the loader reads a batch ahead of the training, so there may be more batches than steps took
        return [sum(self.batches[s * accumulate:(s + 1) * accumulate], []) for s in range(steps)]


@contextmanager
def _forward_restored(model: Any) -> Iterator[None]:
    """TRL replaces the base's `forward` by one with a chunked loss, for good; a sweep shares its base between runs."""
    base = model.get_base_model() if hasattr(model, "get_base_model") else model
    before = vars(base).get("forward")
    try:
        yield
    finally:
        vars(base).pop("forward", None)
        if before is not None:
            base.forward = before


def _trainable_in_float32(model: Any) -> None:
    """TRL rounds the adapter of a quantised base to bfloat16, where AdamW's small steps vanish."""
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.float()
