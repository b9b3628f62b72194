"""The keys that chosen queries attend to most."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from lab.attention.heads import HIDDEN
from lab.attention.narrowed import narrowed
from lab.attention.per_query import per_query
from lab.attention.routing import Pattern, listen, routes
from lab.errors import OptionError
from lab.models import anatomy
from lab.models.batch import forward, inputs


@dataclass(frozen=True)
class TopKeys:
    """The most attended keys, most attended first, on the CPU.

    Attributes:
        queries: Q', the positions asked for.
        keys: [B, L, H, Q', k], positions, int64; -1 where the query sees fewer keys, is padding, or the layer has no softmax
            attention.
        weights: [B, L, H, Q', k], shares, float32; 0 where the key is -1.
    """

    queries: tuple[int, ...]
    keys: torch.Tensor
    weights: torch.Tensor


@torch.no_grad()
def top_keys(model: Any, tokens: torch.Tensor, real: torch.Tensor | None = None, *, queries: Sequence[int], k: int,
             routed: bool | None = None) -> TopKeys:
    """Where every head looks from chosen positions, in memory linear in the length.

    Args:
        model: A causal language model, PEFT or plain, in evaluation mode.
        tokens: [B, T], token ids.
        real: [B, T], False for padding; None where there is none.
        queries: Positions in the batch as it is padded, counted from 0.
        k: Keys for each of them.
        routed: From `lab.attention.routing.routes`, which is asked if None.

    Raises:
        OptionError: A query is none of the batch's positions, `k` is out of range, or the batch is too long for the model.
        ModelUnsupported: The attention of this model cannot be measured.
    """
    batch, length = tokens.shape
    wrong = [query for query in queries if not 0 <= query < length]
    if wrong or not queries:
        raise OptionError(f"queries {', '.join(map(str, wrong)) or 'none'}: allowed are positions 0 to {length - 1}, one at "
                          "least")
    if not 1 <= k <= length:
        raise OptionError(f"k={k}: allowed are 1 to {length}, the tokens of the batch")
    given = inputs(model, tokens, real)
    shape = batch, anatomy.n_layers(model), anatomy.n_heads(model), len(queries), k
    keys, weights = torch.full(shape, -1), torch.zeros(shape)

    def take(layer: int, pattern: Pattern) -> torch.Tensor:
        for place, part in _each(pattern, queries):
            for at, (found, shares) in enumerate(_best(part, k), start=place):
                keys[:, layer, :, at, :found.shape[-1]] = found.cpu()
                weights[:, layer, :, at, :found.shape[-1]] = shares.cpu()
        return per_query(pattern, given["input_ids"], 1).output

    with listen(model, take, routed=routes(model) if routed is None else routed):
        forward(model, given, keep_logits=False)
    return TopKeys(tuple(queries), keys, weights)


def _each(pattern: Pattern, queries: Sequence[int]) -> Iterator[tuple[int, Pattern]]:
    """Runs of neighbouring queries, each with the place of its first among those asked for."""
    begin = 0
    for place in range(1, len(queries) + 1):
        if place == len(queries) or queries[place] != queries[place - 1] + 1:
            yield begin, narrowed(pattern, queries[begin], queries[place - 1] + 1)
            begin = place


def _best(part: Pattern, k: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Keys and shares [B, H, at most k] of each query."""
    real = part.visibility.real_queries
    for block in part.log_probabilities():
        logs, at = block.scores.topk(min(k, block.high - block.low), dim=-1)
        seen = (logs > HIDDEN / 2) & real[:, None, block.first:block.last, None]
        keys, shares = torch.where(seen, at + block.low, -1), torch.where(seen, logs.exp(), 0)
        yield from zip(keys.unbind(2), shares.unbind(2), strict=True)
