"""Which trainings have their subspaces compared, and how far these overlap, beside random ones."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from lab.adapters.modules import modules, update_of
from lab.adapters.overlap import expected, overlap, random_overlap
from lab.adapters.places import places
from lab.adapters.spectra import as_grid
from lab.adapters.update import exact
from lab.studies.attention_trained import Trained, recipe

FRAMES = {"reads": "right directions of B·A (read)", "writes": "left directions of B·A (written)",
          "A": "right directions of A", "B": "left directions of B"}
MOST = 6


@dataclass(frozen=True)
class Pair:
    """Two trainings whose directions are compared.

    Attributes:
        one: The first, of the smaller rank.
        other: The second.
        kind: `seeds` (alike in all but the seed), `ranks` (and in the rank) or `runs`.
    """

    one: Trained
    other: Trained
    kind: str

    @property
    def label(self) -> str:
        """What the two are called."""
        return f"{self.one.label} – {self.other.label}"

    @property
    def same_start(self) -> bool:
        """Whether both began with the same factors A: of one seed, and of one shape in the same modules.

        A first draw from a seed fills A of one rank differently than that of another; such two have nothing in common.
        """
        return bool(self.one.config and self.other.config) and _start(self.one) == _start(self.other)


@dataclass(frozen=True)
class Overlaps:
    """φ(i, j) of two adapters in every module that both change; R and R' directions, N draws.

    Attributes:
        pair: The two.
        values: By frame (see `FRAMES`), [L, modules, R, R'].
        expected: By frame, the mean over random subspaces, [L, modules, R, R'].
        null: By frame, [L, modules, N, R, R'] of random subspaces.
        roles: Of the modules.
    """

    pair: Pair
    values: dict[str, np.ndarray]
    expected: dict[str, np.ndarray]
    null: dict[str, np.ndarray]
    roles: list[str]


def choose(trained: Sequence[Trained]) -> list[Pair]:
    """Returns the pairs to compare: seeds of one recipe, the smallest rank above 1 with the largest, else any.

    Args:
        trained: All that were given; of each kind at most six pairs are taken.
    """
    found: dict[str, list[Pair]] = {"seeds": [], "ranks": [], "runs": []}
    for one, other in itertools.combinations(sorted(trained, key=lambda each: each.rank or 0), 2):
        alike = bool(one.config) and recipe(one) == recipe(other)
        kind = "runs" if not alike else "seeds" if one.rank == other.rank else "ranks"
        if kind != "seeds" or one.seed != other.seed:
            found[kind].append(Pair(one, other, kind))
    ranks = {one.rank or 0 for one in trained}
    ranks = ranks - {0, 1} if len(ranks - {0, 1}) > 1 else ranks  # of a single direction there is little to compare
    ends = [pair for pair in found["ranks"] if {pair.one.rank, pair.other.rank} == {min(ranks), max(ranks)}]
    apart = [pair for pair in ends if pair.one.seed != pair.other.seed] or ends  # else they also saw rows in one order
    return found["seeds"][:MOST] + apart[:MOST] + ([] if found["seeds"] or apart else found["runs"][:MOST])


def _start(one: Trained) -> tuple[Any, ...]:
    """What decides which numbers A began with."""
    kept, lora = one.capsule.manifest, one.capsule.manifest.get("lora", {})
    return one.seed, lora.get("r"), tuple(sorted(lora.get("targets") or ())), kept.get("backend"), kept.get("device")


@torch.no_grad()
def overlaps(model: Any, pair: Pair, *, draws: int, seed: int) -> Overlaps:
    """Returns how far the directions of two adapters on a model overlap.

    Args:
        model: A PEFT model.
        pair: The two.
        draws: Random subspaces.
        seed: Of the draws.
    """
    held = [modules(model, each.name) for each in (pair.one, pair.other)]
    names = [name for name in held[0] if name in held[1]]
    values: dict[str, dict[str, Any]] = {frame: {} for frame in FRAMES}
    mean: dict[str, dict[str, Any]] = {frame: {} for frame in FRAMES}
    null: dict[str, dict[str, Any]] = {frame: {} for frame in FRAMES}
    for number, name in enumerate(names):
        frames = [_frames(layers[name], each.name) for layers, each in zip(held, (pair.one, pair.other), strict=True)]
        ranks = [max(1, layers[name].r[each.name]) for layers, each in zip(held, (pair.one, pair.other), strict=True)]
        generator = torch.Generator("cpu").manual_seed(seed * 1_000_003 + number)
        for frame in FRAMES:
            one, other = (each[frame] for each in frames)
            width = one.shape[0]
            shape = min(ranks[0], width), min(ranks[1], width)
            values[frame][name] = _padded(overlap(one, other), shape)
            mean[frame][name] = expected(*shape, width).numpy()
            null[frame][name] = torch.stack([random_overlap(width, *shape, generator) for _ in range(draws)]).numpy()
    grids = [{frame: _grid(each[frame]) for frame in FRAMES} for each in (values, mean, null)]
    return Overlaps(pair, grids[0], grids[1], grids[2], places(names)[1])


def _frames(layer: Any, adapter: str) -> dict[str, torch.Tensor]:
    update = update_of(layer, adapter)
    down, up = (exact(part[adapter].weight) for part in (layer.lora_A, layer.lora_B))
    return {name: frame.cpu() for name, frame in (
        ("reads", update.right), ("writes", update.left),
        ("A", torch.linalg.svd(down.T, full_matrices=False)[0]), ("B", torch.linalg.svd(up, full_matrices=False)[0]))}


def _padded(values: torch.Tensor, shape: tuple[int, int]) -> np.ndarray:
    """With nan for directions that have no size."""
    return np.pad(values.cpu().numpy()[:shape[0], :shape[1]],
                  [(0, shape[0] - min(shape[0], values.shape[0])), (0, shape[1] - min(shape[1], values.shape[1]))],
                  constant_values=np.nan)


def _grid(each: dict[str, np.ndarray]) -> np.ndarray:
    """[L, modules, ...] of arrays by module, all cut to the smallest there is."""
    least = tuple(min(values.shape[axis] for values in each.values()) for axis in range(next(iter(each.values())).ndim))
    cut = {name: values[tuple(slice(size) for size in least)].ravel() for name, values in each.items()}
    flat = as_grid(cut)[0]
    return flat.reshape(*flat.shape[:2], *least)
