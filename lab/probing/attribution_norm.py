"""A norm with its scale held still, which makes it a linear map that parts of its input can be sent through one by one."""

import copy
from dataclasses import dataclass
from typing import Any

import torch

from lab.errors import ModelUnsupported

_BOUND = 1e-5


@dataclass(frozen=True)
class FrozenNorm:
    """norm(x) = gain · (x - mean of x, if centred) / scale(x) + bias, found from what a module does and not from its names.

    LayerNorm is centred, RMSNorm is not; Gemma's gain is one plus its weight; an identity has a scale that follows |x|.

    Attributes:
        gain: [D], float64.
        bias: [D], float64; zeros in most.
        centred: Whether the mean over the width is subtracted.
    """

    gain: torch.Tensor
    bias: torch.Tensor
    centred: bool

    def over_scale(self, taken: torch.Tensor, given: torch.Tensor) -> torch.Tensor:
        """Returns 1 / scale [.., 1] at each position, from what the module took and gave there [.., D], float64."""
        through = self.gain * self._centre(taken.double())
        return ((given.double() - self.bias) * through).sum(-1, keepdim=True) / through.square().sum(-1, keepdim=True)

    def back(self, direction: torch.Tensor, over_scale: torch.Tensor) -> torch.Tensor:
        """Returns the direction [.., D] before the norm whose product with a part of the input is what it adds after it.

        Args:
            direction: [.., D], read after the norm.
            over_scale: [.., 1], the frozen 1 / scale.
        """
        return self._centre(direction * self.gain) * over_scale  # subtracting the mean is its own transpose

    def _centre(self, values: torch.Tensor) -> torch.Tensor:
        return values - values.mean(-1, keepdim=True) if self.centred else values


@torch.no_grad()
def frozen(module: Any, width: int, what: str) -> FrozenNorm:
    """Returns a module as a norm whose scale can be frozen, checked on random inputs of several sizes.

    Args:
        module: Takes and gives [.., D].
        width: D.
        what: Its name, for the error.

    Raises:
        ModelUnsupported: It is not of this form, so that what passes through it cannot be told apart into parts.
    """
    if isinstance(module, torch.nn.Identity):
        return FrozenNorm(torch.ones(width, dtype=torch.float64), torch.zeros(width, dtype=torch.float64), False)
    weight = next(module.parameters(), torch.zeros(0))
    dtype = torch.promote_types(weight.dtype, torch.float32)
    exact = copy.deepcopy(module).to(dtype)  # of 16-bit weights too: their rounding belongs to the model, not to its form
    generator = torch.Generator().manual_seed(0)
    given = torch.randn(4, width, generator=generator, dtype=torch.float64) + 0.5
    given[1] *= 30
    given[2] *= 0.3

    def run(values: torch.Tensor) -> torch.Tensor:
        return exact(values.to(weight.device, dtype)[None])[0].double().cpu()

    signs = _balanced(width)[None]
    forth, back = run(signs)[0], run(-signs)[0]
    bias, gain = (forth + back) / 2, (forth - back) / 2 / signs[0]  # odd but for the bias, and the mean of signs is zero
    gained = run(given)
    for centred in (False, True):
        found = FrozenNorm(gain, bias, centred)
        over = found.over_scale(given, gained)
        again = found.gain * found._centre(given) * over + bias
        if float((again - gained).norm() / gained.norm()) <= _BOUND and bool((over > 0).all()):
            return found
    raise ModelUnsupported(f"{what} ({type(module).__name__}) is not gain · (x - mean) / scale + bias, so what passes "
                           "through it cannot be told apart into parts")


def _balanced(width: int) -> torch.Tensor:
    """A vector [D] of mean zero without a zero in it, float64."""
    half = width // 2
    return torch.cat([torch.ones(half, dtype=torch.float64), -torch.full((width - half,), half / (width - half)).double()])
