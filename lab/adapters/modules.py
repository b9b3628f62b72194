"""The modules that a LoRA adapter changes: their weights and updates, one at a time."""

from typing import Any

import torch

from lab.adapters.update import Update, from_factors
from lab.errors import ModelUnsupported

_PREFIX = "base_model.model."


def modules(model: Any, adapter: str) -> dict[str, Any]:
    """Returns the LoRA layers that hold an adapter, by the names of the base's modules.

    Args:
        model: A PEFT model.
        adapter: Name of the adapter.
    """
    return {name.removeprefix(_PREFIX): module for name, module in model.named_modules()
            if isinstance(getattr(module, "lora_A", None), torch.nn.ModuleDict) and adapter in module.lora_A}


def update_of(layer: Any, adapter: str) -> Update:
    """Returns what an adapter adds to a module's weight [D_out, D_in].

    Args:
        layer: From `modules`.
        adapter: Name of the adapter.
    """
    return from_factors(layer.lora_A[adapter].weight, layer.lora_B[adapter].weight, layer.scaling[adapter])


def weight_of(layer: Any) -> torch.Tensor:
    """Returns a module's base weight [D_out, D_in] where it lies; a quantised one as the numbers that it stands for.

    Args:
        layer: From `modules`.
    """
    from peft.utils.integrations import dequantize_module_weight

    weight = dequantize_module_weight(layer.get_base_layer()).detach()
    return weight.T if getattr(layer, "fan_in_fan_out", False) else weight


def check_plain(model: Any, adapter: str) -> None:
    """Raises unless products B @ A of linear layers are all there is to an adapter.

    Args:
        model: A PEFT model.
        adapter: Name of the adapter.

    Raises:
        ModelUnsupported: There is no such adapter, or it does something else besides.
    """
    held = getattr(model, "peft_config", {})
    if adapter not in held:
        raise ModelUnsupported(f"the model has no adapter {adapter}; it has {', '.join(held) or 'none'}")
    config = held[adapter]
    if str(getattr(config.peft_type, "value", config.peft_type)) != "LORA":
        raise ModelUnsupported(f"adapter {adapter} is of type {config.peft_type}; only a LoRA adapter is a product B @ A")
    for field in ("modules_to_save", "trainable_token_indices", "target_parameters", "layer_replication", "lora_bias"):
        if getattr(config, field, None):
            _refuse(adapter, f"{field}={getattr(config, field)}")
    if config.bias != "none":
        _refuse(adapter, f"bias={config.bias}")
    for name, module in model.named_modules():
        if adapter in getattr(module, "lora_embedding_A", {}):
            _refuse(adapter, f"LoRA on the embedding {name.removeprefix(_PREFIX)}")
    for name, layer in modules(model, adapter).items():
        if adapter in layer.lora_variant:
            _refuse(adapter, f"{type(layer.lora_variant[adapter]).__name__} in {name}")
        if layer.lora_A[adapter].weight.dim() != 2:
            _refuse(adapter, f"a convolution in {name}")
        if layer.merged:
            raise ModelUnsupported(f"adapter {adapter} is merged into the weights of {name}; unmerge it: "
                                   "model.unmerge_adapter()")


def _refuse(adapter: str, what: str) -> None:
    raise ModelUnsupported(f"adapter {adapter} has {what}, which is no product B @ A of a linear layer and has neither "
                           "singular values nor a random counterpart; train a plain LoRA adapter (no bias, no saved "
                           "modules, no variant)")
