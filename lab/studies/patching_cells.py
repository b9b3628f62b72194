"""Which places are patched, all in one list, and what that did in both directions; P prompts, C sets of places."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from lab.errors import ModelUnsupported, OptionError
from lab.models import anatomy
from lab.probing.decomposition import Decomposition
from lab.probing.patching import check_places
from lab.probing.patching_effects import SUFFICIENCY, Cell, Contrast, Measured, measure
from lab.probing.patching_points import HEAD
from lab.probing.sites import DELTA_ATTN, DELTA_FFN, PRE_ATTN, check_layers

BLOCKS = (DELTA_ATTN, DELTA_FFN)
_ROUNDINGS = 1000  # of a logit, within which everything patched has to give the other reading


@dataclass(frozen=True)
class Plan:
    """Sets of places that are patched.

    Attributes:
        layers: Indices.
        heads: Indices.
        places: Site × layer × role, one by one.
        joined: What blocks add in all layers together, block × role.
        by_head: Layer × head, at all tokens.
        everything: All that is added, and what it is added to.
    """

    layers: tuple[int, ...]
    heads: tuple[int, ...]
    places: list[Cell]
    joined: list[list[Cell]]
    by_head: list[Cell]
    everything: list[Cell]

    @property
    def sets(self) -> list[list[Cell]]:
        """All of them, in the order of the attributes."""
        return [*([cell] for cell in self.places), *self.joined, *([cell] for cell in self.by_head), self.everything]


@dataclass(frozen=True)
class Effects:
    """What patching did, by direction.

    Attributes:
        measured: Of every set of the plan.
        total: [P] nats, what patching everything does: the logit difference of the sources minus that of the destinations.
    """

    measured: dict[str, Measured]
    total: np.ndarray

    def of(self, plan: Plan, name: str) -> dict[str, Measured]:
        """Returns the part of the plan that is called `places`, `joined` or `by_head`, by direction."""
        sizes = {"places": len(plan.places), "joined": len(plan.joined), "by_head": len(plan.by_head)}
        start = sum(size for each, size in sizes.items() if list(sizes).index(each) < list(sizes).index(name))
        at = slice(start, start + sizes[name])
        return {direction: Measured(one.clean, one.effect[:, at], one.null[..., at])
                for direction, one in self.measured.items()}


def plan(config: Any, model: Any, decomposition: Decomposition, roles: Sequence[str]) -> Plan:
    """Returns what a study patches.

    Args:
        config: Of the study.
        model: Base or PEFT model.
        decomposition: Of it.
        roles: Of the contrasts.

    Raises:
        OptionError: There is no such layer or head.
        ModelUnsupported: A layer has no such site, or its heads cannot be told apart.
    """
    every = len(decomposition.layers)
    layers = check_layers(config.layers, every)
    count = anatomy.n_heads(model)
    heads = tuple(range(count)) if config.heads is None else config.heads
    if wrong := [head for head in heads if head >= count]:
        raise OptionError(f"heads={','.join(map(str, heads))}: there is no head {wrong[0]}; this model has heads 0 to "
                          f"{count - 1}")
    places = [Cell(site, (layer,), role) for site in config.sites for layer in layers for role in roles]
    added = {site: tuple(layer for layer, parts in enumerate(decomposition.layers)
                         if (parts.attention if site == DELTA_ATTN else parts.feed_forward)) for site in BLOCKS}
    joined = [[Cell(site, tuple(layer for layer in added[site] if layer in layers), role)]
              for site in BLOCKS for role in roles]
    by_head = [Cell(HEAD, (layer,), None, head) for layer in layers if layer in added[DELTA_ATTN] for head in heads]
    everything = [Cell(PRE_ATTN, (0,)), *(Cell(site, added[site]) for site in BLOCKS)]
    found = Plan(layers, heads, places, joined, by_head, everything)
    check_places(model, decomposition, {place for cells in found.sets for cell in cells
                                        for place in Cell(cell.site, cell.layers, None, cell.head).places({})}, 1)
    return found


def effects(config: Any, model: Any, decomposition: Decomposition, contrasts: Sequence[Contrast], given: Plan) -> Effects:
    """Returns what every set of places does, in every direction asked for.

    Args:
        config: Of the study.
        model: That reads the contrasts.
        decomposition: Of it or its base.
        contrasts: P of them.
        given: What is patched.

    Raises:
        ModelUnsupported: Everything patched does not give the other reading, so that no place can be trusted.
    """
    found = {direction: measure(model, decomposition, contrasts, given.sets, direction, null=config.unrelated)
             for direction in config.directions}
    clean = {direction: measure(model, decomposition, contrasts, [], direction).clean
             for direction in ("sufficiency", "necessity")}
    total = clean["necessity"] - clean[SUFFICIENCY]
    scale = max(1.0, float(np.abs(list(clean.values())).max()))
    # not any weight's: quantised ones are integers
    bound = _ROUNDINGS * torch.finfo(anatomy.plain_model(model).get_input_embeddings().weight.dtype).eps * scale
    for direction, one in found.items():
        wrong = float(np.abs(one.effect[:, -1] - total).max())
        if not wrong <= bound:
            raise ModelUnsupported(f"{direction}: with all that the layers add patched, the logit difference is {wrong:.2g} "
                                   "nats from that of the source, so the two models differ in more than their layers (as in "
                                   "the unembedding), or this model cannot be patched")
    return Effects(found, total)


def error(found: Effects) -> float:
    """Returns how far everything patched is from the other reading, nats, at most."""
    return max(float(np.abs(one.effect[:, -1] - found.total).max()) for one in found.measured.values())
