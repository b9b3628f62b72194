"""Singular values of a LoRA update, from its factors, and how many directions they amount to."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from lab.adapters.places import places

ENERGY = 0.9


def singular_values(down: torch.Tensor, up: torch.Tensor, scaling: float) -> torch.Tensor:
    """Returns the singular values of `scaling · up @ down`, largest first, without forming the product.

    With up = Q_u R_u and downᵀ = Q_d R_d, the product's singular values are those of the small matrix R_u R_dᵀ.

    Args:
        down: [R, D_in], LoRA's A.
        up: [D_out, R], LoRA's B.
        scaling: alpha / r, or alpha / sqrt(r) for rank-stabilised LoRA.

    Returns:
        [R], float64.
    """
    up_triangle = torch.linalg.qr(up.detach().double().cpu(), mode="r").R
    down_triangle = torch.linalg.qr(down.detach().double().cpu().T, mode="r").R
    return torch.linalg.svdvals(up_triangle @ down_triangle.T) * abs(scaling)


def effective_rank(values: torch.Tensor) -> float:
    """Returns exp of the entropy of the normalised singular values (Roy and Vetterli, 2007); 0 for a zero update."""
    total = values.sum()
    if total == 0:
        return 0.0
    share = values / total
    return float(torch.exp(torch.special.entr(share).sum()))


def stable_rank(values: torch.Tensor) -> float:
    """Returns the squared Frobenius norm over the squared spectral norm, at most the rank; 0 for a zero update.

    Args:
        values: [R], singular values.
    """
    energy = values.square()
    return float(energy.sum() / energy.max()) if energy.sum() > 0 else 0.0


def rank_at_energy(values: torch.Tensor, share: float = ENERGY) -> int:
    """Returns the fewest directions that hold a share of the squared Frobenius norm; 0 for a zero update.

    Args:
        values: [R], singular values, largest first.
        share: Of the sum of their squares.
    """
    held = values.square().cumsum(0)
    if held[-1] == 0:
        return 0
    return int((held < share * held[-1]).sum()) + 1


def spectra(model: torch.nn.Module, adapter: str = "default") -> dict[str, torch.Tensor]:
    """Returns the singular values of every LoRA update in a PEFT model, by module name.

    Args:
        model: A PEFT model with LoRA layers.
        adapter: Name of the adapter.
    """
    found = {}
    for name, module in model.named_modules():
        layer: Any = module
        if isinstance(getattr(layer, "lora_A", None), torch.nn.ModuleDict) and adapter in layer.lora_A:
            found[name.removeprefix("base_model.model.")] = singular_values(
                layer.lora_A[adapter].weight, layer.lora_B[adapter].weight, layer.scaling[adapter])
    return found


def as_grid(found: Mapping[str, Any]) -> tuple[np.ndarray, list[str]]:
    """Returns vectors by module as one array [L, modules, R], NaN where a layer lacks a module, and the modules' roles.

    Args:
        found: Vectors such as singular values, longer or shorter, by full module name.
    """
    at, roles = places(list(found))
    rank = max(len(values) for values in found.values())
    grid = np.full((1 + max(layer for layer, _ in at.values()), len(roles), rank), np.nan)
    for name, values in found.items():
        layer, role = at[name]
        grid[layer, role, :len(values)] = values
    return grid, roles
