"""Pretraining of the embedded model: a small Qwen-style decoder on the micro-world."""

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from lab.data.tokenizer import VOCABULARY, train_tokenizer, wrap
from lab.data.world import Item
from lab.data.world.batches import token_batches
from lab.data.world.documents import END, MIXTURE, PADDING
from lab.data.world.random_tokens import RANDOM_SHARE
from lab.training.pretrain_accuracy import RANDOM_COPY, Accuracy, accuracy, held_out_questions, random_copy

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

OnStep = Callable[[int, dict[str, float]], None]
OnEval = Callable[[int, dict[str, Accuracy], "PreTrainedModel"], None]
MAX_POSITIONS = 1024
TOKENIZER_SEED = 0


@dataclass(frozen=True)
class Pretrained:
    """A trained model with its weights rounded to bfloat16, as it is shipped, and what was measured on it."""

    model: "PreTrainedModel"
    tokenizer: "PreTrainedTokenizerFast"
    accuracies: dict[str, Accuracy]
    steps: int
    tokens: int  # without padding
    parameters: int
    seconds: float  # of training and the evaluations during it

    def save(self, folder: Path) -> None:
        """Write weights in bfloat16, configuration and tokenizer as transformers reads them."""
        import copy

        rounded = copy.deepcopy(self.model)
        rounded.to(dtype=torch.bfloat16)  # type: ignore[call-arg]
        rounded.save_pretrained(folder)
        self.tokenizer.save_pretrained(folder)


def build_model(
    tokenizer: "PreTrainedTokenizerFast", *, width: int, feed_forward: int, layers: int, heads: int, kv_heads: int
) -> "PreTrainedModel":
    """A fresh Qwen3 decoder with tied embeddings, drawn from torch's current random state."""
    from transformers import GenerationConfig, Qwen3Config, Qwen3ForCausalLM

    end = tokenizer.convert_tokens_to_ids(END)
    config = Qwen3Config(
        vocab_size=len(tokenizer),
        hidden_size=width,
        intermediate_size=feed_forward,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=kv_heads,
        head_dim=32,
        max_position_embeddings=MAX_POSITIONS,
        rope_parameters={"rope_type": "default", "rope_theta": 10_000.0},
        tie_word_embeddings=True,
        use_sliding_window=False,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    model = Qwen3ForCausalLM(config)
    model.generation_config = GenerationConfig(
        do_sample=False,
        max_new_tokens=64,
        eos_token_id=[tokenizer.eos_token_id, end],
        pad_token_id=tokenizer.pad_token_id,
    )
    return model


def learning_rate_at(step: int, *, steps: int, lr: float, warmup: float) -> float:
    """The rate of a step counted from 0: linear over the warm-up share, then a cosine down to zero."""
    rising = max(1, round(steps * warmup))
    if step < rising:
        return lr * (step + 1) / rising
    return lr * 0.5 * (1 + math.cos(math.pi * (step - rising) / max(1, steps - rising)))


def _optimizer(model: nn.Module, lr: float, weight_decay: float, fused: bool) -> torch.optim.AdamW:
    decayed = [p for p in model.parameters() if p.dim() >= 2]
    plain = [p for p in model.parameters() if p.dim() < 2]
    groups = [{"params": decayed, "weight_decay": weight_decay}, {"params": plain, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=lr, betas=(0.9, 0.98), fused=fused)


def _loss(model: nn.Module, ids: torch.Tensor, padding: int) -> torch.Tensor:
    """Mean nats per next token over a batch of packed rows; padding is never a target."""
    logits = model(input_ids=ids, use_cache=False).logits  # (B, T, V)
    targets = torch.cat((ids[:, 1:], torch.full_like(ids[:, :1], padding)), dim=1)
    return nn.functional.cross_entropy(logits.flatten(0, 1).float(), targets.flatten(), ignore_index=padding)


def _on_device(batches: Iterator[np.ndarray], device: torch.device) -> Iterator[tuple[torch.Tensor, int]]:
    """Each batch as token ids on the device, with its count of tokens that are not padding."""
    for batch in batches:
        ids = torch.from_numpy(batch.astype(np.int64))
        count = int(np.count_nonzero(batch))  # padding is token 0
        yield (ids.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else ids.to(device)), count


def pretrain(
    *,
    steps: int = 120,
    batch_tokens: int = 4096,
    sequence_length: int = 512,
    lr: float = 3e-3,
    warmup: float = 0.02,
    weight_decay: float = 0.1,
    seed: int = 0,
    device: str = "cpu",
    dtype: str = "auto",
    eval_every: int = 0,
    eval_questions: int = 200,
    final_questions: int = 1000,
    workers: int = 0,
    width: int = 192,
    feed_forward: int = 576,
    layers: int = 6,
    heads: int = 6,
    kv_heads: int = 3,
    vocabulary: int = VOCABULARY,
    mixture: Mapping[str, float] = MIXTURE,
    random_share: float = RANDOM_SHARE,
    compile_model: bool | None = None,
    log_every: int = 1,
    on_step: OnStep | None = None,
    on_eval: OnEval | None = None,
) -> Pretrained:
    """Train the embedded model from nothing.

    Args:
        steps: optimizer steps.
        batch_tokens: tokens in a batch, padding included; rounded down to whole sequences.
        sequence_length: tokens in a packed sequence.
        lr: peak rate of AdamW.
        warmup: share of the steps over which the rate rises.
        weight_decay: of every matrix.
        seed: of weights and corpus; the tokenizer has a fixed seed of its own.
        device: "cpu" or "cuda".
        dtype: of matrix products, "float32" or "bfloat16" (autocast); "auto" is bfloat16 on CUDA, else float32.
        eval_every: steps between evaluations on held-out questions; 0 evaluates only at the end.
        eval_questions: questions of each category, and sequences to copy, in an evaluation during training.
        final_questions: the same in the last one, which is on the weights rounded to bfloat16.
        workers: processes that generate text; the corpus is the same for any number. 0 generates in this process.
        width, feed_forward, layers, heads, kv_heads: shape of the decoder; a head has 32 dimensions.
        vocabulary: tokens of the tokenizer.
        mixture: share of each category, by items.
        random_share: of documents, those that are random tokens, repeated.
        compile_model: use torch.compile; by default only on CUDA.
        log_every: steps between reads of the device; on_step still hears of every step, later by up to this many.
        on_step: called with (step, values) for each step from 1; values are train/loss, train/grad_norm,
            train/learning_rate, train/tokens_per_second.
        on_eval: called with (step, accuracies by category and of copying random tokens, model).

    Returns:
        The model in eval mode with weights rounded to bfloat16, and its held-out accuracies.
    """
    torch.manual_seed(seed)
    place = torch.device(device)
    on_cuda = place.type == "cuda"
    half = dtype == "bfloat16" or (dtype == "auto" and on_cuda)
    trained = train_tokenizer(TOKENIZER_SEED, vocabulary)
    tokenizer = wrap(trained, MAX_POSITIONS)
    padding = trained.get_vocab()[PADDING]
    model = build_model(
        tokenizer, width=width, feed_forward=feed_forward, layers=layers, heads=heads, kv_heads=kv_heads
    )
    model.to(device=place)  # type: ignore[call-arg]
    optimizer = _optimizer(model, lr, weight_decay, fused=on_cuda)
    loss_of = torch.compile(_loss) if (on_cuda if compile_model is None else compile_model) else _loss
    rows = max(1, batch_tokens // sequence_length)
    batches = token_batches(
        trained.to_str(), rows=rows, length=sequence_length, seed=seed, workers=workers, mixture=mixture,
        random_share=random_share,
    )
    questions = held_out_questions(eval_questions) if eval_every else {}

    def measure(asked: Mapping[str, Sequence[Item]], sequences: int) -> dict[str, Accuracy]:
        return {**accuracy(model, tokenizer, asked), RANDOM_COPY: random_copy(model, tokenizer, sequences)}

    started = since = time.perf_counter()
    seen = unreported = 0
    pending: list[tuple[int, torch.Tensor, torch.Tensor, float]] = []
    model.train()
    for step, (ids, count) in enumerate(_on_device(batches, place), start=1):
        rate = learning_rate_at(step - 1, steps=steps, lr=lr, warmup=warmup)
        for group in optimizer.param_groups:
            group["lr"] = rate
        with torch.autocast(place.type, torch.bfloat16) if half else nullcontext():
            loss = loss_of(model, ids, padding)
        loss.backward()
        norm = nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        seen += count
        unreported += count
        pending.append((step, loss.detach(), norm, rate))
        if step % log_every == 0 or step == steps:
            values = [(s, float(value), float(size), at) for s, value, size, at in pending]
            now = time.perf_counter()
            speed = unreported / (now - since)
            for s, value, size, at in values:
                if on_step:
                    on_step(s, {"train/loss": value, "train/grad_norm": size, "train/learning_rate": at,
                                "train/tokens_per_second": speed})  # fmt: skip
            pending, since, unreported = [], now, 0
        if eval_every and step % eval_every == 0 and step < steps and on_eval:
            model.eval()
            on_eval(step, measure(questions, eval_questions), model)
            model.train()
            since = time.perf_counter()
        if step == steps:
            break
    batches.close()
    seconds = time.perf_counter() - started

    model.eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(parameter.to(torch.bfloat16))
    accuracies = measure(held_out_questions(final_questions), final_questions)
    if on_eval:
        on_eval(steps, accuracies, model)
    return Pretrained(model, tokenizer, accuracies, steps, seen, model.num_parameters(), seconds)
