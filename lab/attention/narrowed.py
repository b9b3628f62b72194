"""A part of a layer's attention: some heads, some neighbouring queries, all keys."""

from collections.abc import Sequence
from dataclasses import replace

import torch

from lab.attention.heads import Heads
from lab.attention.routing import Pattern
from lab.attention.weights import Weights


def narrowed(pattern: Pattern, first: int, last: int, heads: Sequence[int] | None = None) -> Pattern:
    """The pattern of queries first … last-1, which count from 0 in it, without values.

    Args:
        pattern: A layer on a batch.
        first: First query.
        last: Behind the last query.
        heads: Those that are kept, in this order; all if None.
    """
    visibility = replace(pattern.visibility, queries=last - first, offset=pattern.visibility.offset + first)
    if isinstance(pattern, Weights):
        weights = pattern.weights[:, :, first:last]
        return Weights(weights if heads is None else weights[:, list(heads)], visibility)
    queries, keys, sink = pattern.queries[:, :, first:last], pattern.keys, pattern.sink
    if heads is not None:
        chosen = torch.tensor(heads, device=queries.device)
        queries, keys = queries[:, chosen], keys[:, chosen // (queries.shape[1] // keys.shape[1])]
        sink = None if sink is None else sink[chosen]
    return Heads(queries, keys, keys[..., :0], pattern.scale, visibility, pattern.softcap, sink)
