"""Lengths and inner products of what a layer takes, adds and gives: all that its norms and directions are made of."""

import functools
import importlib.util
from typing import Any

import torch

COUNT = 8


def products(pre: torch.Tensor, attention: torch.Tensor, feed_forward: torch.Tensor) -> torch.Tensor:
    """Returns Euclidean lengths at each of `lab.probing.sites.SITES`, and three inner products, in float32 at least.

    On a GPU one kernel reads each activation once; there a layer has time for little more.

    Args:
        pre: [B, P, D], `pre_attn`.
        attention: [B, P, D], `delta_attn`.
        feed_forward: [B, P, D], `delta_ffn`.

    Returns:
        [B, P, 8]: |pre_attn|, |delta_attn|, |post_attn|, |delta_ffn|, |post_ffn|, and the inner products of pre_attn with
        delta_attn, of pre_attn with delta_ffn, and of delta_attn with delta_ffn.
    """
    if pre.is_cuda and pre.dtype != torch.float64 and importlib.util.find_spec("triton") is not None:
        return fused(pre, attention, feed_forward)
    return plain(pre, attention, feed_forward)


def plain(pre: torch.Tensor, attention: torch.Tensor, feed_forward: torch.Tensor) -> torch.Tensor:
    """Returns what `products` does, by PyTorch's own operations.

    Args:
        pre: [B, P, D].
        attention: [B, P, D].
        feed_forward: [B, P, D].
    """
    if pre.element_size() < 4:  # sums and products would be rounded, and leave float16's range
        pre, attention, feed_forward = pre.float(), attention.float(), feed_forward.float()
    middle = pre + attention
    every = (pre, attention, middle, feed_forward, middle + feed_forward)
    lengths = [torch.linalg.vector_norm(each, dim=-1) for each in every]
    inner = [(one * other).sum(-1) for one, other in ((pre, attention), (pre, feed_forward), (attention, feed_forward))]
    return torch.stack([*lengths, *inner], -1)


def fused(pre: torch.Tensor, attention: torch.Tensor, feed_forward: torch.Tensor) -> torch.Tensor:
    """Returns what `products` does, by one kernel; on a machine with CUDA.

    Args:
        pre: [B, P, D].
        attention: [B, P, D].
        feed_forward: [B, P, D].
    """
    width = pre.shape[-1]
    rows = [each.reshape(-1, width).contiguous() for each in (pre, attention, feed_forward)]
    found = torch.empty(len(rows[0]), COUNT, dtype=torch.float32, device=pre.device)
    _kernel()[(len(found),)](*rows, found, D=width, N=1024, num_warps=4)
    return found.view(*pre.shape[:-1], COUNT)


@functools.cache
def _kernel() -> Any:
    """The compiled kernel; Triton is there only where PyTorch was built for CUDA."""
    from lab.probing import triton_products

    return triton_products.products
