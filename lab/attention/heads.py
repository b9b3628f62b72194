"""What an attention layer works with, and its scores in blocks of queries."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch

from lab.attention.visibility import Visibility

HIDDEN = -1e30  # not -inf: a padded query sees nothing, and inf - inf would be nan
_CPU_BYTES, _CUDA_BYTES = 2**23, 2**28  # one block of scores; on a CPU it has to stay in the cache


class Block(NamedTuple):
    """Scores of queries first … last-1 over keys low … high-1.

    Attributes:
        scores: [B, H, q, k], nats up to a constant per query; -1e30 where a key is hidden.
        sink: [B, H, q], the same for a learned sink outside the keys; None where there is none or it was not asked for.
    """

    first: int
    last: int
    low: int
    high: int
    scores: torch.Tensor
    sink: torch.Tensor | None = None


@dataclass(frozen=True)
class Heads:
    """Queries, keys and values of one layer, after rotary embedding and any norm, just as its softmax gets them.

    Attributes:
        queries: [B, H, Q, d].
        keys: [B, G, K, d]; head h uses group h // (H / G).
        values: [B, G, K, dv].
        scale: Of the scores.
        visibility: Which keys a query sees.
        softcap: Scores s become softcap·tanh(s / softcap) (Gemma 2), or None.
        sink: [H], learned logits outside the keys (gpt-oss), or None.
        log_total: [B, H, Q], logsumexp of the scores over keys, where it is known already.
    """

    queries: torch.Tensor
    keys: torch.Tensor
    values: torch.Tensor
    scale: float
    visibility: Visibility
    softcap: float | None = None
    sink: torch.Tensor | None = None
    log_total: torch.Tensor | None = None

    def of_rows(self, rows: torch.Tensor) -> "Heads":
        """The same for some rows of the batch.

        Args:
            rows: [B'] of indices.
        """
        return replace(self, queries=self.queries[rows], keys=self.keys[rows], values=self.values[rows],
                       visibility=self.visibility.of_rows(rows),
                       log_total=None if self.log_total is None else self.log_total[rows])

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """B, H, Q, K."""
        batch, heads, queries, _ = self.queries.shape
        return batch, heads, queries, self.keys.shape[2]

    @property
    def value_width(self) -> int:
        """dv."""
        return self.values.shape[-1]

    @property
    def like(self) -> torch.Tensor:
        """A tensor of the layer's device and number format."""
        return self.queries

    def blocks(self) -> Iterator[Block]:
        """Yields all scores, some queries at a time, in float32 or better."""
        batch, heads, length, keys = self.shape
        size = block_size(batch * heads * keys, self.queries.device)
        for first in range(0, length, size):
            last = min(first + size, length)
            low, high, start, mask = self.visibility.block(first, last)
            yield Block(first, last, low, high, self._scores(first, last, low, high, start, mask))

    def _scores(self, first: int, last: int, low: int, high: int, start: int, mask: torch.Tensor | None) -> torch.Tensor:
        batch, heads, _, width = self.queries.shape
        groups = self.keys.shape[1]
        accurate = torch.promote_types(self.queries.dtype, torch.float32)
        queries = self.queries[:, :, first:last].to(accurate) * self.scale
        queries = queries.reshape(batch, groups, -1, width)  # heads of a group share their keys: one product for all
        scores = queries @ self.keys[:, :, low:high].to(accurate).transpose(2, 3)
        scores = scores.view(batch, heads, last - first, high - low)
        if self.softcap is not None:
            scores = (scores / self.softcap).tanh_().mul_(self.softcap)
        if mask is not None:
            scores[..., start - low:].masked_fill_(~mask, HIDDEN)
        return scores

    def columns(self) -> torch.Tensor:
        """What `average` averages, made once a layer: values, then a column that it fills, then ones: [B, G, K, dv + 2]."""
        batch, groups, keys, width = self.values.shape
        accurate = torch.promote_types(self.values.dtype, torch.float32)
        wide = torch.ones(batch, groups, keys, width + 2, dtype=accurate, device=self.values.device)
        wide[..., :width] = self.values
        return wide

    def average(self, weights: torch.Tensor, columns: torch.Tensor, low: int, high: int) -> torch.Tensor:
        """Weighted sums of values, and in the last two columns of the distances to the last key and of ones.

        Args:
            weights: [B, H, q, k] over keys low … high-1.
            columns: From `columns`; changed.

        Returns:
            [B, H, q, dv + 2].
        """
        batch, heads, count, _ = weights.shape
        # from the end: long contexts attend nearby, where a position would lose in float32 what its distance keeps
        columns[:, :, low:high, -2] = torch.arange(high - low - 1, -1, -1, device=columns.device)
        together = weights.reshape(batch, columns.shape[1], -1, high - low) @ columns[:, :, low:high].to(weights.dtype)
        return together.view(batch, heads, count, -1)

    def log_probabilities(self) -> Iterator[Block]:
        """Yields log attention over keys and a learned sink, in nats, in place of the scores."""
        for block in self.blocks():
            total = block.scores.logsumexp(-1)
            sink = None
            if self.sink is not None:
                sink = self.log_sink(total)
                total = torch.logaddexp(total, self.sink.to(total.dtype)[None, :, None])
            yield block._replace(scores=block.scores.sub_(total[..., None]), sink=sink)

    def log_sink(self, log_total: torch.Tensor) -> torch.Tensor:
        """Log of the learned sink's share.

        Args:
            log_total: [B, H, Q], logsumexp of the scores over keys.
        """
        assert self.sink is not None
        sink = self.sink.to(log_total.dtype)[None, :, None]
        return sink - torch.logaddexp(log_total, sink)


def block_size(numbers_per_query: int, device: torch.device) -> int:
    """Queries in one block.

    Args:
        numbers_per_query: Scores that one query position has over batch, heads and keys.
        device: Where they lie.
    """
    budget = _CPU_BYTES if device.type == "cpu" else _CUDA_BYTES
    return max(16, budget // 4 // max(1, numbers_per_query))
