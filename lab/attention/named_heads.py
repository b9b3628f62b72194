"""Heads named by layer: checked against the model before any work starts."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from lab.attention.routing import attention_layers
from lab.errors import OptionError
from lab.models import anatomy


def check(model: Any, heads: Mapping[int, Sequence[int]]) -> dict[int, tuple[int, ...]]:
    """The named heads by layer, layers ascending, heads in the order given.

    Args:
        model: A causal language model.
        heads: Indices of heads by index of layer, both from 0.

    Raises:
        OptionError: None is named, one is named twice, or the model has no such layer or head.
    """
    layers, count = attention_layers(model), anatomy.n_heads(model)
    for layer, named in heads.items():
        if layer not in layers:
            what = "no softmax attention" if 0 <= layer < anatomy.n_layers(model) else "no such layer"
            raise OptionError(f"layer {layer}: this model has {what}; layers with softmax attention are {spans(layers)}")
        for head in named:
            if not 0 <= head < count:
                raise OptionError(f"head {head} of layer {layer}: this model has no such head; there are "
                                  f"{spans(range(count))}")
        if len(set(named)) < len(named):
            raise OptionError(f"layer {layer}: a head is named twice in {', '.join(map(str, named))}; name each once")
    if not any(heads.values()):
        raise OptionError(f"no head is named; name at least one of layers {spans(layers)} and heads {spans(range(count))}")
    return {layer: tuple(heads[layer]) for layer in sorted(heads) if heads[layer]}


def spans(numbers: Iterable[int]) -> str:
    """Ascending whole numbers as text, neighbours drawn together: `0-3, 5`.

    Args:
        numbers: At least one.
    """
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1][1:] = [number]
        else:
            runs.append([number])
    return ", ".join("-".join(map(str, run)) for run in runs)
