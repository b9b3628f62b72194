"""The layer from which on something holds: the answer wins in the lens, or a probe reads it."""

import numpy as np


def lasting(holds: np.ndarray) -> np.ndarray:
    """Returns the first layer from which on it holds to the last one [N], nan where it does not hold at the last.

    Where a layer knows nothing, half of all prompts have an answer ahead of its foil by luck, and neighbouring layers, being
    alike, are lucky together, so that "ahead of the foil" begins too early. Ask of each prompt what luck hardly reaches (the
    answer ahead of all tokens), or of all prompts together whether a share of them does.

    Args:
        holds: [N, L] of bool, of prompts or of whatever else has layers.
    """
    layers = holds.shape[1]
    broken = (~holds)[:, ::-1]
    since = np.where(broken.any(1), layers - broken.argmax(1), 0)
    return np.where(holds[:, -1], since, np.nan)
