"""The same measurements on a CUDA GPU, fused into flash attention: one pass over the keys, nothing of size L×L.

Online softmax after Dao et al., "FlashAttention" (2022): with the running maximum m, sums of exp(s - m) are rescaled when m
grows, and so are Σ exp(s - m)(s - m), from which the entropy comes, and every other sum.
"""

import functools
import importlib.util
from typing import Any

import torch

from lab.attention.divergence import between
from lab.attention.heads import Heads
from lab.attention.per_query import PerQuery, finished

# queries and keys of a tile, warps, and stages of its pipeline; wide heads and float32 need the registers
SHAPES = {"attend": (64, 64, 4, 3), "attend wide": (64, 32, 4, 2),
          "diverge": (64, 32, 4, 2), "diverge wide": (64, 32, 4, 2)}


def fits(heads: Any) -> bool:
    """Whether these kernels can take a layer: on CUDA, all its queries and keys, causal or in a window."""
    return (isinstance(heads, Heads) and heads.queries.is_cuda
            and heads.visibility.rule is None and not heads.visibility.offset
            and heads.queries.dtype in (torch.float32, torch.bfloat16, torch.float16)
            and (heads.queries.element_size() < 4 or max(heads.queries.shape[-1], heads.value_width) <= 128)  # registers
            and importlib.util.find_spec("triton") is not None)


def per_query(heads: Heads, tokens: torch.Tensor, recent: int) -> PerQuery:
    """Attends, and measures every query on the way; as `lab.attention.per_query.per_query`, for what `fits`.

    Args:
        heads: Of a layer.
        tokens: [B, K], token ids.
        recent: w, keys counted as recent.
    """
    batch, count, length, _ = heads.shape
    output = heads.queries.new_empty(batch, length, count, heads.value_width)
    numbers = torch.empty(7, batch, count, length, dtype=torch.float32, device=output.device)
    _attend(heads, tokens, recent, output, numbers)
    return finished(heads, output, numbers)


def log_total(heads: Heads) -> torch.Tensor:
    """Logsumexp of the scores over keys, nats: [B, H, Q].

    Args:
        heads: Of a layer that `fits`.
    """
    numbers = torch.empty(1, *heads.shape[:3], dtype=torch.float32, device=heads.queries.device)
    _attend(heads, None, 1, None, numbers)
    return numbers[0]


def divergence(one: Heads, other: Heads) -> torch.Tensor:
    """Jensen–Shannon divergence of two layers' attention, a learned sink included, per query, nats: [B, H, Q], float32.

    Args:
        one: A layer that `fits`.
        other: The same layer with other weights or another input, on the same tokens.
    """
    import triton

    totals = [_log_mass(heads) for heads in (one, other)]
    found = torch.empty(one.shape[:3], dtype=torch.float32, device=one.queries.device)
    batch, count, length, width = one.queries.shape
    wide = width > 128 or one.queries.dtype == torch.float32
    rows, columns, warps, stages = SHAPES["diverge wide" if wide else "diverge"]
    _kernels()[1][(triton.cdiv(length, rows), batch * count)](
        one.queries, one.keys, other.queries, other.keys, *totals, found, one.visibility.first_keys,
        *one.queries.stride(), *one.keys.stride(), *other.queries.stride(), *other.keys.stride(),
        count, length, count // one.keys.shape[1], one.visibility.window or 0, one.scale, one.softcap or 0.0,
        D=width, PADDED=max(16, triton.next_power_of_2(width)), CAPPED=one.softcap is not None, M=rows, N=columns,
        PRECISION=_precision(one.queries), num_warps=warps, num_stages=stages)
    if one.sink is not None and other.sink is not None:
        one_sink, other_sink = one.sink.float()[None, :, None], other.sink.float()[None, :, None]
        found += between(one_sink - totals[0], other_sink - totals[1])
    return found


def _log_mass(heads: Heads) -> torch.Tensor:
    """Log of what each query's attention is divided by, a learned sink included: [B, H, Q]."""
    total = log_total(heads) if heads.log_total is None else heads.log_total.contiguous()
    return total if heads.sink is None else torch.logaddexp(total, heads.sink.float()[None, :, None])


def _attend(heads: Heads, tokens: torch.Tensor | None, recent: int, output: torch.Tensor | None, numbers: torch.Tensor
            ) -> None:
    import triton

    batch, count, length, width = heads.queries.shape
    values = heads.values if output is not None else heads.keys
    wide = max(width, values.shape[-1]) > 128 or heads.queries.dtype == torch.float32
    rows, columns, warps, stages = SHAPES["attend wide" if wide else "attend"]
    given = tokens.int().contiguous() if tokens is not None else heads.visibility.first_keys.int()
    _kernels()[0][(triton.cdiv(length, rows), batch * count)](
        heads.queries, heads.keys, values, output if output is not None else numbers, numbers, given,
        heads.visibility.first_keys,
        *heads.queries.stride(), *heads.keys.stride(), *values.stride(),
        *(output.stride() if output is not None else (0, 0, 0, 0)),
        numbers.stride(0), count, length, count // heads.keys.shape[1], heads.visibility.window or 0, recent, heads.scale,
        heads.softcap or 0.0, D=width, PADDED=max(16, triton.next_power_of_2(width)), DV=values.shape[-1],
        PADDED_V=max(16, triton.next_power_of_2(values.shape[-1])), CAPPED=heads.softcap is not None,
        WHOLE=output is not None, M=rows, N=columns, PRECISION=_precision(heads.queries), num_warps=warps,
        num_stages=stages)


def _precision(tensor: torch.Tensor) -> str:
    return "ieee" if tensor.dtype == torch.float32 else "tf32"  # of float32 products; 16-bit ones are exact either way


@functools.cache
def _kernels() -> tuple[Any, Any]:
    """The compiled kernels; Triton is there only where PyTorch was built for CUDA."""
    from lab.attention import triton_kernels

    return triton_kernels.attend, triton_kernels.diverge
