"""One vocabulary over architectures: layers, attention, feed-forward, and the linear modules an adapter can change."""

import difflib
import re
from dataclasses import dataclass
from typing import Any

from lab.errors import ModelUnsupported, OptionError

ALL_LINEAR = "all-linear"
_LAYER_PATHS = ("model.layers", "transformer.h", "gpt_neox.layers", "model.decoder.layers", "transformer.blocks",
                "model.language_model.layers", "language_model.model.layers")
SOFTMAX_ATTENTION = ("self_attn", "attention", "attn", "self_attention")
_ATTENTION = (*SOFTMAX_ATTENTION, "linear_attn")
_FEED_FORWARD = ("mlp", "feed_forward", "block_sparse_moe", "ffn")
_PROJECTIONS = ("o_proj", "out_proj", "c_proj", "dense", "wo")
_LAYER_NUMBER = re.compile(r"\.(\d+)\.")


@dataclass(frozen=True)
class LinearModule:
    """A linear map inside a model.

    Attributes:
        name: Path in the model: `model.layers.0.self_attn.q_proj`.
        leaf: Its last part, by which adapters are aimed: `q_proj`.
        layer: Index of its layer, None outside the layers.
        role: `attention`, `feed_forward` or `other`.
        inputs: Input width.
        outputs: Output width.
    """

    name: str
    leaf: str
    layer: int | None
    role: str
    inputs: int
    outputs: int


def plain_model(model: Any) -> Any:
    """The causal language model itself, without a PEFT wrapper around it (adapters inside it stay)."""
    return model.get_base_model() if hasattr(model, "get_base_model") else model


def layers(model: Any) -> Any:
    """The model's layers in order.

    Raises:
        ModelUnsupported: They are at no place the lab knows, and no list of modules, or more than one, may be them.
    """
    plain = plain_model(model)
    for path in _LAYER_PATHS:
        found = plain
        for part in path.split("."):
            found = getattr(found, part, None)
        if found is not None and len(found) > 0:
            return found
    return _only_list(plain)


def _only_list(plain: Any) -> Any:
    """The one outermost list of as many modules as the configuration says there are layers."""
    import torch

    count = getattr(_text_config(plain), "num_hidden_layers", None) if hasattr(plain, "config") else None
    lists = {path: module for path, module in plain.named_modules()
             if isinstance(module, torch.nn.ModuleList) and len(module) == count}
    outer = {path: module for path, module in lists.items()
             if not any(path.startswith(f"{other}.") for other in lists if other != path)}
    if len(outer) != 1:
        there = f"lists of {count} modules are {', '.join(outer) or 'none'}"
        raise ModelUnsupported(f"{type(plain).__name__}: its layers are at none of {', '.join(_LAYER_PATHS)}; {there}")
    return next(iter(outer.values()))


def attention(layer: Any) -> Any:
    """The attention module of a layer.

    Raises:
        ModelUnsupported: It has none under a name the lab knows.
    """
    return _child(layer, _ATTENTION, "attention")


def feed_forward(layer: Any) -> Any:
    """The feed-forward module of a layer.

    Raises:
        ModelUnsupported: It has none under a name the lab knows.
    """
    return _child(layer, _FEED_FORWARD, "feed-forward")


def output_projection(model: Any, layer: int) -> Any:
    """The linear module that a layer's heads go through side by side, or the adapter's module around it.

    Args:
        model: A causal language model.
        layer: Index of a layer with softmax attention.

    Raises:
        ModelUnsupported: There is none under a name that the lab knows, or its input is not heads × width of a head.
    """
    block = attention(layers(model)[layer])
    found = {path: module for path, module in block.named_modules()
             if path.rpartition(".")[2] in _PROJECTIONS and ".base_layer" not in path and "lora_" not in path}
    heads = n_heads(model)
    config = _text_config(model)
    width = heads * (getattr(config, "v_head_dim", None) or head_dim(model))
    takes = {path: getattr(module, "in_features", getattr(module, "nx", None)) for path, module in found.items()}
    fitting = [path for path, inputs_ in takes.items() if inputs_ == width]
    if len(fitting) != 1:
        there = ", ".join(f"{path} with {inputs_}" for path, inputs_ in takes.items()) or "none"
        raise ModelUnsupported(f"layer {layer}: heads of {type(block).__name__} cannot be told apart; needed is one output "
                               f"projection ({', '.join(_PROJECTIONS)}) with {width} inputs, {heads} heads side by side; "
                               f"found: {there}")
    return found[fitting[0]]


def linear_modules(model: Any) -> list[LinearModule]:
    """The linear maps inside the model in order of execution, quantised ones too, the output layer and adapters not."""
    import torch
    from transformers.pytorch_utils import Conv1D

    plain = plain_model(model)
    head = plain.get_output_embeddings()
    found = []
    for path, module in plain.named_modules():
        name, leaf = path.removesuffix(".base_layer"), path.removesuffix(".base_layer").rpartition(".")[2]
        if module is head or ".lora_" in path or not isinstance(module, torch.nn.Linear | Conv1D):
            continue
        number = _LAYER_NUMBER.search(name)
        inputs, outputs = ((module.in_features, module.out_features) if isinstance(module, torch.nn.Linear)
                           else (module.nx, module.nf))
        found.append(LinearModule(name, leaf, int(number[1]) if number else None, _role(name), inputs, outputs))
    return found


def target_names(model: Any, targets: str) -> list[str]:
    """The module names that `targets` asks for, each of which is there.

    Args:
        model: A causal language model.
        targets: `all-linear`, or names separated by commas: a last part (`q_proj`) or a longer end of the path
            (`layers.0.self_attn.q_proj`).

    Raises:
        OptionError: A name is empty, repeated or matches no linear module; the message lists those there are.
    """
    modules = linear_modules(model)
    leaves = sorted({module.leaf for module in modules})
    if targets.strip() == ALL_LINEAR:
        return leaves
    names = [name.strip() for name in targets.split(",")]
    for name in names:
        if not any(module.name == name or module.name.endswith(f".{name}") for module in modules):
            near = difflib.get_close_matches(name, leaves, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise OptionError(f"targets={targets}: this model has no linear module {name!r}{hint} "
                              f"There are: {', '.join(leaves)}; or type targets={ALL_LINEAR}")
    if len(set(names)) < len(names):
        raise OptionError(f"targets={targets}: a name is repeated")
    return sorted(names)


def n_layers(model: Any) -> int:
    """Number of layers."""
    return len(layers(model))


def n_heads(model: Any) -> int:
    """Number of query heads in each layer."""
    return _text_config(model).num_attention_heads


def n_key_value_heads(model: Any) -> int:
    """Number of key and value heads in each layer; fewer than query heads in grouped attention."""
    return getattr(_text_config(model), "num_key_value_heads", None) or n_heads(model)


def head_dim(model: Any) -> int:
    """Width of one head."""
    return getattr(_text_config(model), "head_dim", None) or width(model) // n_heads(model)


def width(model: Any) -> int:
    """Width of the residual stream."""
    return _text_config(model).hidden_size


def _text_config(model: Any) -> Any:
    return plain_model(model).config.get_text_config(decoder=True)


def _child(layer: Any, names: tuple[str, ...], what: str) -> Any:
    for name in names:
        if hasattr(layer, name):
            return getattr(layer, name)
    raise ModelUnsupported(f"{type(layer).__name__} has no {what} module under {', '.join(names)}")


def _role(name: str) -> str:
    parts = name.split(".")
    if any(part in _ATTENTION for part in parts):
        return "attention"
    return "feed_forward" if any(part in _FEED_FORWARD for part in parts) else "other"
