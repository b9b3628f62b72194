"""Places named by patching against places ranked by norm: named on one half of the prompts, patched on the other."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lab.probing.decomposition import Decomposition
from lab.probing.patching_effects import Cell, Contrast, measure
from lab.probing.patching_norms import norms
from lab.probing.patching_trials import kept_readings
from lab.studies.patching_cells import BLOCKS, Effects, Plan

PATCHING, NORM, RELATIVE, RANDOM = "patching", "norm", "relative norm", "chance"
METHODS = (PATCHING, NORM, RELATIVE, RANDOM)
ORDERS = 5  # random ones


@dataclass(frozen=True)
class Ranking:
    """What the 1, 2, … k best places do together to prompts that had no part in naming them.

    Attributes:
        effects: Direction -> method -> [P, k] nats; of places in random order the mean over orders.
        named: Method -> half -> places, best first; the other half was patched at them.
        scores: Method -> [P, C], by which the pool was ranked on each half.
        pool: C places.
    """

    effects: dict[str, dict[str, np.ndarray]]
    named: dict[str, list[list[Cell]]]
    scores: dict[str, np.ndarray]
    pool: list[Cell]


def possible(plan: Plan, prompts: int, top: int) -> bool:
    """Whether there are places and prompts enough for a comparison."""
    return prompts >= 4 and sum(cell.site in BLOCKS for cell in plan.places) > 2 * top


def rank(config: Any, model: Any, decomposition: Decomposition, contrasts: Sequence[Contrast], plan: Plan, found: Effects
         ) -> Ranking:
    """Returns what the best places by patching, by norm and by chance do on the other half of the prompts.

    How many of the best are patched together decides how well a ranking looks: with many, every ranking has all that it
    takes. So it is measured for each number up to `config.top`.

    By patching: the mean effect over both directions, which is what the other half is asked for too. By norm: the L2 norm
    of what source and destination differ by in what the block adds, mean over the role's tokens; and the same over the
    destination's.

    Args:
        config: Of the study.
        model: That reads the contrasts.
        decomposition: Of it or its base.
        contrasts: P of them.
        plan: Of the study; the pool is what blocks add, by layer and role.
        found: Effects of the plan.
    """
    at = [index for index, cell in enumerate(plan.places) if cell.site in BLOCKS]
    pool = [plan.places[index] for index in at]
    kept = kept_readings(model, decomposition, [each for c in contrasts for each in (c.source, c.destination)],
                         sorted({(cell.layers[0], cell.site) for cell in pool}))
    own = [one.effect[:, at] for one in found.of(plan, "places").values()]
    by_norm, relative = norms(decomposition, contrasts, pool, kept)
    scores = {PATCHING: _mean(np.array(own), 0), NORM: by_norm, RELATIVE: relative}
    named: dict[str, list[list[Cell]]] = {method: [] for method in scores}
    effects = {direction: {method: np.full((len(contrasts), config.top), np.nan) for method in METHODS}
               for direction in config.directions}
    rng = np.random.default_rng(config.seed)
    for half in (0, 1):
        for method, values in scores.items():
            order = np.argsort(-np.nan_to_num(_mean(values[half::2], 0), nan=-np.inf), kind="stable")[:config.top]
            named[method].append([pool[index] for index in order])
        chance = [[pool[index] for index in rng.choice(len(pool), config.top, replace=False)] for _ in range(ORDERS)]
        orders = [*(named[method][half] for method in scores), *chance]
        sets = [order[:k] for order in orders for k in range(1, config.top + 1)]
        others = [_without_null(contrast) for contrast in contrasts[1 - half::2]]
        for direction in config.directions:
            effect = np.nan_to_num(measure(model, decomposition, others, sets, direction).effect)  # no token: no effect
            effect = effect.reshape(len(others), len(orders), config.top)
            for number, method in enumerate(scores):
                effects[direction][method][1 - half::2] = effect[:, number]
            effects[direction][RANDOM][1 - half::2] = effect[:, len(scores):].mean(1)
    return Ranking(effects, named, scores, pool)


def rows(ranking: Ranking) -> list[dict[str, Any]]:
    """Returns the named places of each half, for a table."""
    return [{"named by": method, "half": half + 1, "rank": place, **described(cell)}
            for method, halves in ranking.named.items() for half, cells in enumerate(halves)
            for place, cell in enumerate(cells, start=1)]


def described(cell: Cell) -> Mapping[str, Any]:
    """Returns site, layer and tokens of a place of one layer."""
    return {"site": cell.site, "layer": cell.layers[0], "tokens": cell.role}


def _without_null(contrast: Contrast) -> Contrast:
    return Contrast(contrast.source, contrast.destination, contrast.ids, contrast.roles)


def _mean(values: np.ndarray, axis: int) -> np.ndarray:
    """Mean of what is defined; nan where nothing is."""
    defined = np.isfinite(values)
    with np.errstate(invalid="ignore"):
        return np.where(defined, values, 0).sum(axis) / defined.sum(axis)
