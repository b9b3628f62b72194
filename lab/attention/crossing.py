"""Layers asked for their attention once more before they run: on another input, or with other weights."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import torch

from lab.attention.routing import Pattern, attention_layers
from lab.models import anatomy

Enter = Callable[[int, Any, torch.Tensor, tuple, dict], None]


class _Enough(Exception):
    """A layer that was asked has handed over its attention; the rest of it is not needed."""


class Crossing:
    """Asks layers, each up to its attention; belongs to one listener, which hands every pattern to `intercept` first."""

    def __init__(self) -> None:
        self._asking = False
        self._pattern: Pattern | None = None

    def ask(self, layer: Any, entering: torch.Tensor, args: tuple, kwargs: dict) -> None:
        """Runs a layer until its attention is known.

        Args:
            layer: Of the model.
            entering: [B, T, D], its input.
            args: What it is called with besides.
            kwargs: Likewise.
        """
        self._asking = True
        try:
            layer.forward(entering, *args, **kwargs)
        except _Enough:
            pass
        finally:
            self._asking = False

    def intercept(self, pattern: Pattern) -> None:
        """Keeps the pattern of a layer that is only asked, and stops that layer there.

        Args:
            pattern: What the layer reports.
        """
        if self._asking:
            self._pattern = pattern
            raise _Enough

    def taken(self) -> Pattern | None:
        """The pattern of the layer that was asked last, handed out once; None if none was asked."""
        pattern, self._pattern = self._pattern, None
        return pattern


@contextlib.contextmanager
def before_layers(model: Any, enter: Enter) -> Iterator[None]:
    """Calls back before each layer that has softmax attention runs.

    Args:
        model: A causal language model, PEFT or plain.
        enter: Takes the layer's index, the layer, its input [B, T, D] and the other arguments that it is called with.
    """
    def hook(index: int) -> Callable[[Any, tuple, dict], None]:
        def call(layer: Any, args: tuple, kwargs: dict) -> None:
            if args:
                enter(index, layer, args[0], args[1:], kwargs)
            else:
                rest = {name: value for name, value in kwargs.items() if name != "hidden_states"}
                enter(index, layer, kwargs["hidden_states"], (), rest)
        return call

    layers = anatomy.layers(model)
    handles = [layers[index].register_forward_pre_hook(hook(index), with_kwargs=True) for index in attention_layers(model)]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
