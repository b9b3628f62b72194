"""What a label says of itself without the model: position, form of words and token, as features of a probe."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch

_POSITION_BINS = 16


def cue_features(columns: Mapping[str, np.ndarray], train: Sequence[int] | np.ndarray) -> torch.Tensor:
    """Returns one-hot features [1, N, D] of every column together; a value that training lacks is all zeros.

    A column of many whole numbers that is called `position` comes in up to 16 steps of equal numbers of rows, and as it is.

    Args:
        columns: Such as `position`, `template` and `token` -> [N] whole numbers.
        train: Indices of the training rows, which decide what values there are.
    """
    parts = []
    for name, values in columns.items():
        if name == "position":
            parts.append(values[:, None].astype(float))
            edges = np.unique(np.quantile(values[train], np.arange(1, _POSITION_BINS) / _POSITION_BINS))
            values = np.searchsorted(edges, values, side="right")
        parts.append((values[:, None] == np.unique(values[train])).astype(float))
    return torch.from_numpy(np.concatenate(parts, 1))[None]
