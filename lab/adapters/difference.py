"""A fully fine-tuned model against its base: the linear weights of both, read from files one at a time."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from lab.errors import BaseMismatch, ModelUnsupported
from lab.models.anatomy import linear_modules
from lab.models.loading import read_config
from lab.models.safetensors_files import StoredTensor, read_header, weight_files


@dataclass(frozen=True)
class Pair:
    """One linear weight before and after training.

    Attributes:
        name: Of the module: `model.layers.0.self_attn.q_proj`.
        base: Where the base's weight is stored.
        tuned: Where the tuned one is stored.
        transposed: Whether both are stored [D_in, D_out].
    """

    name: str
    base: StoredTensor
    tuned: StoredTensor
    transposed: bool

    def read(self, device: str) -> tuple[torch.Tensor, torch.Tensor]:
        """Returns both weights [D_out, D_in] in float64, in which their difference is exact to what was stored."""
        base, tuned = (_read(each).to(device, torch.float64) for each in (self.base, self.tuned))
        return (base.T, tuned.T) if self.transposed else (base, tuned)

    @property
    def shape(self) -> tuple[int, int]:
        """(D_out, D_in)."""
        rows, columns = self.base.shape
        return (columns, rows) if self.transposed else (rows, columns)


def pairs(base: Path, tuned: Path) -> list[Pair]:
    """Returns the linear weights inside the layers of two model folders, in order of execution, unread.

    Args:
        base: Folder of the base.
        tuned: Folder of what it was trained to.

    Raises:
        ModelUnsupported: A folder keeps its weights as pickles, or stores none of the model's linear modules by itself.
        BaseMismatch: They have different tensors, or tensors of different shapes.
    """
    stored, trained = _stored(base), _stored(tuned)
    found = []
    for name, transposed in _linear(tuned):
        ends = [each for each in stored if f"{name}.weight" == each or f"{name}.weight".endswith(f".{each}")]
        if not ends:
            continue
        other = next((each for each in trained if each == ends[0] or each.endswith(f".{ends[0]}")
                      or ends[0].endswith(f".{each}")), None)
        if other is None or trained[other].shape != stored[ends[0]].shape:
            has = list(trained[other].shape) if other else "no such tensor"
            raise BaseMismatch(f"{tuned} does not fit {base}: {ends[0]} is {list(stored[ends[0]].shape)} in the base and "
                               f"{has} in the tuned model; name the base it was trained on: model=<Hub id or folder>")
        found.append(Pair(name, stored[ends[0]], trained[other], transposed))
    if not found:
        raise ModelUnsupported(f"{base} stores none of the linear modules of its layers under their own names; it stores "
                               f"{', '.join(list(stored)[:3])}, …. Compare an adapter instead")
    return found


def left_out(base: Path, found: Sequence[Pair]) -> list[str]:
    """Returns the names of stored weights of two axes or more that no pair holds: embeddings, fused experts.

    Args:
        base: Folder of the base.
        found: From `pairs`.
    """
    held = {pair.base.name for pair in found}
    return [tensor.name for file in weight_files(base) for tensor in read_header(file)
            if len(tensor.shape) >= 2 and tensor.name not in held]


def _linear(folder: Path) -> Iterator[tuple[str, bool]]:
    """Names of the linear modules inside layers, and whether they store their weight [D_in, D_out]."""
    from transformers.models.auto.modeling_auto import AutoModelForCausalLM
    from transformers.pytorch_utils import Conv1D

    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(read_config(folder))
    for module in linear_modules(model):
        if module.layer is not None:
            yield module.name, isinstance(model.get_submodule(module.name), Conv1D)


def _stored(folder: Path) -> dict[str, StoredTensor]:
    files = weight_files(folder)
    if files[0].suffix != ".safetensors":
        raise ModelUnsupported(f"{folder} keeps its weights as pickles ({files[0].name}), which are not read one by one; "
                               "save them again as safetensors: model.save_pretrained(folder)")
    return {tensor.name: tensor for file in files for tensor in read_header(file) if len(tensor.shape) == 2}


def _read(stored: StoredTensor) -> torch.Tensor:
    from safetensors import safe_open

    with safe_open(stored.file, framework="pt") as file:
        return file.get_tensor(stored.name)
