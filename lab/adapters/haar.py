"""Adapters from the null: updates of the same size in every direction, pointing nowhere in particular.

Per module the whole update `scaling · B @ A` keeps its singular values; its left and right singular vectors are
replaced by Haar-random ones. What such adapters change shows what an update of this size does whatever it has learned.
"""

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from lab.adapters.modules import check_plain, modules
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
    check_plain(model, like)
    taken = [slot for slot in slots if slot in model.peft_config]
    if taken:
        raise ModelUnsupported(f"the model already has adapters {', '.join(taken)}; remove them or take other names")
    for slot in slots:
        model.peft_config[slot] = copy.deepcopy(model.peft_config[like])
    for layer in modules(model, like).values():
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
    layers = modules(model, slot)
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


def haar_frame(width: int, count: int, generator: torch.Generator, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    """Returns orthonormal columns [width, count], uniform over all such frames.

    The thin QR of a Gaussian matrix, with the signs of R's diagonal moved into Q: without that QR's own convention decides
    the signs and the result is not Haar (Mezzadri, 2007, arXiv:math-ph/0609050).

    Args:
        width: Length of a column.
        count: How many, at most `width`.
        generator: On the CPU.
        dtype: Of the columns.
    """
    frame, triangle = torch.linalg.qr(torch.randn(width, count, generator=generator, dtype=dtype))
    return frame * torch.sign(torch.diagonal(triangle))
