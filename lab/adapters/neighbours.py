"""Beside the intruders of a tuned weight, their neighbours: directions next in strength that are no intruders.

Scaling them by the same number is the control that tells what it costs to shrink any direction of that strength
(Shuttleworth et al., 2024, arXiv:2410.21228).
"""

from dataclasses import dataclass

import numpy as np
import torch

from lab.adapters.intruder_scaling import tuned_directions
from lab.adapters.intruders import top_directions
from lab.adapters.update import Update
from lab.adapters.weights import Decomposed, seen


@dataclass(frozen=True)
class Paired:
    """Intruders of one tuned weight and as many of their neighbours, each as Σ σ u vᵀ of W + Δ.

    Attributes:
        intruders: The intruders, strongest first.
        neighbours: Of the same number of directions.
    """

    intruders: Update
    neighbours: Update


def choose(cosine: np.ndarray, *, k: int, threshold: float, most: int | None = None) -> tuple[list[int], list[int]]:
    """Returns the places of the strongest intruders among the first k directions, and of a neighbour for each.

    A neighbour is the next weaker direction that is neither an intruder nor taken; where all weaker ones are, the next
    stronger. An intruder without a neighbour is left out, so that both have the same number.

    Args:
        cosine: [n], n at least k, the largest absolute cosine of each direction with any of the base's, strongest first.
        k: Directions among which intruders are looked for.
        threshold: Cosine below which a direction is an intruder.
        most: Intruders at most; none for all.
    """
    own = np.flatnonzero(cosine >= threshold).tolist()
    intruders, neighbours = [], []
    for place in np.flatnonzero(cosine[:k] < threshold)[:most].tolist():
        free = [other for other in own if other not in neighbours]
        weaker = [other for other in free if other > place]
        if free:
            intruders.append(place)
            neighbours.append(weaker[0] if weaker else free[-1])
    return intruders, neighbours


def pair(weight: torch.Tensor, own: Decomposed, update: Update, *, k: int, threshold: float, most: int | None = None
         ) -> Paired | None:
    """Returns the strongest intruders of W + Δ and their neighbours, or None where there are none.

    Args:
        weight: [D_out, D_in], the base's.
        own: Its decomposition.
        update: Δ.
        k: See `choose`; neighbours are looked for among twice as many.
        threshold: See `choose`.
        most: See `choose`.
    """
    given = seen(weight, own, update)
    top = top_directions(own.values, update.values, given, min(2 * k, len(own.values)))
    intruders, neighbours = choose(top.cosine, k=k, threshold=threshold, most=most)
    if not intruders:
        return None
    return Paired(tuned_directions(weight, own, update, given, top, intruders),
                  tuned_directions(weight, own, update, given, top, neighbours))
