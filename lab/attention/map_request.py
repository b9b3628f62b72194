"""What whole attention maps would cost, and a smaller request where that is too much, before anything is allocated."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from lab.attention.named_heads import check
from lab.errors import OptionError

BUDGET = 2**30
_NUMBER = 4  # bytes of a float32


@dataclass(frozen=True)
class Request:
    """Whole maps of named heads among a range of tokens.

    Attributes:
        heads: Indices of heads by index of layer.
        first: First token of the range, for queries and keys alike.
        last: Behind its last token.
        rows: B, prompts.
        length: T, tokens of a prompt.
        models: M, models on the same prompts: 1, or base and adapters.
    """

    heads: Mapping[int, tuple[int, ...]]
    first: int
    last: int
    rows: int
    length: int
    models: int

    @property
    def bytes(self) -> int:
        """Bytes of the maps and of the shares on a learned sink beside them, float32."""
        count = self.last - self.first
        return _NUMBER * sum(map(len, self.heads.values())) * self.rows * self.models * count * (count + 1)


def request(model: Any, layers: Sequence[int], heads: Sequence[int], first: int, last: int, *, rows: int, length: int,
            models: int = 1, budget: int = BUDGET) -> Request:
    """A request that the model can answer within the budget: the same heads of several layers.

    Args:
        model: A causal language model.
        layers: Indices of layers.
        heads: Indices of heads, in each of them.
        first: First token of the range, for queries and keys alike.
        last: Behind its last token.
        rows: B, prompts.
        length: T, tokens of a prompt.
        models: M, models on the same prompts: 1, or 1 for the base and 1 for each adapter.
        budget: Bytes that the maps may take.

    Raises:
        OptionError: The model has no such layer or head, the range is none, or the maps take more than the budget; the
            message then says what would fit.
    """
    if len(set(layers)) < len(layers):
        raise OptionError(f"layers {', '.join(map(str, layers))}: a layer is named twice; name each once")
    return request_each(model, {layer: heads for layer in layers}, first, last, rows=rows, length=length, models=models,
                        budget=budget)


def request_each(model: Any, heads: Mapping[int, Sequence[int]], first: int, last: int, *, rows: int, length: int,
                 models: int = 1, budget: int = BUDGET) -> Request:
    """The same for heads that are named layer by layer, such as those that change most.

    Args:
        model: A causal language model.
        heads: Indices of heads by index of layer.
        first: As in `request`.
        last: As in `request`.
        rows: As in `request`.
        length: As in `request`.
        models: As in `request`.
        budget: As in `request`.

    Raises:
        OptionError: As in `request`.
    """
    named = check(model, heads)
    if not 0 <= first < last <= length:
        raise OptionError(f"tokens={first}:{last}: allowed are ranges in 0:{length} that hold a token, the first before the "
                          f"last; type tokens=0:{length}")
    asked = Request(named, first, last, rows, length, models)
    if asked.bytes > budget:
        raise OptionError(f"maps of {_heads(named)} over tokens={first}:{last}, {_times(rows, 'prompt')} and "
                          f"{_times(models, 'model')} take {asked.bytes:,} bytes; allowed are {budget:,}. "
                          f"{_advice(asked, budget)}")
    return asked


def narrower(asked: Request, budget: int) -> list[Request]:
    """Requests within the budget that keep as much as they can: fewer heads, fewer tokens, or both; none if nothing fits.

    Args:
        asked: What does not fit.
        budget: Bytes that the maps may take.
    """
    one_head = asked.bytes // sum(map(len, asked.heads.values()))
    found = []
    if one_head <= budget:
        found.append(replace(asked, heads=_first(asked.heads, budget // one_head)))
    if shorter := _shorter(asked, budget):
        found.append(shorter)
    elif one := _shorter(replace(asked, heads=_first(asked.heads, 1)), budget):
        found.append(one)
    return found


def _first(heads: Mapping[int, tuple[int, ...]], count: int) -> dict[int, tuple[int, ...]]:
    """The first heads of every layer, as many as `count` allows; if it allows less than one of each, of the first layers."""
    layers = dict(list(heads.items())[:count])
    most = max(each for each in range(1, 1 + max(map(len, layers.values())))
               if sum(min(each, len(named)) for named in layers.values()) <= count)
    return {layer: named[:most] for layer, named in layers.items()}


def _shorter(asked: Request, budget: int) -> Request | None:
    """The same over the longest range n that fits, from the same token on: n·(n + 1) ≤ budget / (bytes of one share)."""
    shares = budget // (_NUMBER * sum(map(len, asked.heads.values())) * asked.rows * asked.models)
    count = (math.isqrt(4 * shares + 1) - 1) // 2
    return replace(asked, last=asked.first + count) if count else None


def _advice(asked: Request, budget: int) -> str:
    """What to type instead."""
    fitting = [f"{_heads(one.heads)} over tokens={one.first}:{one.last} ({one.bytes:,} bytes)"
               for one in narrower(asked, budget)]
    if fitting:
        return f"What fits: {', or '.join(fitting)}; or allow more"
    least = replace(asked, heads=_first(asked.heads, 1), last=asked.first + 1).bytes
    return f"Not even one token of one head fits, which takes {least:,}; allow more, or give fewer prompts"


def _heads(heads: Mapping[int, tuple[int, ...]]) -> str:
    if len(set(heads.values())) == 1:
        return f"layers={','.join(map(str, heads))} heads={','.join(map(str, next(iter(heads.values()))))}"
    return "heads " + ", ".join(f"{layer}.{head}" for layer, named in heads.items() for head in named) + " (layer.head)"


def _times(count: int, what: str) -> str:
    return f"{count} {what}" + ("s" if count != 1 else "")
