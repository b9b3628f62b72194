"""Activations of labelled tokens at every place that is probed, of one model or of base and adapter in one forward pass.

S places, N rows of a task, D width.
"""

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from lab.data.labelled import Labelled
from lab.data.prompts import Prompt
from lab.models.batch import forward, inputs
from lab.models.rows import adapter_rows
from lab.probing.capture import capture
from lab.probing.decomposition import Decomposition
from lab.probing.sites import PRE_ATTN
from lab.studies.attention_rows import TOKENS_AT_ONCE, by_length

EMBEDDING = "embedding"


@dataclass(frozen=True)
class Place:
    """Where a probe reads: a site of a layer, or what the first layer receives, which is layer -1 here."""

    site: str
    layer: int

    def __str__(self) -> str:
        return EMBEDDING if self.site == EMBEDDING else f"{self.site} of layer {self.layer}"


def places(sites: Sequence[str], layers: Sequence[int]) -> list[Place]:
    """Returns the embedding, then every site of every layer."""
    return [Place(EMBEDDING, -1), *(Place(site, layer) for site in sites for layer in layers)]


def features(model: Any, decomposition: Decomposition, task: Labelled, asked: Sequence[Place],
             names: Sequence[str] | None = None) -> list[torch.Tensor]:
    """Returns the activations [S, N, D] of each model, float32 on the CPU.

    Args:
        model: In evaluation mode; a PEFT model where names are given.
        decomposition: Of its base.
        task: Which tokens of which prompts.
        asked: The places, S.
        names: Adapters, or `lab.models.rows.BASE`, each a model of its own; None for the model as it is.
    """
    sites = list(dict.fromkeys(PRE_ATTN if place.site == EMBEDDING else place.site for place in asked))
    layers = sorted({max(place.layer, 0) for place in asked})
    count = 1 if names is None else len(names)
    width = model.get_input_embeddings().weight.shape[1]
    found = [torch.empty(len(asked), len(task), width) for _ in range(count)]
    rows_of = _rows_of(task.prompt, len(task.prompts))
    for indices, ids in by_length(task.prompts, TOKENS_AT_ONCE // count):
        positions = _positions([task.position[rows_of[index]] for index in indices])
        with _as(model, names, len(ids)):
            kept = capture(model, inputs(model, ids.repeat(count, 1)), decomposition, sites=sites, layers=layers,
                           positions=positions.repeat(count, 1)).values
        for number, place in enumerate(asked):
            values = kept[PRE_ATTN if place.site == EMBEDDING else place.site][max(place.layer, 0)].float().cpu()
            for which, own in enumerate(values.unflatten(0, (count, len(ids)))):
                for at, index in enumerate(indices):
                    found[which][number, rows_of[index]] = own[at, :len(rows_of[index])]
    return found


def entropy(model: Any, names: Sequence[str] | None = None) -> Callable[[list[Prompt], np.ndarray, np.ndarray], np.ndarray]:
    """Returns what gives the bits of a model's next-token distribution at tokens, for tasks that ask for its certainty.

    Args:
        model: In evaluation mode.
        names: One name, as in `features`.
    """
    @torch.no_grad()
    def bits(prompts: list[Prompt], prompt: np.ndarray, position: np.ndarray) -> np.ndarray:
        found, rows_of = np.empty(len(prompt)), _rows_of(prompt, len(prompts))
        for indices, ids in by_length(prompts, TOKENS_AT_ONCE):
            with _as(model, names, len(ids)):
                logits = forward(model, inputs(model, ids), keep_logits=True)
            for at, index in enumerate(indices):
                said = logits[at, position[rows_of[index]]].float().log_softmax(-1)
                found[rows_of[index]] = (-(said.exp() * said).sum(-1) / np.log(2)).cpu().numpy()
        return found

    return bits


def _rows_of(prompt: np.ndarray, count: int) -> list[np.ndarray]:
    """Rows [N] that read each of the prompts."""
    order = np.argsort(prompt, kind="stable")
    return np.split(order, np.searchsorted(prompt[order], np.arange(1, count)))


def _positions(each: Sequence[np.ndarray]) -> torch.Tensor:
    """Positions [B, P] of prompts that are read at different numbers of tokens; what is missing says 0 and is not used."""
    found = torch.zeros(len(each), max(1, *map(len, each)), dtype=torch.long)
    for row, positions in enumerate(each):
        found[row, :len(positions)] = torch.as_tensor(positions)
    return found


def _as(model: Any, names: Sequence[str] | None, rows: int) -> contextlib.AbstractContextManager[Any]:
    if names is None:
        return contextlib.nullcontext()
    return adapter_rows(model, [name for name in names for _ in range(rows)])
