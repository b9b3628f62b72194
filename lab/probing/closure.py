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

    Args:
        pre: [.., D], the layer's input.
        added: [.., D] each, what is said to be added.
        post: [.., D], the layer's output.
    """
    return closures(torch.stack([pre, *added, post])[None], torch.finfo(post.dtype).eps)[0]


def closures(layers: torch.Tensor, eps: float) -> torch.Tensor:
    """Returns ratio and roundings of each layer, [L, 2], on the device.

    The ratio alone says little in bfloat16: where the stream is a hundred times as long as what a layer adds, rounding the
    sum leaves errors of the size of the addition. Element by element no more than a few roundings are ever allowed.

    Args:
        layers: [L, n, .., D], of each layer its input, what is said to be added, and its output.
        eps: Of the number format of the output.
    """
    wide = (layers.double() if layers.device.type == "cpu" else layers.float()).flatten(2)
    before, parts, after = wide[:, 0], wide[:, 1:-1], wide[:, -1]
    error = (before + parts.sum(1) - after).abs()
    size = wide[:, :-1].abs().sum(1)
    tiny = torch.finfo(wide.dtype).tiny
    ratio = error.norm(dim=1) / (after - before).norm(dim=1).clamp_min(tiny)
    return torch.stack([ratio, (error / (eps * size + tiny)).amax(1)], 1)
