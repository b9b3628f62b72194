"""Greedy exact-match accuracy: on questions of the micro-world, and on sequences of random tokens repeated."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING

import torch
from torch.nn.utils.rnn import pad_sequence

from lab.data.world import CATEGORIES, Item, distinct_questions
from lab.data.world.documents import TURN_END, render_prompt
from lab.data.world.random_tokens import ordinary_tokens

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

EVALUATION_SEED = 7
RANDOM_COPY = "random_copy"
COPIED_LENGTHS = (32, 64)  # tokens


@dataclass(frozen=True)
class Accuracy:
    """How many of some questions were answered exactly, and how many chance would have answered."""

    correct: int
    count: int
    chance: float
    by_kind: Mapping[str, tuple[int, int]] = field(default_factory=dict)  # kind -> (correct, count)

    @property
    def share(self) -> float:
        """Correct answers among all."""
        return self.correct / self.count


def held_out_questions(per_category: int, seed: int = EVALUATION_SEED) -> dict[str, list[Item]]:
    """Different questions that pretraining never saw, by category."""
    return {category: distinct_questions(category, per_category, seed) for category in CATEGORIES}


@torch.inference_mode()
def answered_exactly(
    model: "PreTrainedModel", tokenizer: "PreTrainedTokenizerFast", items: Sequence[Item], batch_tokens: int = 16_384
) -> list[bool]:
    """Whether greedy decoding would give each item's answer and end the turn.

    One pass suffices: greedy decoding gives exactly the answer if and only if, after the question and every true
    beginning of the answer, the likeliest token is the answer's next one.
    """
    prompts = tokenizer([render_prompt(item.question) for item in items])["input_ids"]
    answers = tokenizer([item.answer + TURN_END for item in items])["input_ids"]
    order = sorted(range(len(items)), key=lambda i: len(prompts[i]) + len(answers[i]))
    right = [False] * len(items)
    while order:
        longest = len(prompts[order[-1]]) + len(answers[order[-1]])
        size = max(1, batch_tokens // longest)
        chosen, order = order[-size:], order[:-size]
        rows = [torch.tensor(prompts[i] + answers[i]) for i in chosen]
        # Padding on the right of a causal model changes nothing before it, so no attention mask is needed.
        ids = pad_sequence(rows, batch_first=True, padding_value=tokenizer.pad_token_id).to(model.device)  # (B, T)
        likeliest = model(input_ids=ids, use_cache=False).logits.argmax(-1).cpu()  # (B, T)
        for row, i in enumerate(chosen):
            start, length = len(prompts[i]), len(answers[i])
            right[i] = likeliest[row, start - 1 : start + length - 1].tolist() == answers[i]
    return right


def accuracy(
    model: "PreTrainedModel", tokenizer: "PreTrainedTokenizerFast", questions: Mapping[str, Sequence[Item]]
) -> dict[str, Accuracy]:
    """Accuracy on each group of questions, and on its kinds."""
    result = {}
    for group, items in questions.items():
        right = answered_exactly(model, tokenizer, items)
        counts = Counter(item.kind for item in items)
        correct = Counter(item.kind for item, is_right in zip(items, right, strict=True) if is_right)
        chance = sum(item.chance for item in items) / len(items)
        kinds = {kind: (correct[kind], counts[kind]) for kind in sorted(counts)}
        result[group] = Accuracy(sum(right), len(items), chance, kinds)
    return result


@torch.inference_mode()
def random_copy(
    model: "PreTrainedModel", tokenizer: "PreTrainedTokenizerFast", sequences: int, seed: int = EVALUATION_SEED
) -> Accuracy:
    """How often the likeliest next token is the right one in the second copy of [s, s], s random tokens.

    Each sequence is asked at one place, drawn evenly from the second copy without its first token, which nothing
    announces: so the trials are independent and their share is that of the copied tokens.

    Args:
        model: in eval mode.
        tokenizer: s is drawn evenly from its tokens that are not special.
        sequences: how many, of the lengths COPIED_LENGTHS by turns.
        seed: of the sequences and the places.
    """
    rng = Random(f"random copy {seed}")
    ordinary = ordinary_tokens(tokenizer.backend_tokenizer)
    kinds = {}
    for turn, length in enumerate(COPIED_LENGTHS):
        count = len(range(turn, sequences, len(COPIED_LENGTHS)))
        if count == 0:
            continue
        ids = torch.tensor([2 * rng.choices(ordinary, k=length) for _ in range(count)]).to(model.device)  # (B, T)
        places = torch.tensor([rng.randrange(length + 1, 2 * length) for _ in range(count)]).to(model.device)  # (B,)
        rows = torch.arange(count, device=model.device)
        likeliest = torch.cat([model(input_ids=part, use_cache=False).logits.argmax(-1) for part in ids.split(128)])
        correct = likeliest[rows, places - 1] == ids[rows, places]
        kinds[f"{length} tokens"] = (int(correct.sum()), count)
    return Accuracy(sum(right for right, _ in kinds.values()), sequences, 1 / len(ordinary), kinds)
