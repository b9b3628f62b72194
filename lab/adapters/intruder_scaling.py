"""A tuned weight with some of its strongest directions made smaller, its intruder dimensions above all."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch

from lab.adapters.intruders import Top, remainder, top_directions
from lab.adapters.update import Update, total
from lab.adapters.weights import Decomposed, Seen, seen, times, transposed_times


def scale_intruders(weight: torch.Tensor, own: Decomposed, update: Update, factor: float, *, k: int, threshold: float
                    ) -> tuple[Update, int]:
    """Returns Δ + (factor - 1) Σ σ u vᵀ over the intruders σ u vᵀ of W + Δ, and how many they are.

    Shuttleworth et al. (2024, arXiv:2410.21228) call the factor λ. It shrinks what the base has along them too.

    Args:
        weight: [D_out, D_in], the base's.
        own: Its decomposition.
        update: Δ.
        factor: 1 leaves the intruders as they are, 0 takes them out.
        k: Strongest directions of W + Δ that are looked at.
        threshold: Cosine with every direction of W below which one is an intruder.
    """
    given = seen(weight, own, update)
    top = top_directions(own.values, update.values, given, k)
    which = np.flatnonzero(top.cosine < threshold)
    if not len(which):
        return update, 0
    return with_scaled(update, tuned_directions(weight, own, update, given, top, which), factor), len(which)


def tuned_directions(weight: torch.Tensor, own: Decomposed, update: Update, given: Seen, top: Top,
                     which: Sequence[int] | np.ndarray) -> Update:
    """Returns Σ σ u vᵀ over some of the strongest directions of W + Δ.

    Args:
        weight: [D_out, D_in], the base's.
        own: Its decomposition.
        update: Δ.
        given: Δ's directions as `lab.adapters.weights.seen` gives them.
        top: The strongest directions of W + Δ.
        which: Places among those, at least one, the strongest being 0.
    """
    chosen = np.sort(np.asarray(which))  # their sizes then fall, as an update's do
    left = _left_vectors(weight, own, update, given, torch.from_numpy(top.own[:, chosen]).to(own.values),
                         torch.from_numpy(top.beside[:, chosen]).to(own.values))
    reached = transposed_times(weight, left) + update.right @ (update.values[:, None] * (update.left.T @ left))  # σ v
    values = reached.norm(dim=0)
    return Update(left, values, reached / values)


def with_scaled(update: Update, directions: Update, factor: float) -> Update:
    """Returns the update after which directions of the tuned weight are `factor` times as strong.

    Args:
        update: Δ.
        directions: Σ σ u vᵀ of W + Δ, from `tuned_directions`.
        factor: 1 changes nothing, 0 takes them out of W + Δ.
    """
    return total(update, replace(directions, left=directions.left * (factor - 1)))


def _left_vectors(weight: torch.Tensor, own: Decomposed, update: Update, given: Seen, along: torch.Tensor,
                  beside: torch.Tensor) -> torch.Tensor:
    """[D_out, N] from coordinates in U and in P beside U, which is (P - U E) R⁻¹ with E = Uᵀ P and Rᵀ R = I - Eᵀ E."""
    root = torch.from_numpy(remainder(given.left.cpu().numpy())).to(own.values)
    mixed = torch.linalg.pinv(root, rtol=1e-6, hermitian=True) @ beside
    inside = along - given.left @ mixed
    in_base = own.vectors @ inside if own.left else times(weight, own.vectors @ (inside / own.values[:, None]))
    return in_base + update.left @ mixed
