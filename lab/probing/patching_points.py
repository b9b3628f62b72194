"""Where in a forward pass a site's activations can be taken hold of and changed before anything reads them."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import torch

from lab.errors import ModelUnsupported
from lab.models import anatomy
from lab.probing.decomposition import Decomposition, Parts, Term
from lab.probing.observed import first, layer_input
from lab.probing.sites import DELTA_ATTN, POST_ATTN, POST_FFN, PRE_ATTN

HEAD = "head"

Change = Callable[[int, torch.Tensor], torch.Tensor]


@contextlib.contextmanager
def changing(model: Any, decomposition: Decomposition, layer: int, site: str, change: Change) -> Iterator[None]:
    """Lets `change` see and replace the activations at a site in every forward pass inside.

    What a block adds is changed where its terms leave their modules, before factors, so that swapping rows swaps what is
    added bit by bit. After attention no module returns the stream: there the change is added to attention's last term.

    Args:
        model: A causal language model, PEFT or plain.
        decomposition: Of this model or its base.
        layer: Index.
        site: Of `lab.probing.sites.SITES`, or `HEAD` for what the heads hand to their output projection.
        change: Takes the number of the term (0 where there is but one tensor) and the activations, [B, T, D] or of heads
            [B, T, H, dv], and returns what goes on in their stead; it writes into nothing that it is given.

    Raises:
        ModelUnsupported: The layer has no such site.
    """
    block, parts = anatomy.layers(model)[layer], decomposition.layers[layer]
    with contextlib.ExitStack() as hooks:
        for handle in _handles(model, block, parts, layer, site, change):
            hooks.callback(handle.remove)
        yield


def check_site(decomposition: Decomposition, layer: int, site: str) -> None:
    """Raises ModelUnsupported if a layer has nothing at a site that could be changed.

    Args:
        decomposition: Of the model.
        layer: Index.
        site: Of `lab.probing.sites.SITES`, or `HEAD`.
    """
    parts = decomposition.layers[layer]
    if site == POST_ATTN and parts.virtual:
        raise ModelUnsupported(f"layer {layer} has its attention and feed-forward in parallel: nothing reads post_attn, "
                               "which is virtual there, so it cannot be patched; patch pre_attn, delta_attn, delta_ffn or "
                               "post_ffn")
    if site in (DELTA_ATTN, POST_ATTN, HEAD) and not parts.attention:
        raise ModelUnsupported(f"layer {layer} has no attention, so there is no {site} to patch; patch pre_attn, delta_ffn "
                               "or post_ffn")
    if site not in (PRE_ATTN, POST_FFN, DELTA_ATTN, POST_ATTN, HEAD) and not parts.feed_forward:
        raise ModelUnsupported(f"layer {layer} has no feed-forward, so there is no {site} to patch; patch pre_attn, "
                               "delta_attn or post_ffn")


def _handles(model: Any, block: Any, parts: Parts, layer: int, site: str, change: Change) -> list[Any]:
    if site == PRE_ATTN:
        return [block.register_forward_pre_hook(_entering(change), with_kwargs=True)]
    if site == POST_FFN:
        return [block.register_forward_hook(_leaving(change, 0))]
    if site == HEAD:
        projection = anatomy.output_projection(model, layer)
        return [projection.register_forward_pre_hook(_heads(change, anatomy.n_heads(model)))]
    if site == POST_ATTN:
        return _Middle(block, parts, change).handles
    terms = parts.attention if site == DELTA_ATTN else parts.feed_forward
    return [block.get_submodule(term.path).register_forward_hook(_leaving(change, number))
            for number, term in enumerate(terms)]


def _entering(change: Change) -> Callable:
    def hook(module: Any, args: tuple, kwargs: dict) -> tuple[tuple, dict]:
        stream = layer_input(args, kwargs)
        new = change(0, stream)
        if args:
            return (new, *args[1:]), kwargs
        return args, {name: new if value is stream else value for name, value in kwargs.items()}
    return hook


def _leaving(change: Change, number: int) -> Callable:
    def hook(module: Any, args: tuple, output: Any) -> Any:
        return _instead(output, change(number, first(output)))
    return hook


def _heads(change: Change, count: int) -> Callable:
    def hook(module: Any, args: tuple) -> tuple:
        values = args[0]
        return change(0, values.unflatten(-1, (count, -1))).reshape(values.shape), *args[1:]
    return hook


def _instead(output: Any, new: torch.Tensor) -> Any:
    if isinstance(output, tuple | list):
        return type(output)([new, *output[1:]])
    return new


class _Middle:
    """The stream after attention, which is a sum that the layer makes itself, in terms of what is summed."""

    def __init__(self, block: Any, parts: Parts, change: Change) -> None:
        self.change = change
        self.terms: tuple[Term, ...] = parts.attention
        self.clone = parts.input_overwritten
        self.sum: torch.Tensor | None = None
        self.handles = [block.register_forward_pre_hook(self._begin, with_kwargs=True),
                        *(block.get_submodule(term.path).register_forward_hook(self._term(term)) for term in self.terms)]

    def _begin(self, module: Any, args: tuple, kwargs: dict) -> None:
        stream = layer_input(args, kwargs)
        self.sum = stream.clone() if self.clone else stream

    def _term(self, term: Term) -> Callable:
        def hook(module: Any, args: tuple, output: Any) -> Any:
            assert self.sum is not None
            value = first(output)
            self.sum = self.sum + value.view(self.sum.shape) * term.factor
            if term is not self.terms[-1]:
                return None
            moved = (self.change(0, self.sum) - self.sum) / term.factor
            return _instead(output, value + moved.view(value.shape))
        return hook
