"""Activation patching: rows of a batch in which chosen activations are overwritten with those of other rows.

What a site carries is asked by putting there what another reading has: the same prompt through another adapter, or another
prompt of equal length (Vig et al., 2020, arXiv:2004.12265; Meng et al., 2022, arXiv:2202.05262; on how to read the
results, Heimersheim and Nanda, 2024, arXiv:2404.15255).
"""

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from lab.errors import OptionError
from lab.models import anatomy
from lab.models.batch import forward
from lab.probing.decomposition import Decomposition
from lab.probing.patching_points import HEAD, changing, check_site
from lab.probing.sites import SITES, check_layers

PATCHED = (*SITES, HEAD)

Kept = dict[tuple[int, str, int], torch.Tensor]  # by layer, site and number of the term, [B, T, …]


@dataclass(frozen=True)
class Place:
    """What is overwritten.

    Attributes:
        site: Of `PATCHED`.
        layer: Index.
        positions: Token positions; None for all.
        head: Which, at the site `head`; None elsewhere.
    """

    site: str
    layer: int
    positions: tuple[int, ...] | None = None
    head: int | None = None


@dataclass(frozen=True)
class Patch:
    """One place of one row.

    Attributes:
        row: Where it is overwritten.
        source: Row whose activations come there; it is not patched itself. From B on, a row of what was kept.
        place: What is overwritten.
        instead_of: With this row's activations, the difference of the source to it is added and nothing overwritten: the
            change of another prompt in the place of this one's own.
    """

    row: int
    source: int
    place: Place
    instead_of: int | None = None


@torch.no_grad()
def patched(model: Any, given: Mapping[str, torch.Tensor], decomposition: Decomposition, patches: Sequence[Patch], *,
            kept: Kept | None = None, keep_logits: bool = False) -> torch.Tensor:
    """Returns the logits of a forward pass in which rows are patched, [B, 1, V] of the last position or [B, T, V].

    Args:
        model: A causal language model in evaluation mode, PEFT or plain; inside `lab.models.rows.adapter_rows` each row goes
            through its own adapter.
        given: From `lab.models.batch.inputs`.
        decomposition: Of this model or its base.
        patches: In any order; one place of a row is patched once.
        kept: From `keep`, of another model or batch: its rows count on from B.
        keep_logits: Whether the logits of all positions are wanted.

    Raises:
        OptionError: There is no such site, layer, head, position or row, a source is itself patched, or a site was not kept.
        ModelUnsupported: A layer has no such site.
    """
    rows, length = given["input_ids"].shape
    more = len(next(iter(kept.values()))) if kept else 0
    check_places(model, decomposition, {patch.place for patch in patches}, length)
    _check_rows(patches, rows, more)
    _check_kept(patches, kept)
    device = given["input_ids"].device
    grouped: dict[tuple[int, str], list[Patch]] = {}
    for patch in patches:
        grouped.setdefault((patch.place.layer, patch.place.site), []).append(patch)
    with contextlib.ExitStack() as hooks:
        for at in sorted(grouped, key=lambda at: PATCHED.index(at[1])):  # the stream before what is summed from it
            swaps = [_swap(each, length, device) for each in _alike(grouped[at])]
            hooks.enter_context(changing(model, decomposition, *at, _exchange(swaps, *at, (rows, length), kept)))
        return forward(model, dict(given), keep_logits=keep_logits)


@torch.no_grad()
def keep(model: Any, given: Mapping[str, torch.Tensor], decomposition: Decomposition, sites: Sequence[tuple[int, str]]
         ) -> Kept:
    """Returns the activations [B, T, …] at sites by layer, site and term, to be patched into another forward pass.

    Args:
        model: A causal language model in evaluation mode.
        given: From `lab.models.batch.inputs`.
        decomposition: Of this model.
        sites: Layer and site of each.

    Raises:
        OptionError: There is no such site or layer.
        ModelUnsupported: A layer has no such site.
    """
    check_places(model, decomposition, {Place(site, layer, None, 0 if site == HEAD else None) for layer, site in sites},
                 given["input_ids"].shape[1])
    shape, found = given["input_ids"].shape, Kept()

    def keeping(layer: int, site: str) -> Callable[[int, torch.Tensor], torch.Tensor]:
        def take(number: int, values: torch.Tensor) -> torch.Tensor:
            found[layer, site, number] = _by_row(values, (shape[0], shape[1])).clone()
            return values
        return take

    with contextlib.ExitStack() as hooks:
        for layer, site in dict.fromkeys(sites):
            hooks.enter_context(changing(model, decomposition, layer, site, keeping(layer, site)))
        forward(model, dict(given), keep_logits=False)
    return found


def check_places(model: Any, decomposition: Decomposition, places: set[Place], length: int) -> None:
    """Raises unless a model has all these places in prompts of so many tokens.

    Args:
        model: A causal language model.
        decomposition: Of this model or its base.
        places: To be patched.
        length: T.

    Raises:
        OptionError: There is no such site, layer, head or position.
        ModelUnsupported: A layer has no such site.
    """
    for place in places:
        if place.site not in PATCHED:
            raise OptionError(f"site {place.site}: allowed are {', '.join(PATCHED)}")
        check_layers([place.layer], len(decomposition.layers))
        check_site(decomposition, place.layer, place.site)
        count = anatomy.n_heads(model)
        if (place.head is None) == (place.site == HEAD):
            raise OptionError(f"site {place.site} with head {place.head}: a head is named at the site head and "
                              "nowhere else")
        if place.head is not None and not 0 <= place.head < count:
            raise OptionError(f"head {place.head}: this model has heads 0 to {count - 1}")
        wrong = [at for at in place.positions or () if not 0 <= at < length]
        if wrong or place.positions == ():
            what = f"position {wrong[0]}" if wrong else "no position"
            raise OptionError(f"{what}: allowed are 0 to {length - 1}, at least one, or None for all")


def _check_rows(patches: Sequence[Patch], rows: int, more: int) -> None:
    destinations = {patch.row for patch in patches}
    for patch in patches:
        sources = [patch.source] if patch.instead_of is None else [patch.source, patch.instead_of]
        if not 0 <= patch.row < rows or any(not 0 <= source < rows + more for source in sources):
            raise OptionError(f"{patch}: the batch has rows 0 to {rows - 1}, and sources may be {rows} to {rows + more - 1} "
                              "of what was kept" if more else f"{patch}: the batch has rows 0 to {rows - 1}")
        if any(source in destinations for source in sources):
            raise OptionError(f"{patch}: its source is patched itself; give the source a row of its own")


def _check_kept(patches: Sequence[Patch], kept: Kept | None) -> None:
    there = {(layer, site) for layer, site, _ in kept or ()}
    for patch in patches:
        if kept is not None and (patch.place.layer, patch.place.site) not in there:
            has = ", ".join(f"{site} of layer {layer}" for layer, site in sorted(there))
            raise OptionError(f"{patch}: what was kept has only {has}; keep this site too")


def _alike(patches: Sequence[Patch]) -> list[list[Patch]]:
    """Those that overwrite, and those that add a difference."""
    overwrite = [patch for patch in patches if patch.instead_of is None]
    add = [patch for patch in patches if patch.instead_of is not None]
    return [some for some in (overwrite, add) if some]


@dataclass(frozen=True)
class _Swap:
    """Where values go and where they come from, as index tensors."""

    to: tuple[torch.Tensor, ...]
    of: tuple[torch.Tensor, ...]
    instead_of: tuple[torch.Tensor, ...] | None


def _swap(patches: Sequence[Patch], length: int, device: torch.device) -> _Swap:
    cells = [(patch, at) for patch in patches for at in (range(length) if patch.place.positions is None
                                                         else patch.place.positions)]
    if len({(patch.row, at, patch.place.head) for patch, at in cells}) < len(cells):
        raise OptionError(f"{patches[0].place.site} of layer {patches[0].place.layer}: a position of one row is patched "
                          "twice")

    def index(numbers: list[int]) -> torch.Tensor:
        return torch.tensor(numbers, device=device)

    places = [index([at for _, at in cells])]
    if patches[0].place.head is not None:
        places.append(index([patch.place.head or 0 for patch, _ in cells]))
    given = [patch.instead_of for patch, _ in cells if patch.instead_of is not None]
    return _Swap((index([patch.row for patch, _ in cells]), *places), (index([patch.source for patch, _ in cells]), *places),
                 (index(given), *places) if given else None)


def _exchange(swaps: Sequence[_Swap], layer: int, site: str, shape: tuple[int, int], kept: Kept | None
              ) -> Callable[[int, torch.Tensor], torch.Tensor]:
    def change(number: int, values: torch.Tensor) -> torch.Tensor:
        own = _by_row(values, shape)
        there = own if kept is None else torch.cat([own, kept[layer, site, number].to(own)])
        new = own.clone()
        for swap in swaps:
            new[swap.to] = (there[swap.of] if swap.instead_of is None else
                            own[swap.to] + (there[swap.of] - there[swap.instead_of]))
        return new.view(values.shape)
    return change


def _by_row(values: torch.Tensor, shape: tuple[int, int]) -> torch.Tensor:
    """The same [B, T, …], where a module flattened rows and tokens into one axis."""
    return values if values.dim() > 2 and values.shape[:2] == shape else values.unflatten(0, shape)
