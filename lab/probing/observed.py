"""One forward pass with everything seen that a layer's modules take and return: what a decomposition is searched in."""

import contextlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from lab.errors import ModelUnsupported
from lab.models import anatomy
from lab.models.batch import forward, inputs
from lab.probing.sites import ATTN_OUT, FFN_OUT

MIXING, FEEDING = "mixing", "feeding"
_MIXES = ("attn", "attention", "mamba", "conv", "ssm", "mixer", "temporal", "time_mix", "recurrent", "retention",
          "delta_net", "lstm")
_FEEDS = ("mlp", "ffn", "feed_forward", "feedforward", "moe", "expert", "fc1", "fc2", "channel_mix", "intermediate")
_EITHER = ("mixer", "block")  # of one kind in some layers and of the other in others; the class says which
_NEITHER = ("norm", "ln_", "ln1", "ln2", "dropout")


@dataclass
class Observed:
    """What one layer did in one forward pass.

    Attributes:
        kind: The layer's class.
        before: [B, T, D], its input.
        after: [B, T, D], its output.
        outputs: [B, T, D] by path, of modules inside that ran exactly once and returned something of this shape.
        order: By path, when the module ended, counted in modules of the layer.
        taken: [B, T, D] each, what modules inside took.
        overwritten: Paths whose output was written into after they returned it.
        input_overwritten: Whether the layer's input was.
        blocks: Direct children that mix tokens or feed forward, in order of execution, each with its role.
    """

    kind: str
    before: torch.Tensor
    after: torch.Tensor
    outputs: dict[str, torch.Tensor]
    order: dict[str, int]
    taken: list[torch.Tensor]
    overwritten: set[str]
    input_overwritten: bool
    blocks: list[tuple[str, str]]

    def total(self, terms: Sequence[tuple[str, float]]) -> torch.Tensor:
        """Returns the sum [B, T, D] of outputs, each times its factor; zeros for none."""
        each = [self.outputs[path] * factor if factor != 1 else self.outputs[path] for path, factor in terms]
        return sum(each[1:], each[0]) if each else torch.zeros_like(self.before)

    def role(self, path: str) -> str | None:
        """Returns whether a module belongs to token mixing or feeding forward; None if neither ran before it."""
        for block, role in self.blocks:
            if path == block or path.startswith(f"{block}."):
                return role
        before = [role for block, role in self.blocks if self.order[block] <= self.order[path]]
        return before[-1] if before else None

    def raw(self) -> dict[str, str]:
        """Returns the paths of the modules whose outputs are the raw sites, where exactly one has an output."""
        found = {}
        for site, role in ((ATTN_OUT, MIXING), (FFN_OUT, FEEDING)):
            paths = [block for block, its in self.blocks if its == role and block in self.outputs]
            if len(paths) == 1:
                found[site] = paths[0]
        return found


@dataclass
class _Layer:
    before: torch.Tensor | None = None
    began: torch.Tensor | None = None
    after: torch.Tensor | None = None
    calls: dict[str, int] = field(default_factory=dict)
    order: dict[str, int] = field(default_factory=dict)
    returned: dict[str, torch.Tensor] = field(default_factory=dict)
    copies: dict[str, torch.Tensor] = field(default_factory=dict)
    taken: list[torch.Tensor] = field(default_factory=list)


def observe(model: Any, tokens: torch.Tensor) -> list[Observed]:
    """Returns what every layer does while the model reads some tokens.

    Args:
        model: A causal language model in evaluation mode, PEFT or plain.
        tokens: [B, T].

    Raises:
        ModelUnsupported: A layer ran more or less than once, or takes or gives no single stream [B, T, D].
    """
    plain = anatomy.plain_model(model)
    shape = (*tokens.shape, anatomy.width(plain))
    layers = list(anatomy.layers(plain))
    kept = [_Layer() for _ in layers]
    with contextlib.ExitStack() as hooks:
        for layer, into in zip(layers, kept, strict=True):
            for handle in _listen(layer, into, shape):
                hooks.callback(handle.remove)
        forward(plain, inputs(plain, tokens), keep_logits=False)
    return [_observed(type(plain).__name__, index, layer, into, shape)
            for index, (layer, into) in enumerate(zip(layers, kept, strict=True))]


def first(value: Any) -> Any:
    """Returns the tensor that a module returned, the first of several."""
    return value[0] if isinstance(value, tuple | list) and value else value


def layer_input(args: tuple, kwargs: dict) -> Any:
    """Returns the stream that a layer is called with, whether by place or by name."""
    return next((value for value in (*args[:1], *kwargs.values()) if isinstance(value, torch.Tensor)), None)


def _listen(layer: Any, into: _Layer, shape: tuple[int, ...]) -> list[Any]:
    def begin(module: Any, args: tuple, kwargs: dict) -> None:
        stream = layer_input(args, kwargs)
        into.calls[""] = into.calls.get("", 0) + 1
        if isinstance(stream, torch.Tensor):
            into.began, into.before = stream, stream.clone()

    def end(module: Any, args: tuple, kwargs: dict, output: Any) -> None:
        stream = first(output)
        into.after = stream.clone() if isinstance(stream, torch.Tensor) else None
        into.copies = {path: each for path, each in into.copies.items() if into.calls[path] == 1}

    def returned(path: str) -> Any:
        def hook(module: Any, args: tuple, output: Any) -> None:
            stream = first(output)
            into.order[path] = len(into.order)
            into.calls[path] = into.calls.get(path, 0) + 1
            if isinstance(stream, torch.Tensor) and _fits(stream, shape):
                into.returned[path], into.copies[path] = stream, stream.clone().view(shape)
            if args and isinstance(args[0], torch.Tensor) and _fits(args[0], shape):
                into.taken.append(args[0].clone().view(shape))
        return hook

    handles = [module.register_forward_hook(returned(path)) for path, module in layer.named_modules() if path]
    return [layer.register_forward_pre_hook(begin, with_kwargs=True),
            layer.register_forward_hook(end, with_kwargs=True), *handles]


def _fits(value: torch.Tensor, shape: tuple[int, ...]) -> bool:
    """Whether a tensor is a stream [B, T, D], rows and tokens perhaps in one axis."""
    return value.shape[-1:] == shape[-1:] and value.numel() == math.prod(shape) and value.is_contiguous()


def _observed(name: str, index: int, layer: Any, into: _Layer, shape: tuple[int, ...]) -> Observed:
    what = f"{name}: layer {index} ({type(layer).__name__})"
    times = into.calls.get("", 0)
    if times != 1:
        raise ModelUnsupported(f"{what} ran {times} times in one forward pass; each layer has to run once, or it has no "
                               "activations of its own")
    for which, stream in (("takes", into.before), ("gives", into.after)):
        if stream is None or stream.shape != shape:
            given = "no tensor" if stream is None else f"a tensor of shape {tuple(stream.shape)}"
            raise ModelUnsupported(f"{what} {which} {given}, and no residual stream of shape {shape}; models with several "
                                   "streams, or none, are not supported")
    assert into.before is not None and into.after is not None and into.began is not None
    overwritten = {path for path, copy in into.copies.items() if not torch.equal(copy, into.returned[path].view(shape))}
    return Observed(type(layer).__name__, into.before, into.after, into.copies, into.order, into.taken, overwritten,
                    not torch.equal(into.before, into.began), _blocks(layer, into))


def _blocks(layer: Any, into: _Layer) -> list[tuple[str, str]]:
    """Direct children that mix tokens or feed forward, in order of execution."""
    found = []
    for path, module in layer.named_children():
        role = _role(path, module)
        if role is not None and path in into.order:
            found.append((path, role))
    return sorted(found, key=lambda each: into.order[each[0]])


def _role(path: str, module: Any) -> str | None:
    name, kind = path.lower(), type(module).__name__.lower()
    if not any(module.children()) and any(word in name or kind.endswith(word) for word in _NEITHER):
        return None
    for text in (kind, name) if name in _EITHER else (name, kind):
        for words, role in ((_FEEDS, FEEDING), (_MIXES, MIXING)):
            if any(word in text for word in words):
                return role
    return None
