"""One layer of a model that is no longer in memory: its attention on a batch, as a file."""

import json
from pathlib import Path

import torch

from lab.attention.heads import Heads
from lab.attention.routing import Pattern
from lab.attention.weights import Weights
from lab.errors import ModelUnsupported


def write(folder: Path, layer: int, pattern: Pattern, output: torch.Tensor, entering: torch.Tensor) -> None:
    """Keeps a layer in `folder`, shapes and number formats as they are.

    Args:
        folder: Where to.
        layer: Its index.
        pattern: Of the layer.
        output: [B, Q, H, dv], of its heads.
        entering: [B, T, D], the residual stream before it.
    """
    tensors = {"output": output, "entering": entering}
    if isinstance(pattern, Weights):
        tensors["weights"] = pattern.weights
    else:
        tensors |= {"queries": pattern.queries, "keys": pattern.keys}
        if pattern.sink is not None:
            tensors["sink"] = pattern.sink
    save(_file(folder, layer), tensors, {name: json.dumps(value) for name, value in _numbers(pattern).items()})


def save(file: Path, tensors: dict[str, torch.Tensor], about: dict[str, str] | None = None) -> None:
    """Writes tensors, wherever and however they lie in memory.

    Args:
        file: Where to.
        tensors: By name.
        about: Kept in the file beside them.
    """
    from safetensors.torch import save_file

    # cloned, because parts of one tensor, such as the queries and keys of a fused projection, are refused otherwise
    save_file({name: each.detach().cpu().clone(memory_format=torch.contiguous_format) for name, each in tensors.items()},
              file, metadata=about)


def read(folder: Path, layer: int, second: Pattern) -> tuple[Pattern, torch.Tensor]:
    """The layer's attention and its heads' output [B, Q, H, dv].

    Args:
        folder: Where it was written.
        layer: Its index.
        second: The same layer of another model on the same tokens, which lends its mask and scale.

    Raises:
        ModelUnsupported: The two layers have different windows, scales or soft-caps.
    """
    held, about = _load(folder, layer, second.like.device, "queries", "keys", "sink", "weights", "output")
    for name, value in _numbers(second).items():
        if value != about[name]:
            raise ModelUnsupported(f"layer {layer}: {name} {about[name]} in the recorded model, {value} in this one; only "
                                   "models whose attention follows the same rule can be compared")
    if "weights" in held:
        return Weights(held["weights"], second.visibility), held["output"]
    assert isinstance(second, Heads)
    return Heads(held["queries"], held["keys"], held["keys"][..., :0], second.scale, second.visibility, second.softcap,
                 held.get("sink")), held["output"]


def read_entering(folder: Path, layer: int, device: torch.device) -> torch.Tensor:
    """The residual stream before the layer: [B, T, D].

    Args:
        folder: Where it was written.
        layer: Its index.
        device: Where to.
    """
    return _load(folder, layer, device, "entering")[0]["entering"]


def _numbers(pattern: Pattern) -> dict[str, float | None]:
    if isinstance(pattern, Weights):
        return {}
    return {"window": pattern.visibility.window, "scale": pattern.scale, "softcap": pattern.softcap}


def _load(folder: Path, layer: int, device: torch.device, *names: str) -> tuple[dict[str, torch.Tensor], dict]:
    """Those of the named tensors that the file holds, and what it says besides."""
    from safetensors import safe_open

    with safe_open(_file(folder, layer), "pt", device=str(device)) as opened:
        there = set(opened.keys())
        about = {name: json.loads(value) for name, value in opened.metadata().items()}
        return {name: opened.get_tensor(name) for name in names if name in there}, about


def _file(folder: Path, layer: int) -> Path:
    return folder / f"layer.{layer}.safetensors"
