"""Held-out loss, exactly weighted by token, and greedy answers."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

IGNORED = -100
LOGITS = 2**28  # numbers; 1 GiB in float32


@dataclass(frozen=True)
class Evaluation:
    """Negative log-likelihood of the trained tokens of every evaluation row, under the full vocabulary.

    Attributes:
        step: Optimiser steps taken before this evaluation; 0 is the bare base.
        nll: [rows], nats, summed over the row's trained tokens.
        tokens: [rows], trained tokens.
        trained_bytes: [rows], UTF-8 bytes of the trained text.
    """

    step: int
    nll: np.ndarray
    tokens: np.ndarray
    trained_bytes: np.ndarray

    @property
    def loss(self) -> float:
        """Nats per trained token over all rows."""
        return float(self.nll.sum() / self.tokens.sum())

    @property
    def bits_per_byte(self) -> float:
        """Bits per UTF-8 byte of trained text; comparable between tokenizers."""
        return float(self.nll.sum() / math.log(2) / max(1, self.trained_bytes.sum()))


def evaluate(model: torch.nn.Module, rows: Sequence[dict[str, Any]], *, step: int, pad_id: int,
             tokens_per_batch: int | None = None) -> Evaluation:
    """Returns the loss of every row, computed with the weights and the dtype that training uses.

    Args:
        model: A causal language model, with or without an adapter. Its training mode is restored afterwards.
        rows: Each with `input_ids`, `labels` (-100 where not trained) and `trained_bytes`.
        step: Stored in the result.
        pad_id: Token that fills short rows; it is masked.
        tokens_per_batch: Padded tokens in one forward pass; by default as many as keep the logits within 1 GiB.
    """
    nll = np.zeros(len(rows))
    was_training = model.training
    size = tokens_per_batch or max(512, min(8192, LOGITS // int(model.config.vocab_size)))  # type: ignore
    model.eval()
    try:
        with torch.inference_mode():
            for index in _batches(rows, size):
                nll[index] = _row_losses(model, [rows[i] for i in index], pad_id)
    finally:
        model.train(was_training)
    tokens = np.array([sum(label != IGNORED for label in row["labels"][1:]) for row in rows])
    return Evaluation(step, nll, tokens, np.array([row["trained_bytes"] for row in rows]))


def _batches(rows: Sequence[dict[str, Any]], tokens_per_batch: int) -> Iterator[list[int]]:
    order = sorted(range(len(rows)), key=lambda i: (-len(rows[i]["input_ids"]), i))
    while order:
        size = max(1, tokens_per_batch // len(rows[order[0]]["input_ids"]))
        yield order[:size]
        order = order[size:]


def _row_losses(model: torch.nn.Module, rows: list[dict[str, Any]], pad_id: int) -> np.ndarray:
    device = next(model.parameters()).device
    width = max(len(row["input_ids"]) for row in rows)
    ids = torch.full((len(rows), width), pad_id)
    labels = torch.full((len(rows), width), IGNORED)
    mask = torch.zeros((len(rows), width), dtype=torch.long)
    for b, row in enumerate(rows):
        length = len(row["input_ids"])
        ids[b, :length] = torch.tensor(row["input_ids"])
        labels[b, :length] = torch.tensor(row["labels"])
        mask[b, :length] = 1
    targets = labels[:, 1:]                                             # B T-1: what position t must predict
    keep = (targets != IGNORED).any(0).nonzero().squeeze(1)             # positions where some row is trained
    logits = model(input_ids=ids.to(device), attention_mask=mask.to(device), use_cache=False,
                   logits_to_keep=keep.to(device)).logits               # B kept V
    if logits.shape[1] != len(keep):                                    # a model that returns every position
        logits = logits[:, keep.to(device)]
    losses = torch.nn.functional.cross_entropy(logits.float().transpose(1, 2), targets[:, keep].to(device),
                                               ignore_index=IGNORED, reduction="none")
    return losses.double().sum(1).cpu().numpy()


def greedy_answers(model: torch.nn.Module, tokenizer: Any, prompts: Sequence[Sequence[int]], max_new_tokens: int = 32
                   ) -> list[str]:
    """Returns the most likely continuation of each prompt, token by token, special tokens removed.

    Args:
        model: A causal language model. Its training mode is restored afterwards.
        tokenizer: Its tokenizer, with a pad token.
        prompts: Token ids, as training saw them.
        max_new_tokens: Answers are cut there.
    """
    if not prompts:
        return []
    width = max(map(len, prompts))
    ids = torch.tensor([[tokenizer.pad_token_id] * (width - len(p)) + list(p) for p in prompts])   # B T, left-padded
    mask = torch.tensor([[0] * (width - len(p)) + [1] * len(p) for p in prompts])
    device = next(model.parameters()).device
    was_training = model.training
    model.eval()
    try:
        with torch.inference_mode():
            output = model.generate(input_ids=ids.to(device), attention_mask=mask.to(device), do_sample=False,  # type: ignore[operator]
                                    max_new_tokens=max_new_tokens, pad_token_id=tokenizer.pad_token_id)
    finally:
        model.train(was_training)
    return [text.strip() for text in tokenizer.batch_decode(output[:, width:], skip_special_tokens=True)]


def last_quarter(evaluations: Sequence[Evaluation]) -> tuple[Evaluation, Evaluation] | None:
    """Returns the last finite evaluation and the latest one at or before three quarters of its steps, or None.

    Args:
        evaluations: In the order of steps; step 0, the bare base, does not count.
    """
    finite = [e for e in evaluations if e.step > 0 and math.isfinite(e.loss)]
    earlier = [e for e in finite if e.step <= 0.75 * finite[-1].step]
    return (earlier[-1], finite[-1]) if earlier else None


def split_row(row: dict[str, Any]) -> tuple[list[int], list[int]]:
    """Returns a row's prompt and the trained tokens that follow it.

    The prompt ends before the first trained token; a row of plain text, trained from its start, is cut in the middle.
    """
    labels = row["labels"]
    first = next(t for t, label in enumerate(labels) if label != IGNORED)
    if first <= 1:
        first = max(1, min(16, len(labels) // 2))
    last = next((t for t in range(first, len(labels)) if labels[t] == IGNORED), len(labels))
    return list(row["input_ids"][:first]), list(row["input_ids"][first:last])
