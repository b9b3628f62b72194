"""Induction: attention from a repeated token to what followed it the first time."""

from dataclasses import dataclass
from typing import Any

import torch

from lab.attention.heads import Block
from lab.attention.measure import stacked
from lab.attention.narrowed import narrowed
from lab.attention.per_query import per_query
from lab.attention.routing import Pattern, listen, routes
from lab.errors import OptionError
from lab.models import anatomy
from lab.models.batch import forward, inputs


@dataclass(frozen=True)
class Induction:
    """Induction of every head on every row, float64 on the CPU.

    Attributes:
        scores: [B, L, H], share: mean mass on the token after the first occurrence, minus what uniform attention over
            visible keys would give. nan in layers without softmax attention, and in those where no query that counts can
            see that token: their window is shorter than one copy.
        uniform: [B, L], share: what uniform attention would give, by which the mean mass itself is `scores + uniform`.
    """

    scores: torch.Tensor
    uniform: torch.Tensor


def half(tokens: torch.Tensor) -> int:
    """S, the tokens of one copy.

    Args:
        tokens: [B, 2·S], token ids.

    Raises:
        OptionError: The rows are not something said twice.
    """
    count = tokens.shape[1] // 2
    if count < 2 or tokens.shape[1] % 2 or not torch.equal(tokens[:, :count], tokens[:, count:]):
        raise OptionError(f"tokens of shape {tuple(tokens.shape)} are not [s, s] with at least 2 tokens in s; give random "
                          "tokens repeated once, as lab.data.repeated makes them")
    return count


@torch.no_grad()
def induction(model: Any, tokens: torch.Tensor, *, routed: bool | None = None) -> Induction:
    """How much each head attends to the token that followed the same token before (Olsson et al. 2022, arXiv 2209.11895).

    Query S+j, the second copy of token j, counts for key j+1. The queries that count are S … 2·S-2: those whose next token
    is in the prompt, and of them those that can see the key. The last token is left out, as nothing follows its first
    occurrence within the first copy. A learned sink takes its share of the mass and none of the uniform reference.

    Args:
        model: A causal language model, PEFT or plain, in evaluation mode.
        tokens: [B, 2·S], s twice; different tokens in s, so that each has one earlier occurrence.
        routed: From `lab.attention.routing.routes`, which is asked if None.

    Raises:
        OptionError: The rows are not [s, s], or too long for the model.
        ModelUnsupported: The attention of this model cannot be measured.
    """
    copy = half(tokens)
    given = inputs(model, tokens)
    scores: dict[int, torch.Tensor] = {}
    uniform: dict[int, torch.Tensor] = {}

    def take(layer: int, pattern: Pattern) -> torch.Tensor:
        mass, reference, seen = _on_targets(pattern, copy)
        counts = seen.sum(-1).double()
        mean = reference.sum(-1) / counts
        scores[layer] = mass.sum(-1) / counts[:, None] - mean[:, None]
        uniform[layer] = mean[:, None]
        return per_query(pattern, given["input_ids"], 1).output

    with listen(model, take, routed=routes(model) if routed is None else routed):
        forward(model, given, keep_logits=False)
    count = anatomy.n_layers(model)
    return Induction(stacked(scores, count), stacked(uniform, count)[..., 0])


def _on_targets(pattern: Pattern, copy: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Mass [B, H, S-1] of the queries that count, what uniform attention gives [B, S-1], and whether they see the key."""
    part = narrowed(pattern, copy, 2 * copy - 1)
    masses, references, seen = [], [], []
    for block in part.log_probabilities():
        visible = _visible(part, block)
        query = torch.arange(block.last - block.first, device=visible.device)
        target = query + block.first + 1 - block.low
        inside = target.clamp(0, block.high - block.low - 1)  # a window may begin behind it
        found = visible[:, query, inside] & (target == inside)
        masses.append(block.scores[:, :, query, inside].exp().double() * found[:, None])
        references.append(found / visible.sum(-1).double())
        seen.append(found)
    return torch.cat(masses, dim=2), torch.cat(references, dim=1), torch.cat(seen, dim=1)


def _visible(pattern: Pattern, block: Block) -> torch.Tensor:
    """Whether the queries of a block see its keys: [B, q, k]."""
    low, high, start, mask = pattern.visibility.block(block.first, block.last)
    visible = torch.zeros(pattern.shape[0], block.last - block.first, block.high - block.low, dtype=torch.bool,
                          device=block.scores.device)
    visible[..., low - block.low:high - block.low] = True
    if mask is not None:
        visible[..., start - block.low:high - block.low] = mask[:, 0]
    return visible
