"""One pass over a layer's attention: its output, and for every query what the statistics need."""

from dataclasses import dataclass

import torch

from lab.attention.heads import Heads
from lab.attention.visibility import Visibility
from lab.attention.weights import Weights


@dataclass(frozen=True)
class PerQuery:
    """What one layer's attention does, each [B, H, Q] but the output.

    Attributes:
        output: [B, Q, H, dv], the layer's true output before its output projection; dv = 0 if it handed over no values.
        log_total: Logsumexp of the scores over visible keys, nats.
        entropy: Nats, over keys, given that a key and not a learned sink is attended.
        distance: Tokens back to the attended key, mean, given the same.
        first: Share on the row's first real key.
        recent: Share on the last w keys.
        previous: Share on the key just before.
        duplicate: Share on earlier keys with the query's own token.
        sink: Share on a learned sink outside the keys; 0 where the model has none.
    """

    output: torch.Tensor
    log_total: torch.Tensor
    entropy: torch.Tensor
    distance: torch.Tensor
    first: torch.Tensor
    recent: torch.Tensor
    previous: torch.Tensor
    duplicate: torch.Tensor
    sink: torch.Tensor


def per_query(heads: Heads | Weights, tokens: torch.Tensor, recent: int) -> PerQuery:
    """Attends, and measures every query on the way; on CUDA in one fused kernel where that can take the layer.

    Args:
        heads: Of a layer.
        tokens: [B, K], token ids.
        recent: w, keys counted as recent.
    """
    from lab.attention import kernels  # which is built on this file

    if isinstance(heads, Heads) and kernels.fits(heads):
        return kernels.per_query(heads, tokens, recent)
    return by_blocks(heads, tokens, recent)


def by_blocks(heads: Heads | Weights, tokens: torch.Tensor, recent: int) -> PerQuery:
    """The same in plain PyTorch, one block of queries at a time.

    With scores s, m = max s, Z = Σ exp(s - m): entropy = ln Z - Σ (s - m)·exp(s - m) / Z.

    Args:
        heads: Of a layer.
        tokens: [B, K], token ids.
        recent: w, keys counted as recent.
    """
    batch, count, length, _ = heads.shape
    width = heads.value_width
    output = heads.like.new_empty(batch, length, count, width)
    accurate = torch.promote_types(output.dtype, torch.float32)
    numbers = torch.empty(7, batch, count, length, dtype=accurate, device=output.device)
    columns = heads.columns()
    for first, last, low, high, scores, _ in heads.blocks():
        top = scores.amax(-1, keepdim=True)
        scores -= top
        weights = scores.exp()
        summed = heads.average(weights, columns, low, high)  # type: ignore[arg-type]
        total = summed[..., -1]
        output[:, first:last] = (summed[..., :width] / total[..., None]).transpose(1, 2)
        part = numbers[..., first:last]
        part[0] = total.log() + top[..., 0]
        query = torch.arange(first, last, device=output.device)
        part[2] = summed[..., -2] / total + (query - (high - 1))
        chosen = _shares(weights, heads.visibility, tokens, recent, first, low)
        for row, share in enumerate(chosen, start=3):
            part[row] = share / total
        # last, since it overwrites the weights
        part[1] = total.log() - weights.mul_(scores).sum(-1) / total
    return finished(heads, output, numbers)


def finished(heads: Heads | Weights, output: torch.Tensor, numbers: torch.Tensor) -> PerQuery:
    """What was measured over the keys, with a learned sink's share taken from outputs and shares.

    Args:
        heads: Of a layer.
        output: [B, Q, H, dv], as if a key were always attended; changed.
        numbers: [7, B, H, Q]: log total, entropy, distance, then the four shares; changed.
    """
    sink = torch.zeros_like(numbers[0])
    if heads.sink is not None:
        sink = heads.log_sink(numbers[0]).exp()
        numbers[3:] *= 1 - sink
        output *= (1 - sink).transpose(1, 2)[..., None].to(output.dtype)
    log_total, entropy, distance, first, recent, previous, duplicate = numbers.unbind()
    return PerQuery(output, log_total, entropy, distance, first, recent, previous, duplicate, sink)


def _shares(weights: torch.Tensor, visibility: Visibility, tokens: torch.Tensor, recent: int, first: int, low: int
            ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Weight on the first key, the recent keys, the previous key and the duplicates, each [B, H, q]."""
    batch, heads, count, width = weights.shape
    query = torch.arange(first, first + count, device=weights.device)
    start = visibility.first_keys - low
    inside = start.clamp(min=0, max=width - 1)  # the first real key may lie before a window, or behind a block of padding
    on_first = weights.gather(3, inside.view(-1, 1, 1, 1).expand(-1, heads, count, 1))[..., 0]
    on_first = on_first * (start == inside).view(-1, 1, 1)
    near = max(0, first - recent + 1 - low)
    key = torch.arange(near + low, low + width, device=weights.device)
    on_recent = (weights[..., near:] * (key > query[:, None] - recent)).sum(-1)
    before = (query - 1 - low).clamp(min=0, max=width - 1)
    on_previous = weights.gather(3, before.view(1, 1, -1, 1).expand(batch, heads, -1, 1))[..., 0]
    on_previous = on_previous * (query - 1 >= low)
    return on_first, on_recent, on_previous, _on_duplicates(weights, tokens, first, low)


def _on_duplicates(weights: torch.Tensor, tokens: torch.Tensor, first: int, low: int) -> torch.Tensor:
    batch, heads, count, width = weights.shape
    key = torch.arange(low, low + width, device=tokens.device)
    query = torch.arange(first, first + count, device=tokens.device)[:, None]
    same = (tokens[:, first:first + count, None] == tokens[:, None, low:low + width]) & (key < query)
    row, at, which = same.nonzero(as_tuple=True)  # few: gathering them beats a pass over all weights of all heads
    found = weights.new_zeros(batch * count, heads).index_add_(0, row * count + at, weights[row, :, at, which])
    return found.view(batch, count, heads).transpose(1, 2)
