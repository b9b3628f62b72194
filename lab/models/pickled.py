"""Tensors from PyTorch's pickle files, which may hold code: read as data only."""

import pickle
from pathlib import Path
from typing import Any

from lab.errors import ModelUnsupported


def load_tensors(file: Path) -> dict[str, Any]:
    """The tensors of a `.bin` or `.pt` file by name, mapped from disk; nothing in it is run.

    Raises:
        ModelUnsupported: The file holds something besides tensors, or is broken.
    """
    import torch

    try:
        content = torch.load(file, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError) as error:
        raise ModelUnsupported(f"{file} cannot be read as tensors only: it holds code or is broken; "
                               "give the weights as safetensors") from error
    if not isinstance(content, dict) or not all(isinstance(tensor, torch.Tensor) for tensor in content.values()):
        raise ModelUnsupported(f"{file} holds something besides named tensors; give the weights as safetensors")
    return content
