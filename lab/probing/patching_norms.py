"""How much two readings differ in what blocks add: the ranking of places that needs no patch."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch

from lab.probing.decomposition import Decomposition
from lab.probing.patching import Kept
from lab.probing.patching_effects import Cell, Contrast
from lab.probing.patching_trials import Reading
from lab.probing.sites import DELTA_ATTN


def norms(decomposition: Decomposition, contrasts: Sequence[Contrast], cells: Sequence[Cell],
          kept: Mapping[Reading, Kept]) -> tuple[np.ndarray, np.ndarray]:
    """Returns the L2 norm of source minus destination [P, C], and the same over the destination's own norm.

    Both are means over the tokens of a cell's role, nan where it has none.

    Args:
        decomposition: Of the model.
        contrasts: P of them.
        cells: C cells of one layer each, at `delta_attn` or `delta_ffn`.
        kept: From `lab.probing.patching_trials.kept_readings`, of every source and destination.
    """
    found = np.full((2, len(contrasts), len(cells)), np.nan)
    for p, contrast in enumerate(contrasts):
        for c, cell in enumerate(cells):
            for place in cell.places(contrast.roles):
                at = slice(None) if place.positions is None else list(place.positions)
                source, destination = (_added(decomposition, kept[each], place.layer, place.site)[at]
                                       for each in (contrast.source, contrast.destination))
                change, own = (source - destination).norm(dim=-1), destination.norm(dim=-1)
                found[0, p, c] = change.mean()
                found[1, p, c] = (change / own.clamp_min(1e-12)).mean()
    return found[0], found[1]


def _added(decomposition: Decomposition, kept: Kept, layer: int, site: str) -> torch.Tensor:
    """What a block adds [T, D], from what its terms returned."""
    parts = decomposition.layers[layer]
    terms = parts.attention if site == DELTA_ATTN else parts.feed_forward
    return sum((kept[layer, site, number][0].double() * term.factor for number, term in enumerate(terms)),
               torch.zeros((), dtype=torch.float64))
