"""What updates look like that learned nothing: random directions of the same sizes, random factors of the same shapes."""

import numpy as np
import torch

from lab.adapters.haar import haar_frame
from lab.adapters.weights import Decomposed, Seen


def random_seen(own: Decomposed, count: int, generator: torch.Generator) -> Seen:
    """Returns `count` Haar-random directions on both sides as `lab.adapters.weights.seen` would give them.

    For P uniform over frames the rows of Uᵀ P are rows of such a frame, whatever U is; so they are drawn in the weight's
    own directions, at no cost that grows with the weight.

    Args:
        own: The weight's decomposition.
        count: How many directions, at most the smaller side.
        generator: On the CPU.
    """
    values = own.values.cpu()
    left, right = (haar_frame(width, count, generator, torch.float64)[:len(values)] for width in own.shape)
    return Seen(left, values[:, None] * right)


def product_values(out: int, into: int, rank: int, generator: torch.Generator) -> torch.Tensor:
    """Returns the singular values of a product of Gaussian factors [out, rank] and [rank, into], up to a scale.

    Only their triangular factors are drawn, whose distribution is known (Bartlett, 1933).

    Args:
        out: Rows of the product.
        into: Its columns.
        rank: Of the factors.
        generator: On the CPU.
    """
    up, down = (_triangle(width, rank, generator) for width in (out, into))
    return torch.linalg.svdvals(up @ down.T)


def gaussian_values(out: int, into: int, generator: torch.Generator) -> torch.Tensor:
    """Returns the singular values of a Gaussian matrix [out, into], without making it.

    They are those of a bidiagonal matrix of chi-distributed numbers (Dumitriu and Edelman, 2002).

    Args:
        out: Rows.
        into: Columns.
        generator: On the CPU.
    """
    from scipy.linalg import eigvalsh_tridiagonal

    large, small = max(out, into), min(out, into)
    main = _chi(np.arange(large, large - small, -1), generator)
    beside = _chi(np.arange(small - 1, 0, -1), generator)
    diagonal = main**2 + np.concatenate([[0.0], beside**2])
    squares = eigvalsh_tridiagonal(diagonal, main[:-1] * beside)
    return torch.from_numpy(np.sqrt(np.maximum(squares[::-1], 0)))


def _triangle(width: int, rank: int, generator: torch.Generator) -> torch.Tensor:
    """R of the QR decomposition of a Gaussian matrix [width, rank]."""
    rows = min(width, rank)
    triangle = torch.triu(torch.randn(rows, rank, generator=generator, dtype=torch.float64), diagonal=1)
    triangle.diagonal().copy_(torch.from_numpy(_chi(np.arange(width, width - rows, -1), generator)))
    return triangle


def _chi(degrees: np.ndarray, generator: torch.Generator) -> np.ndarray:
    shape = torch.from_numpy(degrees / 2.0)
    return (2 * torch._standard_gamma(shape, generator=generator)).sqrt().numpy()
