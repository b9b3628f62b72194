"""How alike a token's residuals are at different layers, and how alike different tokens' are at one layer."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from lab.errors import OptionError
from lab.probing.capture import capture
from lab.probing.decomposition import Decomposition
from lab.probing.sites import POST_FFN, PRE_ATTN


@dataclass(frozen=True)
class Similarity:
    """Mean cosines of each prompt over its real positions but the first, which is a sink in many models.

    States are what layer 0 receives and what every layer gives, L + 1 of them. A direction that all tokens share makes every
    cosine high, whatever the tokens; with the mean taken off, what is left tells tokens apart. The mean is over all counted
    tokens of a group, so that it does not depend on how long one prompt is.

    Attributes:
        layers: [B, L + 1, L + 1], of one token between two states.
        layers_centred: The same with each state's mean over tokens taken off.
        tokens: [B, L + 1], of two different tokens of the prompt in one state (anisotropy: Ethayarajh, 2019); nan where only
            one is counted.
        tokens_centred: The same with the mean taken off.
    """

    layers: np.ndarray
    layers_centred: np.ndarray
    tokens: np.ndarray
    tokens_centred: np.ndarray


def similarity(model: Any, given: Mapping[str, torch.Tensor], decomposition: Decomposition, *,
               groups: torch.Tensor | None = None) -> Similarity:
    """Returns cosines between layers and between tokens of one batch; memory O(B · L · T · D).

    Args:
        model: A causal language model in evaluation mode; inside `lab.models.rows.adapter_rows` each row is its adapter's.
        given: From `lab.models.batch.inputs`.
        decomposition: Of this model or its base.
        groups: [B], which rows share a mean, by any numbers: rows of one model. None for one group.

    Raises:
        OptionError: A prompt has only one token, or groups are not one for each row.
    """
    ids = given["input_ids"]
    if groups is not None and groups.shape != ids.shape[:1]:
        raise OptionError(f"groups of shape {tuple(groups.shape)}: needed is one for each of {len(ids)} rows")
    counted = _counted(given)
    kept = capture(model, given, decomposition, sites=(PRE_ATTN, POST_FFN)).values
    states = [_wide(kept[PRE_ATTN][0]), *(_wide(state) for state in kept[POST_FFN].values())]
    group = torch.zeros(len(ids), dtype=torch.long) if groups is None else groups
    plain = [_directions(state, counted) for state in states]
    centred = [_directions(_centred(state, counted, group), counted) for state in states]
    return Similarity(_between_layers(plain, counted), _between_layers(centred, counted), _between_tokens(plain, counted),
                      _between_tokens(centred, counted))


def _counted(given: Mapping[str, torch.Tensor]) -> torch.Tensor:
    ids = given["input_ids"]
    real = given["attention_mask"].bool() if "attention_mask" in given else torch.ones_like(ids, dtype=torch.bool)
    later = real & (real.cumsum(1) > 1)
    if not bool(later.any(1).all()):
        raise OptionError(f"prompt {int((~later.any(1)).nonzero()[0])} has one token; the first is left out, so every "
                          "prompt needs two at least")
    return later


def _wide(state: torch.Tensor) -> torch.Tensor:
    return state if state.dtype == torch.float64 else state.float()


def _centred(state: torch.Tensor, counted: torch.Tensor, groups: torch.Tensor) -> torch.Tensor:
    """States [B, T, D] less the mean over counted tokens of their group."""
    found = state.clone()
    for group in groups.unique():
        rows = (groups == group).to(state.device)
        found[rows] -= state[rows][counted[rows]].mean(0)
    return found


def _directions(state: torch.Tensor, counted: torch.Tensor) -> torch.Tensor:
    """Unit vectors [B, T, D], zeros where not counted."""
    return torch.where(counted[..., None], torch.nn.functional.normalize(state, dim=-1), 0)


def _between_layers(units: list[torch.Tensor], counted: torch.Tensor) -> np.ndarray:
    count = counted.sum(1)[:, None, None]
    every = torch.stack(units, 1).flatten(2)  # [B, L + 1, T · D]: products of all tokens at once
    return (every @ every.transpose(1, 2) / count).double().cpu().numpy()


def _between_tokens(units: list[torch.Tensor], counted: torch.Tensor) -> np.ndarray:
    """Mean over pairs of different tokens from the length of the sum: |Σ u|² has each pair twice and each token once."""
    count = counted.sum(1).double()
    found = [((each.sum(1).double().square().sum(-1) - each.double().square().sum((1, 2))) / (count * (count - 1)))
             for each in units]
    return torch.stack(found, 1).cpu().numpy()
