"""Adapters from the null: updates of the same size in every direction, pointing nowhere in particular.

Per module the whole update `scaling · B @ A` keeps its singular values; its left and right singular vectors are
replaced by Haar-random ones. What such adapters change shows what an update of this size does whatever it has learned.
"""

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from lab.adapters.spectra import spectra
from lab.errors import ModelUnsupported


@torch.no_grad()
def add_slots(model: Any, like: str, slots: Sequence[str]) -> None:
    """Adds adapters that change nothing yet: copies of a given one with B zero, frozen and in evaluation mode.

    The active adapter, all weights and what is trainable stay as they are.

    Args:
        model: A PEFT model.
        like: Name of the LoRA adapter that they are copied from.
        slots: Names of the new adapters.

    Raises:
        ModelUnsupported: There is no such adapter, singular vectors do not describe all that it does, or a slot's name is
            in use.
    """
    _check(model, like)
    taken = [slot for slot in slots if slot in model.peft_config]
    if taken:
        raise ModelUnsupported(f"the model already has adapters {', '.join(taken)}; remove them or take other names")
    for slot in slots:
        model.peft_config[slot] = copy.deepcopy(model.peft_config[like])
    for layer in _layers(model, like).values():
        # not PEFT's add_adapter: it walks the whole model for each adapter, tens of seconds for 59 on six layers
        for kept in (getattr(layer, name) for name in (*layer.adapter_layer_names, *layer.other_param_names)):
            for slot in slots if like in kept else ():
                kept[slot] = copy.deepcopy(kept[like])
                if isinstance(kept[slot], torch.nn.Module):
                    kept[slot].eval().requires_grad_(False)
        for slot in slots:
            layer.lora_B[slot].weight.zero_()


@torch.no_grad()
def draw(model: Any, like: str, slot: str, seed: int, values: Mapping[str, torch.Tensor] | None = None) -> None:
    """Overwrites a slot with a fresh draw, the same for the same seed on every device.

    Gaussian frames are drawn and made orthonormal on the CPU in float32, which holds the singular values to 1e-5 relative
    where the adapter is stored in float32.

    Args:
        model: A PEFT model.
        like: The adapter whose singular values are kept.
        slot: From `add_slots`.
        seed: Of the draw; modules are drawn one after the other from one stream, in the model's order.
        values: Singular values by module, `spectra(model, like)`; computed if not given, which costs as much as a draw.

    Raises:
        ModelUnsupported: There is no such slot.
    """
    values = spectra(model, like) if values is None else values
    layers = _layers(model, slot)
    if slot == like or set(layers) != set(values):
        raise ModelUnsupported(f"adapter {slot} is no slot for draws like {like}; make one: "
                               f"lab.adapters.haar.add_slots(model, {like!r}, [a new name])")
    generator = torch.Generator("cpu").manual_seed(seed)
    for name, layer in layers.items():
        down, up = layer.lora_A[slot].weight, layer.lora_B[slot].weight
        size = values[name].float()  # fewer than R where R exceeds a width
        part = (size / abs(layer.scaling[slot])).sqrt() if layer.scaling[slot] else torch.zeros_like(size)
        right, left = (haar_frame(width, len(size), generator) for width in (down.shape[1], up.shape[0]))
        down.zero_()[:len(size)].copy_((right * part).T)
        up.zero_()[:, :len(size)].copy_(left * part)


def remove_slots(model: Any, slots: Sequence[str]) -> None:
    """Takes slots off again; the model is left as it was before `add_slots`.

    Args:
        model: A PEFT model.
        slots: Given to `add_slots`, none of them active.

    Raises:
        ModelUnsupported: One is not there, or is the active adapter, whose removal would switch on another.
    """
    for slot in slots:
        if slot not in model.peft_config:
            raise ModelUnsupported(f"the model has no adapter {slot}; it has {', '.join(model.peft_config)}")
        if slot in model.active_adapters:
            raise ModelUnsupported(f"adapter {slot} is active; switch to another first: model.set_adapter(name)")
    for slot in slots:
        model.delete_adapter(slot)


def haar_frame(width: int, count: int, generator: torch.Generator) -> torch.Tensor:
    """Returns orthonormal columns [width, count], uniform over all such frames.

    The thin QR of a Gaussian matrix, with the signs of R's diagonal moved into Q: without that QR's own convention decides
    the signs and the result is not Haar (Mezzadri, 2007, arXiv:math-ph/0609050).

    Args:
        width: Length of a column.
        count: How many, at most `width`.
        generator: On the CPU.
    """
    frame, triangle = torch.linalg.qr(torch.randn(width, count, generator=generator))
    return frame * torch.sign(torch.diagonal(triangle))


def _layers(model: Any, adapter: str) -> dict[str, Any]:
    """The LoRA layers that hold an adapter, by the names that `spectra` gives them."""
    return {name.removeprefix("base_model.model."): module for name, module in model.named_modules()
            if isinstance(getattr(module, "lora_A", None), torch.nn.ModuleDict) and adapter in module.lora_A}


def _check(model: Any, like: str) -> None:
    """Raises unless B and A of linear layers are all there is to an adapter."""
    held = getattr(model, "peft_config", {})
    if like not in held:
        raise ModelUnsupported(f"the model has no adapter {like}; it has {', '.join(held) or 'none'}")
    config = held[like]
    if str(getattr(config.peft_type, "value", config.peft_type)) != "LORA":
        raise ModelUnsupported(f"adapter {like} is of type {config.peft_type}; random directions are drawn for LoRA only")
    for field in ("modules_to_save", "trainable_token_indices", "target_parameters", "layer_replication", "lora_bias"):
        if getattr(config, field, None):
            _refuse(like, f"{field}={getattr(config, field)}")
    if config.bias != "none":
        _refuse(like, f"bias={config.bias}")
    layers = _layers(model, like)
    for name, module in model.named_modules():
        if like in getattr(module, "lora_embedding_A", {}):
            _refuse(like, f"LoRA on the embedding {name.removeprefix('base_model.model.')}")
    for name, layer in layers.items():
        if like in layer.lora_variant:
            _refuse(like, f"{type(layer.lora_variant[like]).__name__} in {name}")
        if layer.lora_A[like].weight.dim() != 2:
            _refuse(like, f"a convolution in {name}")
        if layer.merged:
            raise ModelUnsupported(f"adapter {like} is merged into the weights of {name}; unmerge it: "
                                   "model.unmerge_adapter()")


def _refuse(like: str, what: str) -> None:
    raise ModelUnsupported(f"adapter {like} has {what}, which is no product B @ A of a linear layer and has no random "
                           "counterpart; train a plain LoRA adapter (no bias, no saved modules, no variant) to compare")
