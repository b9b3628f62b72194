"""The shape of one module's update: how many directions, how large, along what of the weight, and what chance would give."""

from dataclasses import dataclass

import numpy as np
import torch

from lab.adapters.intruders import top_directions
from lab.adapters.null_updates import gaussian_values, product_values, random_seen
from lab.adapters.spectra import effective_rank, rank_at_energy, stable_rank
from lab.adapters.update import Update
from lab.adapters.weights import Decomposed, Seen, seen

SPECTRAL = ("effective_rank", "stable_rank", "rank_90")


@dataclass(frozen=True)
class Geometry:
    """What is measured of the update Δ of one weight W, beside draws N from the null.

    Attributes:
        shape: (D_out, D_in).
        rank: Of LoRA's factors; for a dense difference the smaller side.
        singular_values: [rank] of Δ, largest first.
        spectral: `effective_rank`, `stable_rank` and `rank_90`, of Δ.
        null_spectral: The same of random factors of that rank, or of a Gaussian matrix for a dense difference, [N] each.
        norm: ‖Δ‖ (Frobenius).
        weight_norm: ‖W‖ (Frobenius).
        weight_top: ‖W‖ (spectral), its largest singular value.
        strength: ‖Δ‖ along the directions P, Q that the following take: all of a product of factors, the k strongest of a
            dense difference, which has as many as the weight.
        leading: ‖Uᵀ W V‖ for W's own first directions, as many.
        along: ‖Pᵀ W Q‖; nan if Δ is zero.
        null_along: [N], the same for random directions.
        top_values: [k], strongest singular values of W + Δ.
        cosine: [k], largest absolute cosine of each one's left vector with any of W's.
        null_top_values: [N, k], with Δ's singular values in random directions.
        null_cosine: [N, k], likewise.
    """

    shape: tuple[int, int]
    rank: int
    singular_values: np.ndarray
    spectral: dict[str, float]
    null_spectral: dict[str, np.ndarray]
    norm: float
    weight_norm: float
    weight_top: float
    strength: float
    leading: float
    along: float
    null_along: np.ndarray
    top_values: np.ndarray
    cosine: np.ndarray
    null_top_values: np.ndarray
    null_cosine: np.ndarray


def measure(weight: torch.Tensor, own: Decomposed, update: Update, *, rank: int, k: int, draws: int,
            generator: torch.Generator, dense: bool = False) -> Geometry:
    """Returns the shape of one module's update.

    Args:
        weight: [D_out, D_in], the base's.
        own: Its decomposition.
        update: Of it.
        rank: Of LoRA's factors.
        k: Strongest directions of the tuned weight among which intruders are counted.
        draws: From the null.
        generator: On the CPU.
        dense: Whether the update is a difference of two weights instead of a product of factors.
    """
    size = update.values.cpu()
    given = seen(weight, own, update)
    null = [random_seen(own, len(size), generator) for _ in range(draws)]
    tops = [top_directions(own.values, update.values, one, k) for one in (given, *null)]
    spectra = [_null_values(own.shape, rank, generator, dense) for _ in range(draws)]
    count = min(k, len(size)) if dense else len(size)
    return Geometry(
        shape=own.shape, rank=rank, singular_values=np.pad(size.numpy(), (0, max(0, min(rank, *own.shape) - len(size)))),
        spectral=_spectral(size), null_spectral={
            name: np.array([_spectral(values)[name] for values in spectra]) for name in SPECTRAL},
        norm=update.norm, weight_norm=own.norm, weight_top=float(own.values[0]) if len(own.values) else 0.0,
        strength=float(size[:count].norm()), leading=float(own.values[:count].norm()), along=along(given, count),
        null_along=np.array([along(one, count) for one in null]),
        top_values=tops[0].values, cosine=tops[0].cosine, null_top_values=np.array([one.values for one in tops[1:]]),
        null_cosine=np.array([one.cosine for one in tops[1:]]))


def along(given: Seen, count: int) -> float:
    """Returns ‖Pᵀ W Q‖, how strong the weight is along an update's own directions (LoRA, Table 7); nan if there is none.

    Args:
        given: The directions as `lab.adapters.weights.seen` gives them.
        count: How many of them, strongest first.
    """
    return float((given.left[:, :count].T @ given.right[:, :count]).norm()) if count else float("nan")


def _spectral(values: torch.Tensor) -> dict[str, float]:
    if not len(values):
        return dict.fromkeys(SPECTRAL, 0.0)
    return dict(zip(SPECTRAL, (effective_rank(values), stable_rank(values), float(rank_at_energy(values))), strict=True))


def _null_values(shape: tuple[int, int], rank: int, generator: torch.Generator, dense: bool) -> torch.Tensor:
    return gaussian_values(*shape, generator) if dense else product_values(*shape, rank, generator)
