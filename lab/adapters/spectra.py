"""Singular values of a LoRA update, from its factors."""

from typing import Any

import numpy as np
import torch


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


def as_grid(found: dict[str, torch.Tensor]) -> tuple[np.ndarray, list[str]]:
    """Returns spectra as one array [L, modules, R], NaN where a layer lacks a module, and the module names.

    Args:
        found: Singular values by full module name, as `spectra` returns them.
    """
    places = {name: _layer_and_role(name) for name in found}
    roles = list(dict.fromkeys(role for _, role in places.values()))
    layers = 1 + max(layer for layer, _ in places.values())
    rank = max(len(values) for values in found.values())
    grid = np.full((layers, len(roles), rank), np.nan)
    for name, values in found.items():
        layer, role = places[name]
        grid[layer, roles.index(role), :len(values)] = values.numpy()
    return grid, roles


def _layer_and_role(name: str) -> tuple[int, str]:
    parts = name.split(".")
    layer = next((int(part) for part in parts if part.isdigit()), 0)
    return layer, parts[-1]
