"""The lab's place inside a model's attention: every layer hands over its queries, keys and values, or its weights."""

import contextlib
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

import torch

from lab.attention.eager import listen_eagerly
from lab.attention.heads import Heads
from lab.attention.implementation import attending_by
from lab.attention.per_query import per_query
from lab.attention.visibility import Visibility, lazy_mask
from lab.attention.weights import Weights
from lab.errors import ModelUnsupported
from lab.models import anatomy

NAME = "lab_streaming"
_TAKEN_IN = ("position_ids", "cache_position", "position_embeddings")  # queries and keys are rotated already
Pattern = Heads | Weights
Receive = Callable[[int, Pattern], torch.Tensor]


@dataclass
class _Listening:
    """What listens to the model that runs now.

    Attributes:
        layers: Index of the layer by identity of each module inside it.
        receive: Takes a layer's index and pattern, gives the layer's attention output [B, Q, H, dv].
        reported: How often each layer reported.
    """

    layers: dict[int, int]
    receive: Receive
    reported: dict[int, int] = field(default_factory=dict)


_listening: ContextVar[_Listening | None] = ContextVar("lab_attention_listening", default=None)


def attend(module: Any, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, attention_mask: Any,
           scaling: float | None = None, dropout: float = 0.0, softcap: float | None = None,
           s_aux: torch.Tensor | None = None, **more: Any) -> tuple[torch.Tensor, None]:
    """The attention function that Transformers calls in each layer, in place of its own.

    Args:
        module: The attention module.
        query: [B, H, Q, d].
        key: [B, G, K, d].
        value: [B, G, K, dv].
        attention_mask: What `lazy_mask` made for this kind of layer.
        scaling: Of the scores; 1/√d by default.
        dropout: Only training drops out.
        softcap: See `Heads`.
        s_aux: [H], learned sink logits.
        more: What other functions take; a tensor among it would change the attention.

    Raises:
        ModelUnsupported: The attention is more than a softmax of scaled scores under a mask that the lab made.
    """
    listening = _listening.get()
    assert listening is not None, "this attention function runs only inside `listen`"
    layer = listening.layers.get(id(module))
    problem = _problem(query, key, attention_mask, more)
    if layer is None or problem:
        raise ModelUnsupported(f"{type(module).__name__} {problem or 'attends outside the layers'}; its attention cannot be "
                               "measured")
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    with torch.autocast(query.device.type, enabled=False):  # scores stay in float32, as a fused kernel keeps them
        output = listening.receive(layer, Heads(query, key, value, scale, attention_mask, softcap, s_aux))
    listening.reported[layer] = listening.reported.get(layer, 0) + 1
    return output.to(query.dtype), None


def _problem(query: torch.Tensor, key: torch.Tensor, mask: Any, more: dict[str, Any]) -> str:
    """What keeps the lab from reading an attention; empty if nothing does."""
    unknown = [name for name, value in more.items() if isinstance(value, torch.Tensor) and name not in _TAKEN_IN]
    if unknown:
        return f"attends by {', '.join(unknown)} as well, which the lab does not know"
    if not isinstance(mask, Visibility):
        return f"gets {type(mask).__name__} for an attention mask, and not the one that the lab made"
    if (query.shape[2], key.shape[2]) != (mask.queries, mask.keys):
        return f"attends from {query.shape[2]} queries to {key.shape[2]} keys under a mask of {mask.queries} by {mask.keys}"
    return ""


def routes(model: Any) -> bool:
    """Whether every attention layer of the model goes through Transformers' attention interface; tried on two tokens.

    Args:
        model: A causal language model, PEFT or plain.

    Raises:
        ModelUnsupported: Its attention cannot be measured: some layers go through the interface and others do not, one
            attends several times, or the model makes masks or scores of its own.
    """
    plain = anatomy.plain_model(model)
    tokens = torch.zeros(1, 2, dtype=torch.long, device=plain.device)
    expected = attention_layers(plain)
    if not plain._can_set_attn_implementation():  # read from its source by Transformers: it computes attention itself
        return False
    with _in_place(plain), _listen(plain, lambda _, heads: per_query(heads, tokens, 1).output) as listening:
        try:
            with torch.no_grad():
                plain(input_ids=tokens, use_cache=False)
        except (AttributeError, TypeError) as error:
            if Visibility.__name__ not in str(error):  # which is no tensor
                raise
            raise ModelUnsupported(f"{type(plain).__name__} makes something else of its attention mask ({error}), which the "
                                   "lab cannot read; its attention cannot be measured") from error
    if not listening.reported:
        return False
    for layer in expected:
        times = listening.reported.get(layer, 0)
        if times != 1:
            raise ModelUnsupported(f"layer {layer} of {type(plain).__name__} attended {times} times in one forward pass; "
                                   "each attention layer has to exactly once, or its heads have no pattern of their own")
    return True


def attention_layers(model: Any) -> list[int]:
    """Indices of the layers that have softmax attention; others mix tokens by recurrence or convolution.

    Raises:
        ModelUnsupported: None has.
    """
    found = [index for index, layer in enumerate(anatomy.layers(model))
             if any(getattr(layer, name, None) is not None for name in anatomy.SOFTMAX_ATTENTION)]
    if not found:
        raise ModelUnsupported(f"{type(anatomy.plain_model(model)).__name__}: no layer of it has softmax attention under "
                               f"{', '.join(anatomy.SOFTMAX_ATTENTION)}")
    return found


@contextlib.contextmanager
def listen(model: Any, receive: Receive, *, routed: bool = True) -> Iterator[None]:
    """Every attention layer of the one forward pass inside reports to `receive`, each exactly once.

    Args:
        model: A causal language model, PEFT or plain, in evaluation mode.
        receive: Takes the layer's index and its pattern; returns its attention output [B, Q, H, dv], which is ignored
            for a model that does not route through the interface.
        routed: From `routes`.

    Raises:
        ModelUnsupported: A layer did not report, or more than once.
    """
    plain = anatomy.plain_model(model)
    if not routed:
        with listen_eagerly(plain, attention_layers(plain), receive) as counted:
            yield
        _check(plain, counted)
        return
    with _in_place(plain), _listen(plain, receive) as listening:
        yield
    _check(plain, listening.reported)


def _check(plain: Any, reported: dict[int, int]) -> None:
    times = {layer: reported.get(layer, 0) for layer in attention_layers(plain)}
    if set(times.values()) != {1}:
        raise ModelUnsupported(f"{type(plain).__name__}: its attention layers (by index) reported so often: {times}; each "
                               "has to exactly once, so nothing of this is to be trusted")


@contextlib.contextmanager
def _listen(plain: Any, receive: Receive) -> Iterator[_Listening]:
    places = {id(module): index for index, layer in enumerate(anatomy.layers(plain)) for module in layer.modules()}
    listening = _Listening(places, receive)
    token = _listening.set(listening)
    try:
        yield listening
    finally:
        _listening.reset(token)


@contextlib.contextmanager
def _in_place(plain: Any) -> Iterator[None]:
    """The lab's attention function and mask in the model."""
    from transformers.masking_utils import AttentionMaskInterface
    from transformers.modeling_utils import AttentionInterface

    AttentionInterface.register(NAME, attend)
    AttentionMaskInterface.register(NAME, lazy_mask)  # without it Transformers silently passes no mask at all
    with attending_by(plain, NAME):
        yield
