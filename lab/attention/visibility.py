"""Which keys each query may see, asked for in blocks, so that no L×L mask is ever held."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from transformers.masking_utils import causal_mask_function, sdpa_mask

_PROBED = 64  # queries on which a mask's rule is compared with a plain window
Part = tuple[int, int, int, torch.Tensor | None]


@dataclass(frozen=True)
class Visibility:
    """The mask of one kind of layer over one batch.

    Attributes:
        queries: Q.
        keys: K.
        rows: B.
        real: [B, K] bool, False where a key is padding, which stands at a row's ends; None where none is.
        window: Keys a query sees at most, itself included; None for all earlier ones.
        rule: Transformers' mask function, where the mask is neither causal nor a causal window; else None.
        more: What `sdpa_mask` needs besides, to make a block of such a rule.
        device: Of the masks.
        offset: Key position of the first query.
    """

    queries: int
    keys: int
    rows: int
    real: torch.Tensor | None
    window: int | None = None
    rule: Callable | None = None
    more: dict[str, Any] = field(default_factory=dict)
    device: torch.device | str = "cpu"
    offset: int = 0

    def block(self, first: int, last: int) -> Part:
        """The keys that queries first … last-1 can see.

        Returns:
            First and last key of the range, then the first key from which a mask is needed, and that mask
            [B or 1, 1, q, k] of bool, True for visible; None where every key of the range is visible to every query.
        """
        first, last = first + self.offset, last + self.offset
        if self.rule is not None:
            mask = sdpa_mask(self.rows, last - first, self.keys, q_offset=first, mask_function=self.rule,
                             attention_mask=self.real, allow_is_causal_skip=False, device=self.device, **self.more)
            seen = mask.any(dim=(0, 1, 2)).nonzero()  # a chunk, say: no scores are made for keys that no query sees
            low, high = (int(seen[0]), int(seen[-1]) + 1) if len(seen) else (0, self.keys)
            return low, high, low, mask[..., low:high]
        low = 0 if self.window is None else max(0, first - self.window + 1)
        plain = self.real is None and self.window is None
        start = first if plain else low
        key = torch.arange(start, last, device=self.device)
        query = torch.arange(first, last, device=self.device)[:, None]
        mask = key <= query
        if self.window is not None:
            mask &= key > query - self.window
        if self.real is None:
            return low, last, start, mask[None, None]
        return low, last, start, mask & self.real[:, None, None, start:last]

    @property
    def real_queries(self) -> torch.Tensor:
        """[B, Q] of bool, False for padding."""
        if self.real is None:
            return torch.ones(self.rows, self.queries, dtype=torch.bool, device=self.device)
        return self.real[:, self.offset:self.offset + self.queries]

    @property
    def first_keys(self) -> torch.Tensor:
        """[B], the first key of each row that is not padding."""
        if self.real is None:
            return torch.zeros(self.rows, dtype=torch.long, device=self.device)
        return self.real.int().argmax(dim=1)

    def of_rows(self, rows: torch.Tensor) -> "Visibility":
        """The same for some rows of the batch, in the given order.

        Args:
            rows: [B'] of indices.
        """
        rule = self.rule
        chosen = None if rule is None else lambda batch, head, query, key: rule(rows[batch], head, query, key)
        return replace(self, rows=len(rows), real=None if self.real is None else self.real[rows], rule=chosen)


def lazy_mask(batch_size: int, q_length: int, kv_length: int, q_offset: int = 0, kv_offset: int = 0,
              mask_function: Callable = causal_mask_function, attention_mask: torch.Tensor | None = None,
              local_size: int | None = None, use_vmap: bool = False, device: torch.device | str = "cpu",
              **_: Any) -> Visibility:
    """The mask that Transformers asks for, as a rule instead of a tensor; registered beside the attention function.

    Args:
        batch_size: B.
        q_length: Q.
        kv_length: K.
        q_offset: Position of the first query; the lab runs without a cache, so 0.
        kv_offset: Likewise.
        mask_function: The rule, from indices to bool.
        attention_mask: [B, K], 0 for padding.
        local_size: Size of a window or chunk.
        use_vmap: Whether the rule takes only scalar indices.
        device: Of the masks.
    """
    assert not q_offset and not kv_offset, "attention is measured without a cache"
    real = None if attention_mask is None else attention_mask[:, :kv_length].bool()
    plain = Visibility(q_length, kv_length, batch_size, None if real is None or bool(real.all()) else real, device=device)
    if mask_function is causal_mask_function:
        return plain
    if local_size is not None and not use_vmap and _is_window(mask_function, local_size, q_length, device):
        return replace(plain, window=local_size)
    return replace(plain, rule=mask_function, more={"use_vmap": use_vmap})


def _is_window(rule: Callable, size: int, length: int, device: torch.device | str) -> bool:
    """Whether a rule lets a query see itself and the size-1 keys before it, on a sample of queries and all keys."""
    key = torch.arange(length, device=device)[None, None, None, :]
    query = torch.linspace(0, length - 1, min(length, _PROBED), device=device).long()[None, None, :, None]
    zero = torch.zeros(1, 1, 1, 1, dtype=torch.long, device=device)
    return bool((rule(zero, zero, query, key) == ((key <= query) & (key > query - size))).all())
