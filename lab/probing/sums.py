"""The sums of all layers checked together, so that a forward pass on a GPU does not wait for a check in every layer."""

from collections.abc import Mapping

import torch

from lab.errors import ModelUnsupported
from lab.probing.closure import Closure, closures
from lab.probing.sites import DELTA_ATTN, DELTA_FFN, POST_FFN, PRE_ATTN

PARTS = (PRE_ATTN, DELTA_ATTN, DELTA_FFN, POST_FFN)
_CHECKED = 8  # positions of a text, or up to twice as many


class Sums:
    """What layers take, add and give at a few positions, and how far that is from adding up."""

    def __init__(self, name: str) -> None:
        """Takes the model's name, for messages."""
        self._name = name
        self._waiting: dict[int, torch.Tensor] = {}
        self._eps = 0.0
        self._found: list[tuple[list[int], torch.Tensor]] = []

    def add(self, layer: int, parts: Mapping[str, torch.Tensor]) -> None:
        """Keeps copies of the values [B, P, D] at the sites of `PARTS`, until all layers have ended."""
        self._eps = torch.finfo(parts[POST_FFN].dtype).eps
        self._waiting[layer] = torch.stack([parts[site] for site in PARTS])

    def settle(self) -> None:
        """Works out how well the layers of this forward pass close, without waiting for the device."""
        if self._waiting:
            self._found.append((list(self._waiting), closures(torch.stack(list(self._waiting.values())), self._eps)))
            self._waiting = {}

    def check(self) -> None:
        """Raises ModelUnsupported if in any forward pass a layer did not close."""
        self.settle()
        found, self._found = self._found, []
        for layers, reached in found:
            for layer, each in zip(layers, reached.tolist(), strict=True):
                closure = Closure(*each)
                if not closure.holds:
                    raise ModelUnsupported(
                        f"{self._name}: layer {layer} does not close: |pre + delta_attn + delta_ffn - post| is "
                        f"{closure.ratio:.2g} of |post - pre| ({closure.roundings:.0f} roundings of an element); nothing of "
                        "this forward pass is to be trusted")


def some(length: int) -> slice:
    """Returns positions spread over a text of so many, the last one among them; a slice, since it is read without a copy."""
    step = max(1, (length - 1) // (_CHECKED - 1))
    return slice((length - 1) % step, None, step)
