"""How far two attention patterns lie apart: the Jensen–Shannon divergence, exactly and by blocks."""

from dataclasses import replace

import torch

from lab.attention.heads import Heads
from lab.attention.weights import Weights


def divergence(one: Heads | Weights, other: Heads | Weights) -> torch.Tensor:
    """Jensen–Shannon divergence of two layers' attention, mean over real queries, in nats: [B, H], float64.

    ½ Σ p ln(p/m) + ½ Σ q ln(q/m) with m = (p + q)/2 over visible keys and, where there is one, the learned sink; 0 for
    equal patterns, ln 2 for disjoint ones (Lin, 1991).

    Args:
        one: A layer on a batch.
        other: The same layer with other weights or another input, on the same tokens.
    """
    from lab.attention import kernels

    real = one.visibility.real_queries
    if isinstance(one, Heads) and isinstance(other, Heads) and kernels.fits(one) and kernels.fits(other):
        each = kernels.divergence(one, other).double()
        return torch.where(real[:, None], each, 0).sum(-1) / real.sum(-1, keepdim=True)
    return by_blocks(one, other)


def with_total(pattern: Heads | Weights, log_total: torch.Tensor | None = None) -> Heads | Weights:
    """The pattern with the logsumexp of its scores, which the kernels need of each side and would else work out each time.

    Args:
        pattern: Of a layer.
        log_total: [B, H, Q], where it is known already.
    """
    from lab.attention import kernels

    if not isinstance(pattern, Heads) or not kernels.fits(pattern):
        return pattern
    return replace(pattern, log_total=kernels.log_total(pattern) if log_total is None else log_total)


def by_blocks(one: Heads | Weights, other: Heads | Weights) -> torch.Tensor:
    """The same in plain PyTorch, one block of queries at a time.

    Args:
        one: A layer on a batch.
        other: The same layer with other weights or another input, on the same tokens.
    """
    real = one.visibility.real_queries
    total = torch.zeros(one.shape[:2], dtype=torch.float64, device=real.device)
    for mine, theirs in zip(one.log_probabilities(), other.log_probabilities(), strict=True):
        each = between(mine.scores, theirs.scores).sum(-1)  # [B, H, q]
        if mine.sink is not None and theirs.sink is not None:
            each += between(mine.sink, theirs.sink)
        total += torch.where(real[:, None, mine.first:mine.last], each.double(), 0).sum(-1)
    return total / real.sum(-1, keepdim=True)


def between(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    """The terms ½ p ln(p/m) + ½ q ln(q/m) from log p and log q: never negative, symmetric, 0 for equals.

    With δ = |ln p - ln q| and u = exp(-δ) - 1 a term is -½ max(p, q) ((1 + u) δ + (2 + u) ln(1 + u/2)). Its two parts cancel
    where δ is small, but to an error of the size that rounding of the logs themselves makes.

    Args:
        one: Logs, any shape.
        other: Logs, the same shape.
    """
    gap = (one - other).abs_()
    decay = gap.neg().expm1_()
    terms = (decay / 2).log1p_().mul_(decay + 2)
    terms += gap.mul_(decay.add_(1))
    return torch.maximum(one, other).exp_().mul_(terms).mul_(-0.5).clamp_(min=0)  # in place: blocks stay in the cache
