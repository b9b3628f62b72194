"""Activations of a forward pass at named sites, or what a reduction makes of them layer by layer."""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from lab.errors import ModelUnsupported, OptionError
from lab.models.batch import forward
from lab.probing.decomposition import Decomposition
from lab.probing.sites import RAW, SITES, check_layers, check_sites
from lab.probing.stream import Stream, streaming

Reduce = Callable[[int, Mapping[str, torch.Tensor]], Mapping[str, torch.Tensor]]
Take = Callable[..., "Captured"]


@dataclass(frozen=True)
class Captured:
    """What was kept of a forward pass.

    Attributes:
        values: By site and layer, [B, P, D], P the kept positions; of a reduction, whatever it returned by name and layer.
            Not to be written into: layers share tensors.
        logits: [B, T, V], or [B, 1, V] of the last position.
    """

    values: dict[str, dict[int, torch.Tensor]]
    logits: torch.Tensor

    def stack(self, name: str) -> torch.Tensor:
        """Returns one site of all captured layers, [B, L, P, D], or one reduction [B, L, …]."""
        return torch.stack(list(self.values[name].values()), 1)


def capture(model: Any, given: Mapping[str, torch.Tensor], decomposition: Decomposition, *, sites: Sequence[str] = SITES,
            layers: Sequence[int] | None = None, positions: torch.Tensor | None = None, reduce: Reduce | None = None,
            keep_logits: bool = False) -> Captured:
    """Returns activations at the asked-for sites, layers and positions of one forward pass; see `capturing` for many.

    Args:
        model: A causal language model in evaluation mode, PEFT or plain; inside `lab.models.rows.adapter_rows` each row goes
            through its own adapter.
        given: From `lab.models.batch.inputs`.
        decomposition: Of this model or its base, from `decompose`.
        sites: Of `SITES` and `RAW`.
        layers: Indices; None for all.
        positions: [B, P] or [P], token positions that are kept; None for all. On a left-padded batch they count padding.
        reduce: Called as each layer ends with its index and its activations by site, [B, P, D]; what it returns is kept in
            their stead, so that a long text costs no more than that.
        keep_logits: Whether the logits of all positions are wanted.

    Raises:
        OptionError: There is no such site, layer or position.
        ModelUnsupported: The parts of a layer do not make up its whole, or it has no module for a raw site.
    """
    with capturing(model, decomposition, sites=sites, layers=layers, reduce=reduce) as take:
        return take(given, positions, keep_logits)


@contextlib.contextmanager
def capturing(model: Any, decomposition: Decomposition, *, sites: Sequence[str] = SITES,
              layers: Sequence[int] | None = None, reduce: Reduce | None = None) -> Iterator[Take]:
    """Yields a function that captures one forward pass after another, on hooks that are put in place once.

    Args:
        model: As in `capture`.
        decomposition: Likewise.
        sites: Likewise.
        layers: Likewise.
        reduce: Likewise.

    Yields:
        Takes `given`, `positions` and `keep_logits` of `capture` and returns what it does.

    Raises:
        OptionError: There is no such site or layer.
        ModelUnsupported: As in `capture`.
    """
    sites, chosen = check_sites(sites), check_layers(layers, len(decomposition.layers))
    _check_raw(sites, chosen, decomposition)
    kept: dict[str, dict[int, torch.Tensor]] = {}
    places: torch.Tensor | None = None

    def receive(layer: int, stream: Stream) -> None:
        chosen_of = stream.at(places)
        found = {site: chosen_of.site(site) for site in sites}
        for name, value in (reduce(layer, found) if reduce else found).items():
            kept.setdefault(name, {})[layer] = value

    with streaming(model, decomposition, receive, layers=chosen) as sums:
        @torch.no_grad()
        def take(given: Mapping[str, torch.Tensor], positions: torch.Tensor | None = None, keep_logits: bool = False
                 ) -> Captured:
            nonlocal kept, places
            kept, places = {}, _positions(positions, given["input_ids"])
            logits = forward(model, dict(given), keep_logits=keep_logits)
            sums.check()
            return Captured(kept, logits)

        yield take


def _check_raw(sites: Sequence[str], layers: Sequence[int], decomposition: Decomposition) -> None:
    for site in sites:
        without = [layer for layer in layers if site in RAW and site not in decomposition.layers[layer].raw]
        if without:
            raise ModelUnsupported(f"site {site}: layers {without} have no one module whose output that is; leave it out, "
                                   "or read what is added: delta_attn, delta_ffn")


def _positions(positions: torch.Tensor | None, ids: torch.Tensor) -> torch.Tensor | None:
    if positions is None:
        return None
    rows, length = ids.shape
    places = positions.to(ids.device).long()
    places = places.expand(rows, -1) if places.dim() == 1 else places
    if places.dim() != 2 or len(places) != rows or not places.numel():
        raise OptionError(f"positions of shape {tuple(positions.shape)}: needed are [P] or [{rows}, P], at least one a row")
    if int(places.min()) < 0 or int(places.max()) >= length:
        wrong = int(places.min()) if int(places.min()) < 0 else int(places.max())
        raise OptionError(f"position {wrong}: the text has positions 0 to {length - 1}")
    return places
