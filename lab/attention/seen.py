"""What there is to see for each query, whatever the weights: the uniform references and who counts in which mean."""

from dataclasses import dataclass

import torch

from lab.attention.heads import block_size
from lab.attention.visibility import Visibility


@dataclass(frozen=True)
class Seen:
    """Counts of visible keys, each [B, Q] (int64, or bool where it says whether).

    Attributes:
        real: Whether the query is no padding.
        keys: Visible keys, n_i.
        positions: Sum of their positions.
        recent: Those among the last w positions, the query itself included.
        first: Whether the row's first real key is visible and not the query itself.
        previous: Whether the key just before the query is visible.
        duplicates: Visible earlier keys with the query's own token.
    """

    real: torch.Tensor
    keys: torch.Tensor
    positions: torch.Tensor
    recent: torch.Tensor
    first: torch.Tensor
    previous: torch.Tensor
    duplicates: torch.Tensor


def seen(visibility: Visibility, tokens: torch.Tensor, recent: int) -> Seen:
    """Counts what each query sees, by blocks.

    Args:
        visibility: Of a layer.
        tokens: [B, K], token ids.
        recent: w, keys counted as recent.
    """
    if visibility.rule is None:
        return _in_one_stretch(visibility, tokens, recent)
    columns: list[list[torch.Tensor]] = [[] for _ in range(6)]
    for begin, end in _spans(visibility, tokens):
        for column, values in zip(columns, _counts(visibility, tokens, recent, begin, end), strict=True):
            column.append(values)
    keys, positions, near, first, previous, same = (torch.cat(column, dim=1) for column in columns)
    return Seen(visibility.real_queries, keys, positions, near, first.bool(), previous.bool(), same)


def _spans(visibility: Visibility, tokens: torch.Tensor) -> list[tuple[int, int]]:
    size = block_size(visibility.rows * visibility.keys, tokens.device)
    return [(begin, min(begin + size, visibility.queries)) for begin in range(0, visibility.queries, size)]


def _in_one_stretch(visibility: Visibility, tokens: torch.Tensor, recent: int) -> Seen:
    """Counts where every query sees one stretch of keys that ends with itself; only duplicates need the keys."""
    query = torch.arange(visibility.queries, device=tokens.device)[None, :]
    start = visibility.first_keys[:, None]
    low = start.expand(-1, visibility.queries)
    if visibility.window is not None:
        low = torch.maximum(low, query - visibility.window + 1)
    keys = (query - low + 1).clamp(min=0)
    same = [_duplicates(tokens, low, begin, end) for begin, end in _spans(visibility, tokens)]
    return Seen(visibility.real_queries, keys, keys * (low + query) // 2, keys.clamp(max=recent),
                (low == start) & (query > start), keys >= 2, torch.cat(same, dim=1))


def _duplicates(tokens: torch.Tensor, low: torch.Tensor, begin: int, end: int) -> torch.Tensor:
    key = torch.arange(end, device=tokens.device)
    query = torch.arange(begin, end, device=tokens.device)[:, None]
    same = tokens[:, begin:end, None] == tokens[:, None, :end]
    return (same & (key < query) & (key >= low[:, begin:end, None])).sum(-1)


def _counts(visibility: Visibility, tokens: torch.Tensor, recent: int, begin: int, end: int) -> list[torch.Tensor]:
    low, high, start, part = visibility.block(begin, end)
    mask = torch.ones(tokens.shape[0], end - begin, high - low, dtype=torch.bool, device=tokens.device)
    if part is not None:
        mask[..., start - low:] = part[:, 0]
    key = torch.arange(low, high, device=tokens.device)
    query = torch.arange(begin, end, device=tokens.device)[:, None]
    at_first = (key == visibility.first_keys[:, None])[:, None] & (key != query)
    same = (tokens[:, begin:end, None] == tokens[:, None, low:high]) & (key < query)
    return [mask.sum(-1), (mask * key).sum(-1), (mask & (key > query - recent)).sum(-1), (mask & at_first).sum(-1),
            (mask & (key == query - 1)).sum(-1), (mask & same).sum(-1)]
