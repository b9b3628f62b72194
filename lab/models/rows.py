"""Adapters switched per row of a batch: base and tuned models on the same input in one forward pass."""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from lab.errors import ModelUnsupported

BASE = "__base__"  # PEFT's name for a row without any adapter
_MIXED = ("tokens of different rows are mixed there (as experts do), so adapters cannot be switched per row. Train with "
          "targets that leave the experts out, such as q_proj,k_proj,v_proj,o_proj")


class Rows:
    """Which adapter each row of the running batch goes through; may be changed between layers.

    Attributes:
        names: [B], names of adapters, or `BASE`.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self.names = list(names)

    def __call__(self, module: Any, args: tuple, kwargs: dict) -> tuple[tuple, dict]:
        """Tells a LoRA layer the adapters of its rows, as PEFT's own `adapter_names` does."""
        rows = len(args[0])
        each, rest = divmod(rows, len(self.names))
        if rest or (each > 1 and args[0].dim() > 2):
            raise ModelUnsupported(f"{type(module).__name__} gets {rows} rows of a batch of {len(self.names)}: {_MIXED}")
        names = self.names if each == 1 else [name for name in self.names for _ in range(each)]
        return args, {**kwargs, "adapter_names": names}


@contextlib.contextmanager
def adapter_rows(model: Any, names: Sequence[str]) -> Iterator[Rows]:
    """Runs forwards of a PEFT model with one adapter per row; call the model itself or the plain model inside it.

    Args:
        model: A PEFT model in evaluation mode.
        names: [B], an adapter's name or `BASE` for each row.

    Raises:
        ModelUnsupported: An adapter is not on the model, or one that is, named or not, is of a kind that PEFT cannot switch
            per row.
    """
    from peft.tuners.lora.layer import LoraLayer

    layers: dict[str, Any] = {path: module for path, module in model.named_modules() if isinstance(module, LoraLayer)}
    for path, layer in layers.items():
        if layer.merged or layer.disable_adapters:
            state, undo = ("merged", "unmerge_adapter") if layer.merged else ("disabled", "enable_adapter_layers")
            raise ModelUnsupported(f"{path}: adapters are {state}, so that rows cannot differ; call model.{undo}() first")
    for name in sorted(set(names) - {BASE}):
        _check(layers, name)
    for name, config in model.peft_config.items():  # also those that no row is to go through: an active one reaches all rows
        _check_nothing_besides(name, config)
    rows = Rows(names)
    handles = [layer.register_forward_pre_hook(rows, with_kwargs=True) for layer in layers.values()]
    try:
        yield rows
    finally:
        for handle in handles:
            handle.remove()


def _check(layers: Mapping[str, Any], name: str) -> None:
    """Raises ModelUnsupported if rows of this adapter would not go through it, and through nothing else of it."""
    from peft.tuners.lora.layer import ParamWrapper

    adapted = {path: layer for path, layer in layers.items() if name in {*layer.lora_A, *layer.lora_embedding_A}}
    if not adapted:
        there = {other for layer in layers.values() for other in (*layer.lora_A, *layer.lora_embedding_A)}
        raise ModelUnsupported(f"adapter {name} is not on this model, or adapts no linear layer of it; there are "
                               f"{', '.join(sorted(there)) or 'none'}")
    for path, layer in adapted.items():
        if isinstance(layer, ParamWrapper) or "experts" in path.split("."):
            raise ModelUnsupported(f"adapter {name} adapts {path}: {_MIXED}")
        if variant := layer.lora_variant.get(name):
            raise ModelUnsupported(f"adapter {name} is a {type(variant).__name__} and no plain LoRA, which PEFT cannot "
                                   "switch per row; compare its merged model")


def _check_nothing_besides(name: str, config: Any) -> None:
    """Raises ModelUnsupported if an adapter has more than low-rank updates; rows of the base would not be the base."""
    besides = {"modules_to_save": config.modules_to_save, "trainable_token_indices": config.trainable_token_indices,
               "bias": None if config.bias == "none" else config.bias}
    if changed := ", ".join(f"{key}={value}" for key, value in besides.items() if value):
        raise ModelUnsupported(f"adapter {name} changes more than its low-rank updates ({changed}), which PEFT does not "
                               "switch per row; compare its merged model, and other adapters on a base without it")
