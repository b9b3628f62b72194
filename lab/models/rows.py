"""Adapters switched per row of a batch: base and tuned models on the same input in one forward pass."""

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

from lab.errors import ModelUnsupported

BASE = "__base__"  # PEFT's name for a row without any adapter


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
            raise ModelUnsupported(
                f"{type(module).__name__} gets {rows} rows of a batch of {len(self.names)}: tokens of different rows are "
                "mixed there (as experts do), so adapters cannot be switched per row. Train with targets that leave the "
                "experts out, such as q_proj,k_proj,v_proj,o_proj")
        names = self.names if each == 1 else [name for name in self.names for _ in range(each)]
        return args, {**kwargs, "adapter_names": names}


@contextlib.contextmanager
def adapter_rows(model: Any, names: Sequence[str]) -> Iterator[Rows]:
    """Runs forwards of a PEFT model with one adapter per row; call the model itself or the plain model inside it.

    Args:
        model: A PEFT model in evaluation mode.
        names: [B], an adapter's name or `BASE` for each row.

    Raises:
        ModelUnsupported: An adapter is not on the model, or is of a kind that PEFT cannot switch per row.
    """
    from peft.tuners.lora.layer import LoraLayer

    layers = [module for module in model.modules() if isinstance(module, LoraLayer)]
    there = {name for layer in layers for name in layer.lora_A}
    for name in sorted(set(names) - {BASE}):
        if name not in there:
            raise ModelUnsupported(f"adapter {name} is not on this model, or adapts no linear layer of it; there are "
                                   f"{', '.join(sorted(there)) or 'none'}")
        if any(layer.use_dora.get(name) for layer in layers):
            raise ModelUnsupported(f"adapter {name} uses DoRA, which PEFT cannot switch per row; compare its merged model")
        if replaced := model.peft_config[name].modules_to_save:
            raise ModelUnsupported(f"adapter {name} also replaces whole modules ({', '.join(replaced)}), which this "
                                   "comparison does not switch per row")
    rows = Rows(names)
    handles = [layer.register_forward_pre_hook(rows, with_kwargs=True) for layer in layers]  # type: ignore[attr-defined]
    try:
        yield rows
    finally:
        for handle in handles:
            handle.remove()
