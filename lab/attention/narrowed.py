"""A part of a layer's attention: some heads, some neighbouring queries, all keys."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import torch

from lab.attention.heads import Heads
from lab.attention.routing import Pattern
from lab.attention.visibility import Part, Visibility
from lab.attention.weights import Weights


def narrowed(pattern: Pattern, first: int, last: int, heads: Sequence[int] | None = None) -> Pattern:
    """The pattern of queries first … last-1, which count from 0 in it, without values.

    Args:
        pattern: A layer on a batch.
        first: First query.
        last: Behind the last query.
        heads: Those that are kept, in this order; all if None.
    """
    visibility = _Later(**{one.name: getattr(pattern.visibility, one.name) for one in fields(Visibility)}, offset=first)
    visibility = replace(visibility, queries=last - first)
    if isinstance(pattern, Weights):
        weights = pattern.weights[:, :, first:last]
        return Weights(weights if heads is None else weights[:, list(heads)], visibility)
    queries, keys, sink = pattern.queries[:, :, first:last], pattern.keys, pattern.sink
    if heads is not None:
        chosen = torch.tensor(heads, device=queries.device)
        queries, keys = queries[:, chosen], keys[:, chosen // (queries.shape[1] // keys.shape[1])]
        sink = None if sink is None else sink[chosen]
    return Heads(queries, keys, keys[..., :0], pattern.scale, visibility, pattern.softcap, sink)


@dataclass(frozen=True)
class _Later(Visibility):
    """The same mask for queries from `offset` on."""

    offset: int = 0

    def block(self, first: int, last: int) -> Part:
        return super().block(first + self.offset, last + self.offset)

    @property
    def real_queries(self) -> torch.Tensor:
        if self.real is None:
            return super().real_queries
        return self.real[:, self.offset:self.offset + self.queries]
