"""Which attention function a model calls: another one for a while, and afterwards what it was in every part."""

import contextlib
from collections.abc import Iterator
from typing import Any


@contextlib.contextmanager
def attending_by(plain: Any, name: str) -> Iterator[None]:
    """Every part of a model calls the attention function of this name, and makes the masks registered for it.

    Transformers' own `set_attn_implementation` does nothing, silently, in a model that chooses among functions by itself
    (Falcon at 5.17), which then gets the mask of one function and computes by another.

    Args:
        plain: A causal language model.
        name: As in Transformers' `attn_implementation`.
    """
    from transformers import PreTrainedConfig

    parts = (getattr(module, "config", None) for module in plain.modules())
    configs = {id(config): config for config in parts if isinstance(config, PreTrainedConfig)}.values()
    before = [config._attn_implementation for config in configs]
    try:
        for config in configs:
            config._attn_implementation_internal = name  # the setter without this ending also changes parts of a config
        yield
    finally:
        for config, implementation in zip(configs, before, strict=True):
            config._attn_implementation_internal = implementation
