"""The attention of one model on one batch: every statistic of every head, in one forward pass."""

from dataclasses import dataclass
from typing import Any

import torch

from lab.attention.per_query import PerQuery, per_query
from lab.attention.routing import Pattern, listen, routes
from lab.attention.seen import Seen, seen
from lab.attention.statistics import STATISTICS, statistics, uniform
from lab.models import anatomy
from lab.models.batch import forward, inputs

RECENT = 16


@dataclass(frozen=True)
class Measured:
    """Statistics of every head on every row, on the CPU.

    Attributes:
        statistics: By name, [B, L, H], float64; nan in layers without softmax attention and where undefined.
        uniform: By name, [B, L]: what uniform attention over visible keys would give.
        logits: [B, T, V] on the model's device if asked for, else None.
    """

    statistics: dict[str, torch.Tensor]
    uniform: dict[str, torch.Tensor]
    logits: torch.Tensor | None


class Collector:
    """Statistics of layers as they report, on one batch.

    Args:
        layers: L.
        tokens: [B, T], on the model's device.
        recent: w, keys counted as recent.
    """

    def __init__(self, layers: int, tokens: torch.Tensor, recent: int) -> None:
        self.layers, self.tokens, self.recent = layers, tokens, recent
        self._found: dict[int, tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]] = {}
        self._counts: list[tuple[Any, Seen]] = []

    def take(self, layer: int, pattern: Pattern) -> PerQuery:
        """Keeps a layer's statistics and returns what they were made from."""
        measured = per_query(pattern, self.tokens, self.recent)
        counts = self._seen(pattern)
        self._found[layer] = statistics(measured, counts), uniform(counts)
        return measured

    def _seen(self, pattern: Pattern) -> Seen:
        """The counts of a kind of layer, made once: layers of a kind share one mask."""
        for visibility, counts in self._counts:
            if visibility is pattern.visibility:
                return counts
        counts = seen(pattern.visibility, self.tokens, self.recent)
        self._counts = [*self._counts[-3:], (pattern.visibility, counts)]
        return counts

    def gathered(self) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
        """Statistics by name [B, L, H] and uniform references by name [B, L], on the CPU."""
        own = {name: stacked({layer: found[0][name] for layer, found in self._found.items()}, self.layers)
               for name in STATISTICS}
        same = {name: stacked({layer: found[1][name][:, None] for layer, found in self._found.items()}, self.layers)[..., 0]
                for name in STATISTICS}
        return own, same


def stacked(found: dict[int, torch.Tensor], layers: int) -> torch.Tensor:
    """Values of layers as one tensor [..., L, H] on the CPU; nan in layers that have none.

    Args:
        found: [..., H] by layer.
        layers: L.
    """
    first = next(iter(found.values()))
    whole = torch.full((*first.shape[:-1], layers, first.shape[-1]), torch.nan, dtype=torch.float64)
    for layer, values in found.items():
        whole[..., layer, :] = values.cpu()
    return whole


@torch.no_grad()
def measure(model: Any, tokens: torch.Tensor, real: torch.Tensor | None = None, *, recent: int = RECENT,
            keep_logits: bool = False, routed: bool | None = None) -> Measured:
    """The statistics of every head on a batch, with memory linear in its length.

    Args:
        model: A causal language model, PEFT or plain, in evaluation mode.
        tokens: [B, T], token ids.
        real: [B, T], False for padding, which may stand on the left; None where there is none.
        recent: w, keys counted as recent.
        keep_logits: Whether to return the logits; at a long context they outweigh everything else.
        routed: From `lab.attention.routing.routes`, which is asked if None.

    Raises:
        OptionError: The batch is empty or too long for the model.
        ModelUnsupported: The attention of this model cannot be measured.
    """
    given = inputs(model, tokens, real)
    collector = Collector(anatomy.n_layers(model), given["input_ids"], recent)
    routed = routes(model) if routed is None else routed
    with listen(model, lambda layer, pattern: collector.take(layer, pattern).output, routed=routed):
        logits = forward(model, given, keep_logits=keep_logits)
    return Measured(*collector.gathered(), logits if keep_logits else None)
