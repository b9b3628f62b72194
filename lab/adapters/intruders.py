"""Intruder dimensions: strong directions of a tuned weight that no single direction of the base weight resembles.

A left singular vector among the k strongest of W + Δ is an intruder if its cosine with every left singular vector of W lies
below a threshold (Shuttleworth et al., 2024, arXiv:2410.21228). Everything is computed in W's own directions, where W is
diagonal and Δ has few columns, so that neither W + Δ nor Δ is formed.
"""

from dataclasses import dataclass

import numpy as np
import torch

from lab.adapters.weights import Seen

TOP = 10
THRESHOLD = 0.5


@dataclass(frozen=True)
class Top:
    """The strongest directions of a tuned weight.

    Attributes:
        values: [k], singular values of W + Δ, largest first.
        cosine: [k], the largest absolute cosine of each left singular vector with any left singular vector of W.
        own: [S, k], the left singular vectors in W's left singular vectors.
        beside: [R, k], and in what is left of the update's left directions without them: P - U Uᵀ P made orthonormal.
    """

    values: np.ndarray
    cosine: np.ndarray
    own: np.ndarray
    beside: np.ndarray


def top_directions(values: torch.Tensor, update_values: torch.Tensor, given: Seen, k: int = TOP) -> Top:
    """Returns the k strongest directions of W + Δ.

    With W = U S Vᵀ and Δ = P D Qᵀ, the matrix (W + Δ)(W + Δ)ᵀ in the directions [U, what P has beside U] is diagonal plus
    a product of 2 R columns; Lanczos finds its largest eigenvalues to machine precision.

    Args:
        values: [S], singular values of W.
        update_values: [R], singular values of Δ.
        given: Δ's directions as `lab.adapters.weights.seen` gives them.
        k: At most S.
    """
    left, right, size = (each.cpu().numpy() for each in (given.left, given.right, update_values))
    frame = np.concatenate([left, remainder(left)])                           # S+R R
    reached = np.concatenate([right, np.zeros((len(size), len(size)))])       # S+R R
    diagonal = np.concatenate([values.cpu().numpy() ** 2, np.zeros(len(size))])
    columns = np.concatenate([frame * size**2 + reached * size, frame * size], axis=1)
    rows = np.concatenate([frame, reached], axis=1)
    squares, vectors = _largest(diagonal, columns, rows, k)
    own = vectors[:len(values)]
    return Top(np.sqrt(np.maximum(squares, 0)), np.abs(own).max(0), own, vectors[len(values):])


def remainder(left: np.ndarray) -> np.ndarray:
    """Returns [R, R], a root of I - Eᵀ E: the update's left directions in what they have beside W's left vectors."""
    squares, vectors = np.linalg.eigh(np.eye(left.shape[1]) - left.T @ left)
    return (vectors * np.sqrt(np.maximum(squares, 0))) @ vectors.T


def counts(cosine: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    """Returns how many of the k strongest directions are intruders at each threshold, [..., thresholds].

    Args:
        cosine: [..., k].
        thresholds: [thresholds].
    """
    return (cosine[..., None, :] < thresholds[:, None]).sum(-1)


def energy_share(values: np.ndarray, cosine: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    """Returns the share of the squares of the k strongest singular values that intruders hold, [..., thresholds].

    Args:
        values: [..., k], singular values of W + Δ.
        cosine: [..., k].
        thresholds: [thresholds].
    """
    energy = values**2
    held = np.where(cosine[..., None, :] < thresholds[:, None], energy[..., None, :], 0.0).sum(-1)
    return held / energy.sum(-1)[..., None]


def _largest(diagonal: np.ndarray, columns: np.ndarray, rows: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The largest k eigenvalues and eigenvectors of diag(diagonal) + columns rowsᵀ, which is symmetric."""
    from scipy.sparse.linalg import LinearOperator, eigsh

    size = len(diagonal)
    if size < 4 * k + 4 or not columns.any():  # too small for Lanczos, or nothing beside the diagonal to look for
        squares, vectors = np.linalg.eigh(np.diag(diagonal) + columns @ rows.T)
        return squares[::-1][:k], vectors[:, ::-1][:, :k]
    whole = LinearOperator((size, size), matvec=lambda x: diagonal * x + columns @ (rows.T @ x), dtype=np.float64)
    start = np.random.default_rng(0).standard_normal(size)  # a start of its own would differ from call to call
    squares, vectors = eigsh(whole, k=k, which="LA", tol=0, v0=start)
    order = np.argsort(-squares)
    return squares[order], vectors[:, order]
