"""Whole attention maps, only of named heads over a range of tokens, and only as many bytes as were agreed to."""

import contextlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from lab.attention.map_request import Request
from lab.attention.narrowed import narrowed
from lab.attention.per_query import per_query
from lab.attention.routing import Pattern, listen, routes
from lab.attention.together import together
from lab.errors import OptionError
from lab.models.batch import forward, inputs
from lab.models.rows import adapter_rows

MODEL, FILE = "model", "maps.safetensors"
AXES = ("model", "row", "head", "query", "key")


@dataclass(frozen=True)
class Maps:
    """Attention of named heads among a range of tokens; M models, float32 on the CPU.

    Attributes:
        request: What was asked for.
        models: M names: `base` and the adapters', or `model` alone.
        weights: By layer [M, B, H', Q', K'], shares: query and key 0 are the token `request.first`. Zero where the query is
            padding. Keys before the range take the rest of a row's share.
        sinks: By layer [M, B, H', Q'], share on a learned sink outside the keys; zero where the model has none.
    """

    request: Request
    models: tuple[str, ...]
    weights: dict[int, torch.Tensor]
    sinks: dict[int, torch.Tensor]


@torch.no_grad()
def maps(model: Any, tokens: torch.Tensor, real: torch.Tensor | None, request: Request,
         adapters: Sequence[str] | None = None, *, routed: bool | None = None) -> Maps:
    """The maps asked for, from one forward pass; of other heads and queries nothing is held.

    Args:
        model: A causal language model, PEFT or plain, in evaluation mode.
        tokens: [B, T], token ids.
        real: [B, T], False for padding; None where there is none.
        request: From `lab.attention.map_request.request`.
        adapters: Names of adapters to lay beside the base, as rows of one batch; the model as it is if None.
        routed: From `lab.attention.routing.routes`, which is asked if None.

    Raises:
        OptionError: The batch is not the one that the request was made for, or too long for the model.
        ModelUnsupported: The attention of this model cannot be measured, or its adapters not switched per row.
    """
    models = (MODEL,) if adapters is None else ("base", *adapters)
    batch = {"rows": len(tokens), "length": tokens.shape[1], "models": len(models)}
    asked = {"rows": request.rows, "length": request.length, "models": request.models}
    if batch != asked:
        raise OptionError(f"the maps were requested for {_listed(asked)}, and given {_listed(batch)}; request again")
    routed = routes(model) if routed is None else routed  # before rows of adapters are expected
    names, given = together(adapters or (), inputs(model, tokens, real))
    weights: dict[int, torch.Tensor] = {}
    sinks: dict[int, torch.Tensor] = {}

    def take(layer: int, pattern: Pattern) -> torch.Tensor:
        if layer in request.heads:
            found = _map(narrowed(pattern, request.first, request.last, request.heads[layer]), request.first)
            weights[layer], sinks[layer] = (part.unflatten(0, (len(models), -1)) for part in found)
        return per_query(pattern, given["input_ids"], 1).output

    with contextlib.ExitStack() as around:
        if adapters is not None:
            around.enter_context(adapter_rows(model, names))
        around.enter_context(listen(model, take, routed=routed))
        forward(model, given, keep_logits=False)
    return Maps(request, models, weights, sinks)


def save(folder: Path, found: Maps, tokens: Sequence[Sequence[str]]) -> Path:
    """Writes `maps.safetensors` and returns its path.

    Its tensors are `layer.<index>` and `sink.<index>`; its metadata says, each as JSON, what their axes are and the tokens.

    Args:
        folder: Where to.
        found: From `maps`.
        tokens: The text of each of the range's tokens, for each row.

    Raises:
        OptionError: There are not as many tokens as the maps have.
    """
    from safetensors.torch import save_file

    request = found.request
    counts = [len(row) for row in tokens]
    if counts != [request.last - request.first] * request.rows:
        raise OptionError(f"{len(counts)} rows of {', '.join(map(str, sorted(set(counts))))} tokens; the maps have "
                          f"{request.rows} rows of {request.last - request.first}, {request.first}:{request.last}")
    about = {"tokens": [list(row) for row in tokens], "axes": AXES, "models": found.models, "first": request.first,
             "last": request.last, "heads": {str(layer): heads for layer, heads in request.heads.items()},
             "unit": "share of a query's attention", "sink": "share on a learned sink outside the keys; axes without key"}
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {f"layer.{layer}": part for layer, part in found.weights.items()}
    tensors |= {f"sink.{layer}": part for layer, part in found.sinks.items()}
    save_file({name: part.contiguous() for name, part in tensors.items()}, folder / FILE,
              metadata={name: json.dumps(value, ensure_ascii=False) for name, value in about.items()})
    return folder / FILE


def _map(part: Pattern, first: int) -> tuple[torch.Tensor, torch.Tensor]:
    """[B, H', Q', K'] and the learned sink's share [B, H', Q'], on the CPU."""
    batch, heads, queries, _ = part.shape
    weights = torch.zeros(batch, heads, queries, queries)
    sink = torch.zeros(batch, heads, queries)
    for block in part.log_probabilities():
        shares = block.scores.exp_()
        low, high = max(block.low, first), min(block.high, first + queries)
        weights[:, :, block.first:block.last, low - first:high - first] = shares[..., low - block.low:high - block.low].cpu()
        if block.sink is not None:
            sink[..., block.first:block.last] = block.sink.exp().cpu()
    real = part.visibility.real_queries.cpu()[:, None]
    # a padded query sees nothing, of which a softmax makes something
    return weights.mul_(real[..., None]), sink.mul_(real)


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name}={count}" for name, count in counts.items())
