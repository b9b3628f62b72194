"""Attention of a model that computes it in its own way: whole weight matrices, reduced layer by layer and dropped."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch

from lab.attention.heads import HIDDEN, Block, block_size
from lab.attention.visibility import Visibility


@dataclass(frozen=True)
class Weights:
    """The attention weights of one layer; offers what `lab.attention.heads.Heads` does, but no output.

    Attributes:
        weights: [B, H, Q, K], rows sum to one.
        visibility: Which keys a query sees.
    """

    weights: torch.Tensor
    visibility: Visibility
    sink: None = None

    def of_rows(self, rows: torch.Tensor) -> "Weights":
        """The same for some rows of the batch.

        Args:
            rows: [B'] of indices.
        """
        return replace(self, weights=self.weights[rows], visibility=self.visibility.of_rows(rows))

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """B, H, Q, K."""
        batch, heads, queries, keys = self.weights.shape
        return batch, heads, queries, keys

    @property
    def value_width(self) -> int:
        """0: such models do not hand over their values."""
        return 0

    @property
    def like(self) -> torch.Tensor:
        """A tensor of the layer's device and number format."""
        return self.weights

    def blocks(self) -> Iterator[Block]:
        """Yields log weights, some queries at a time, in float32 or better."""
        batch, heads, length, keys = self.shape
        size = block_size(batch * heads * keys, self.weights.device)
        for first in range(0, length, size):
            part = self.weights[:, :, first:first + size]
            logs = part.to(torch.promote_types(part.dtype, torch.float32)).log().clamp(min=HIDDEN)
            yield Block(first, min(first + size, length), 0, keys, logs)

    def log_probabilities(self) -> Iterator[Block]:
        """Yields log attention over keys, in nats."""
        return self.blocks()

    def columns(self) -> None:
        """Nothing: there are no values to average."""

    def average(self, weights: torch.Tensor, columns: None, low: int, high: int) -> torch.Tensor:
        """Weighted sums of the distances to the last key and of ones: [B, H, q, 2].

        Args:
            weights: [B, H, q, k] over keys low … high-1.
            columns: From `columns`.
        """
        back = torch.arange(high - low - 1, -1, -1, device=weights.device, dtype=weights.dtype)
        return weights @ torch.stack([back, torch.ones_like(back)], dim=-1)


def seen_in(weights: torch.Tensor, real: torch.Tensor | None) -> Visibility:
    """Which keys any head of a layer gives weight to: what the layer's own mask leaves visible.

    A weight reaches exactly 0 in float32 only 103 nats below the largest, so a visible key that no head ever gives a
    weight to would have to be that far down in all of them.

    Args:
        weights: [B, H, Q, K].
        real: [B, K] of bool, False for padding, or None.
    """
    visible = (weights > 0).any(dim=1)
    batch, _, queries, keys = weights.shape
    return Visibility(queries, keys, batch, real, rule=lambda b, h, q, k: visible[b, q, k], device=weights.device)
