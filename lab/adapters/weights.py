"""A weight in its own directions: its singular values and vectors, with no more than a slice of it in float64 at a time.

The vectors are those of the smaller side, eigenvectors of the Gram matrix W Wᵀ or Wᵀ W in float64. Squaring costs half the
digits, of which float64 has enough: directions down to a millionth of the largest singular value are told apart.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch

from lab.adapters.update import Update, exact, from_directions

_SLICE = 2**21  # numbers of a weight turned to float64 at once, 16 MiB
_TOLD_APART = 1e-6  # of the largest singular value


@dataclass(frozen=True)
class Decomposed:
    """The singular value decomposition of a weight on its smaller side, float64; S of its directions are told apart.

    Attributes:
        shape: (D_out, D_in).
        values: [S], singular values, largest first.
        vectors: [min(D_out, D_in), S], singular vectors of the smaller side.
        left: Whether they are the left ones (D_out is the smaller side).
    """

    shape: tuple[int, int]
    values: torch.Tensor
    vectors: torch.Tensor
    left: bool

    @property
    def norm(self) -> float:
        """The Frobenius norm of the weight."""
        return float(self.values.norm())


@dataclass(frozen=True)
class Seen:
    """An update as the weight's left singular vectors U see it.

    Attributes:
        left: [S, R], Uᵀ P of the update's left directions P.
        right: [S, R], Uᵀ W Q of its right directions Q.
    """

    left: torch.Tensor
    right: torch.Tensor


def decompose(weight: torch.Tensor) -> Decomposed:
    """Returns a weight's singular values and the singular vectors of its smaller side.

    Args:
        weight: [D_out, D_in], of any number format.
    """
    out, into = weight.shape
    side = weight if out <= into else weight.T
    gram = torch.zeros(len(side), len(side), dtype=torch.float64, device=_device(weight))
    for start, stop in _slices(side.shape[1], len(side)):
        part = exact(side[:, start:stop])
        gram.addmm_(part, part.T)
    squares, vectors = torch.linalg.eigh(gram)
    values = squares.flip(0).clamp(min=0).sqrt()
    sound = int((values > _TOLD_APART * values[:1]).sum())
    return Decomposed((out, into), values[:sound], vectors.flip(1)[:, :sound], out <= into)


def times(weight: torch.Tensor, vectors: torch.Tensor) -> torch.Tensor:
    """Returns W X in float64.

    Args:
        weight: [D_out, D_in].
        vectors: [D_in, N], float64.
    """
    return torch.cat([exact(weight[start:stop]) @ vectors for start, stop in _slices(*weight.shape)])


def transposed_times(weight: torch.Tensor, vectors: torch.Tensor) -> torch.Tensor:
    """Returns Wᵀ X in float64.

    Args:
        weight: [D_out, D_in].
        vectors: [D_out, N], float64.
    """
    found = torch.zeros(weight.shape[1], vectors.shape[1], dtype=torch.float64, device=_device(weight))
    for start, stop in _slices(*weight.shape):
        found += exact(weight[start:stop]).T @ vectors[start:stop]
    return found


def seen(weight: torch.Tensor, own: Decomposed, update: Update) -> Seen:
    """Returns an update in the weight's own left directions.

    Of a weight with more rows than columns the left vectors are W V / σ; they are used and never formed.

    Args:
        weight: [D_out, D_in].
        own: Its decomposition.
        update: Of the same shape, on the same device.
    """
    if own.left:
        return Seen(own.vectors.T @ update.left, own.vectors.T @ times(weight, update.right))
    reached = own.vectors.T @ transposed_times(weight, update.left)
    return Seen(reached / own.values[:, None], own.values[:, None] * (own.vectors.T @ update.right))


def as_update(difference: torch.Tensor) -> Update:
    """Returns a dense difference of two weights as its directions and sizes.

    Args:
        difference: [D_out, D_in].
    """
    own = decompose(difference)
    if own.left:
        return from_directions(own.vectors, own.values, transposed_times(difference, own.vectors) / own.values)
    return from_directions(times(difference, own.vectors) / own.values, own.values, own.vectors)


def _slices(rows: int, columns: int) -> Iterator[tuple[int, int]]:
    size = max(1, _SLICE // max(1, columns))
    return ((start, min(rows, start + size)) for start in range(0, rows, size))


def _device(weight: torch.Tensor) -> torch.device:
    return torch.device("cpu") if weight.device.type == "mps" else weight.device
