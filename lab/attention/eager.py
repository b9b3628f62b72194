"""Models outside Transformers' attention interface: their eager weights, one layer at a time, never kept."""

import contextlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch

from lab.attention.implementation import attending_by
from lab.attention.weights import Weights, seen_in
from lab.errors import ModelUnsupported
from lab.models import anatomy


@contextlib.contextmanager
def listen_eagerly(plain: Any, layers: Iterable[int], receive: Callable[[int, Any], torch.Tensor]
                   ) -> Iterator[dict[int, int]]:
    """Every attention layer hands its weights to `receive` and drops them; yields how often each layer did.

    Args:
        plain: A causal language model.
        layers: Indices of the layers that have softmax attention.
        receive: Takes a layer's index and its `Weights`; what it returns is ignored.

    Raises:
        ModelUnsupported: A layer's attention returns no weights of shape [B, H, Q, K].
    """
    counted: dict[int, int] = {}
    real: torch.Tensor | None = None
    length = 0

    def ask(module: Any, args: tuple, kwargs: dict) -> tuple[tuple, dict]:
        nonlocal real, length
        mask, length = kwargs.get("attention_mask"), kwargs["input_ids"].shape[1]
        real = None if mask is None or bool(mask.all()) else mask.bool()
        return args, {**kwargs, "output_attentions": True}

    def take(layer: int) -> Callable:
        def hook(module: Any, args: tuple, output: Any) -> Any:
            place = _place_of_weights(module, output, length)
            weights = output[place].detach()
            receive(layer, Weights(weights, seen_in(weights, real)))
            counted[layer] = counted.get(layer, 0) + 1
            return type(output)((*output[:place], None, *output[place + 1:]))
        return hook

    handles = [plain.register_forward_pre_hook(ask, with_kwargs=True)]
    for index in layers:
        handles.append(anatomy.attention(anatomy.layers(plain)[index]).register_forward_hook(take(index)))
    try:
        with attending_by(plain, "eager"):
            yield counted
    finally:
        for handle in handles:
            handle.remove()


def _place_of_weights(module: Any, output: Any, length: int) -> int:
    found = [place for place, part in enumerate(output if isinstance(output, tuple | list) else ())
             if isinstance(part, torch.Tensor) and part.shape[2:] == (length, length)]
    if len(found) != 1:
        raise ModelUnsupported(f"{type(module).__name__} neither goes through Transformers' attention interface nor returns "
                               "its attention weights; its attention cannot be measured")
    return found[0]
