"""How far the strongest directions of two updates lie in the same subspace (Hu et al., 2021, LoRA, Section 7.2)."""

import torch

from lab.adapters.haar import haar_frame


def overlap(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    """Returns φ(i, j) = ‖U_iᵀ V_j‖² / min(i, j) of the first i and j directions, between 0 and 1, [R, R'].

    Args:
        one: [D, R], orthonormal columns, strongest first.
        other: [D, R'].
    """
    shared = (one.T @ other).square().cumsum(0).cumsum(1)
    return shared / _smaller(*shared.shape)


def expected(rows: int, columns: int, width: int) -> torch.Tensor:
    """Returns the mean of φ over random subspaces, max(i, j) / D, [rows, columns].

    Args:
        rows: Directions of the one.
        columns: Directions of the other.
        width: D.
    """
    larger = torch.maximum(torch.arange(1, rows + 1)[:, None], torch.arange(1, columns + 1))
    return larger.double() / width


def random_overlap(width: int, rows: int, columns: int, generator: torch.Generator) -> torch.Tensor:
    """Returns φ of two random subspaces; of two only the angle counts, so one of them stays where it is.

    Args:
        width: D.
        rows: Directions of the one.
        columns: Directions of the other.
        generator: On the CPU.
    """
    return overlap(haar_frame(width, rows, generator, torch.float64), torch.eye(width, columns, dtype=torch.float64))


def _smaller(rows: int, columns: int) -> torch.Tensor:
    return torch.minimum(torch.arange(1, rows + 1)[:, None], torch.arange(1, columns + 1)).double()
