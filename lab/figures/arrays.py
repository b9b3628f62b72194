"""Anything array-like as a numpy array that matplotlib can draw."""

from typing import Any

import numpy as np


def as_numpy(values: Any) -> np.ndarray:
    """The values as numbers on the CPU, without a graph; bfloat16 becomes float32.

    Args:
        values: A numpy array, a number, a (nested) list, or a torch tensor, also on a GPU and requiring gradients;
            a list may hold tensors.
    """
    if hasattr(values, "detach"):
        tensor = values.detach().cpu()
        return (tensor.float() if tensor.is_floating_point() and tensor.element_size() < 4 else tensor).numpy()
    if isinstance(values, (list, tuple)) and any(hasattr(value, "detach") for value in values):
        return np.array([as_numpy(value) for value in values])
    return np.asarray(values)


def as_floats(values: Any) -> np.ndarray:
    """The values as float64, None as nan."""
    if isinstance(values, (list, tuple)):
        values = [np.nan if value is None else value for value in values]
    return as_numpy(values).astype(np.float64)
