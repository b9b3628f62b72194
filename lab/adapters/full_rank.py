"""How many directions the update of a whole model has, beside a Gaussian matrix of the same shape and beside the weight."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from lab.adapters.difference import Pair
from lab.adapters.null_updates import gaussian_values
from lab.adapters.spectra import rank_at_energy, stable_rank

EXACT = ("F32", "F64")
DRAWS = 19


@dataclass(frozen=True)
class UpdateRank:
    """The directions of one matrix' update Δ; N draws of a Gaussian matrix of its shape.

    Its rank_90, the fewest directions that hold 90 % of the squared singular values, is the measure of Biderman et al.
    (2024). Since small noise anywhere fills all directions, it is read beside the Gaussian matrix and the stable rank, which
    noise cannot fill.

    Attributes:
        name: Of the module.
        shape: (D_out, D_in).
        rank_90: Of Δ; 0 where nothing changed.
        stable_rank: Of Δ, ‖Δ‖² / ‖Δ‖₂².
        weight_rank_90: Of the base's weight.
        weight_stable_rank: Of the base's weight.
        null_rank_90: [N].
        null_stable_rank: [N].
        kept_exactly: Whether the tuned weight is kept in at least float32; coarser rounding alone gives Δ a high rank.
    """

    name: str
    shape: tuple[int, int]
    rank_90: int
    stable_rank: float
    weight_rank_90: int
    weight_stable_rank: float
    null_rank_90: np.ndarray
    null_stable_rank: np.ndarray
    kept_exactly: bool

    @property
    def full(self) -> int:
        """The highest rank that the matrix can have."""
        return min(self.shape)


@torch.no_grad()
def update_ranks(pairs: Sequence[Pair], *, device: str = "cpu", draws: int = DRAWS, seed: int = 0) -> list[UpdateRank]:
    """Returns the directions of every update, one pair of weights in memory at a time.

    Args:
        pairs: From `lab.adapters.difference.pairs`.
        device: Where each pair is computed with, one that has float64.
        draws: Gaussian matrices of each shape.
        seed: Of the draws.
    """
    nulls: dict[tuple[int, int], tuple[np.ndarray, np.ndarray]] = {}
    found = []
    for pair in pairs:
        base, tuned = pair.read(device)
        update, weight = values(tuned - base), values(base)
        shape = (min(pair.shape), max(pair.shape))
        if shape not in nulls:
            nulls[shape] = _gaussian(shape, draws, seed)
        found.append(UpdateRank(pair.name, pair.shape, rank_at_energy(update), stable_rank(update), rank_at_energy(weight),
                                stable_rank(weight), *nulls[shape], kept_exactly=pair.tuned.dtype in EXACT))
    return found


def values(matrix: torch.Tensor) -> torch.Tensor:
    """Returns the singular values of a matrix, largest first, from the eigenvalues of its Gram matrix.

    Squaring loses those below 1e-8 of the largest, which hold none of the squared mass.

    Args:
        matrix: [D_out, D_in], float64.
    """
    side = matrix if len(matrix) <= matrix.shape[1] else matrix.T
    return torch.linalg.eigvalsh(side @ side.T).flip(0).clamp(min=0).sqrt().cpu()


def _gaussian(shape: tuple[int, int], draws: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """rank_90 and stable rank of Gaussian matrices, [N] each."""
    generator = torch.Generator("cpu").manual_seed(seed)
    drawn = [gaussian_values(*shape, generator) for _ in range(draws)]
    return np.array([rank_at_energy(each) for each in drawn]), np.array([stable_rank(each) for each in drawn])
