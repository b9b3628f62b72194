"""Whether what a layer is said to add is what it adds: the algebra of the residual stream, within rounding."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

BOUND = 1e-5  # |pre + delta_attn + delta_ffn - post| / |post - pre| in float32
_ROUNDINGS = 4  # of one addition each, element by element, where the stream is long against what a layer adds


@dataclass(frozen=True)
class Closure:
    """How far a layer's parts are from its whole.

    Attributes:
        ratio: |pre + deltas - post| / |post - pre|, Euclidean over all elements.
        roundings: Largest error of an element in units of its own rounding, eps · (|pre| + |added|).
    """

    ratio: float
    roundings: float

    @property
    def holds(self) -> bool:
        """Whether the parts make up the whole; a nan never does."""
        return self.ratio <= BOUND or self.roundings <= _ROUNDINGS


def closure(pre: torch.Tensor, added: Sequence[torch.Tensor], post: torch.Tensor) -> torch.Tensor:
    """Returns ratio and roundings as a tensor [2] on the device, for `Closure(*closure(...).tolist())`.

    The ratio alone says little in bfloat16: where the stream is a hundred times as long as what a layer adds, rounding the
    sum leaves errors of the size of the addition. Element by element no more than a few roundings are ever allowed.

    Args:
        pre: [.., D], the layer's input.
        added: [.., D] each, what is said to be added.
        post: [.., D], the layer's output.
    """
    eps = torch.finfo(post.dtype).eps
    before, after, *parts = (each.double() if each.device.type == "cpu" else each.float() for each in (pre, post, *added))
    error = (sum(parts, before) - after).abs()
    size = sum((each.abs() for each in parts), before.abs())
    tiny = torch.finfo(error.dtype).tiny
    return torch.stack([error.norm() / (after - before).norm().clamp_min(tiny), (error / (eps * size + tiny)).max()])
