"""A search for the modules of a layer whose outputs sum to what the layer adds to the residual stream."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import torch

from lab.probing.closure import Closure, closure
from lab.probing.observed import Observed

_MOST_TERMS = 4
_MOST_CANDIDATES = 24
_SNAP = 1e-3  # relative distance at which a fitted factor may be a number of the configuration; more in low precision


@dataclass(frozen=True)
class Found:
    """Modules whose outputs make up what a layer adds.

    Attributes:
        paths: Inside the layer, in order of execution.
        factors: Of each.
        closure: How well they do.
    """

    paths: tuple[str, ...]
    factors: tuple[float, ...]
    closure: Closure


def find_terms(seen: Observed, multipliers: Sequence[float]) -> Found | None:
    """Returns the fewest modules that close the sum, the outermost of those that do alike; None if none do.

    Factors come from least squares, so a multiplier need not be known by name; one that the configuration states is taken
    from there. That no element may be off by more than a few roundings of its own keeps a small part from being taken for
    rounding in low precision.

    Args:
        seen: Of the layer.
        multipliers: Exact factors to prefer.
    """
    paths = sorted(seen.outputs, key=lambda path: (path.count("."), seen.order[path]))[:_MOST_CANDIDATES]
    added = (seen.after.double() - seen.before.double()).flatten()
    if not bool(added.any()):
        return Found((), (), Closure(0.0, 0.0))
    columns = torch.stack([seen.outputs[path].double().flatten() for path in paths], 1) if paths else added[:, None] * 0
    gram, right, size = columns.T @ columns, columns.T @ added, float(added @ added)
    for count in range(1, min(_MOST_TERMS, len(paths)) + 1):
        sets = [chosen for chosen in combinations(range(len(paths)), count) if _plausible(gram, right, size, chosen)]
        closing = [found for chosen in sets if (found := _fitted(seen, [paths[i] for i in chosen], gram, right, chosen,
                                                                 multipliers)) is not None]
        if closing:
            return min(closing, key=lambda found: (sum(path.count(".") for path in found.paths),
                                                   sum(seen.order[path] for path in found.paths)))
    return None


def _plausible(gram: torch.Tensor, right: torch.Tensor, size: float, chosen: tuple[int, ...]) -> bool:
    """Whether some factors leave less than a tenth of what was added; from inner products alone, for thousands of sets."""
    picked = list(chosen)
    small, target = gram[picked][:, picked], right[picked]
    factors = torch.linalg.lstsq(small, target[:, None]).solution[:, 0]
    left = size - 2 * float(factors @ target) + float(factors @ small @ factors)
    return left <= 0.01 * size and bool((factors > 1e-3).all())


def _fitted(seen: Observed, paths: list[str], gram: torch.Tensor, right: torch.Tensor, chosen: tuple[int, ...],
            multipliers: Sequence[float]) -> Found | None:
    picked = list(chosen)
    factors = torch.linalg.lstsq(gram[picked][:, picked], right[picked][:, None]).solution[:, 0].tolist()
    near = max(_SNAP, 8 * torch.finfo(seen.after.dtype).eps)
    exact = [_snapped(factor, multipliers, near) for factor in factors]
    order = sorted(range(len(paths)), key=lambda i: seen.order[paths[i]])
    stated, fitted = (_reached(seen, [(paths[i], tried[i]) for i in order]) for tried in (exact, factors))
    better = stated if stated.closure.ratio <= 1.5 * fitted.closure.ratio + 1e-6 else fitted
    return better if better.closure.holds else None


def _reached(seen: Observed, terms: Sequence[tuple[str, float]]) -> Found:
    each = [seen.total([term]) for term in terms]
    return Found(tuple(path for path, _ in terms), tuple(factor for _, factor in terms),
                 Closure(*closure(seen.before, each, seen.after).tolist()))


def _snapped(factor: float, known: Sequence[float], near: float) -> float:
    nearest = min(known, key=lambda each: abs(each - factor))
    return nearest if abs(nearest - factor) <= near * factor else factor
