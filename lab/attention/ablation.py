"""Heads taken out of a model while it runs: their output before the output projection replaced."""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch

from lab.attention.named_heads import check
from lab.attention.routing import attention_layers
from lab.errors import OptionError
from lab.models import anatomy
from lab.models.batch import forward, inputs


@contextlib.contextmanager
def ablated(model: Any, heads: Mapping[int, Sequence[int]], *,
            means: Mapping[int, torch.Tensor] | None = None) -> Iterator[None]:
    """Runs the model without some heads, in every row of every batch.

    Args:
        model: A causal language model, PEFT or plain, whatever its weights are stored in.
        heads: Indices of heads by index of layer; an empty mapping ablates nothing.
        means: By layer [H, dv], what a head's output is replaced with (mean ablation), as `mean_outputs` gives it for
            reference tokens; zero ablation if None.

    Raises:
        OptionError: The model has no such layer or head, or `means` lacks a layer or is of another shape.
        ModelUnsupported: The output projection of a layer is not to be found.
    """
    named = check(model, heads) if heads else {}
    hooks = {layer: _replacing(model, layer, chosen, means) for layer, chosen in named.items()}
    with _before_projections(model, hooks):
        yield


@torch.no_grad()
def mean_outputs(model: Any, tokens: torch.Tensor, real: torch.Tensor | None = None) -> dict[int, torch.Tensor]:
    """Mean output of every head before the output projection, over the real positions of a batch: by layer, [H, dv].

    Args:
        model: As in `ablated`.
        tokens: [B, T], token ids, whose mean is the reference.
        real: [B, T], False for padding; None where there is none.

    Raises:
        OptionError: The batch is empty or too long for the model.
        ModelUnsupported: The output projection of a layer is not to be found.
    """
    given = inputs(model, tokens, real)
    found: dict[int, torch.Tensor] = {}
    kept = torch.ones_like(tokens, dtype=torch.bool) if real is None else real.bool()

    def keep(layer: int) -> Callable:
        def hook(module: Any, args: tuple) -> None:
            each = args[0].reshape(*tokens.shape, anatomy.n_heads(model), -1)[kept.to(args[0].device)]
            found[layer] = each.double().mean(0)
        return hook

    with _before_projections(model, {layer: keep(layer) for layer in attention_layers(model)}):
        forward(model, given, keep_logits=False)
    return found


def _replacing(model: Any, layer: int, chosen: Sequence[int], means: Mapping[int, torch.Tensor] | None) -> Callable:
    count = anatomy.n_heads(model)
    if means is not None and (layer not in means or means[layer].dim() != 2 or len(means[layer]) != count):
        raise OptionError(f"means of layer {layer}: {tuple(means[layer].shape) if layer in means else 'none'} given; needed "
                          f"is a value for each of {count} heads, [H, dv], as mean_outputs returns them")

    def hook(module: Any, args: tuple) -> tuple:
        each = args[0].unflatten(-1, (count, -1)).clone()
        each[..., list(chosen), :] = 0 if means is None else means[layer][list(chosen)].to(each)
        return each.flatten(-2), *args[1:]

    return hook


@contextlib.contextmanager
def _before_projections(model: Any, hooks: Mapping[int, Callable]) -> Iterator[None]:
    """Runs each layer's hook on what its output projection gets."""
    modules = {layer: anatomy.output_projection(model, layer) for layer in hooks}
    handles = [module.register_forward_pre_hook(hooks[layer]) for layer, module in modules.items()]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
