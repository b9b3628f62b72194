"""Base and tuned attention from one forward pass: rows of one batch, adapters switched per row."""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from lab.attention.crossing import Crossing, before_layers
from lab.attention.divergence import divergence, with_total
from lab.attention.measure import RECENT, Collector, stacked
from lab.attention.output_change import relative_change
from lab.attention.routing import Pattern, listen, routes
from lab.attention.together import together
from lab.errors import ModelUnsupported, OptionError
from lab.models import anatomy
from lab.models.batch import forward, inputs
from lab.models.rows import BASE, Rows, adapter_rows


@dataclass(frozen=True)
class Compared:
    """Base and tuned models on the same prompts; P prompts, A adapters, all float64 on the CPU.

    Attributes:
        base: Statistics by name, [P, L, H].
        tuned: Statistics by name, [A, P, L, H].
        uniform: What uniform attention would give, by name, [P, L].
        divergence: [A, P, L, H], nats: mean over queries of the Jensen–Shannon divergence of base and tuned attention.
        direct: [A, P, L, H], nats: the same where only this layer's weights differ, mean of it on the base's input and on
            the tuned model's; None if not asked for.
        inherited: [A, P, L, H], nats: the same where only the layer's input differs, mean over base and tuned weights.
        output_change: [A, P, L, H]: L2 norm of the change of the head's output over that of the base's; nan where the
            model hands over no outputs.
    """

    base: dict[str, torch.Tensor]
    tuned: dict[str, torch.Tensor]
    uniform: dict[str, torch.Tensor]
    divergence: torch.Tensor
    direct: torch.Tensor | None
    inherited: torch.Tensor | None
    output_change: torch.Tensor


class _Comparison:
    """What the layers report while base rows and tuned rows run; P rows of the base first, then P of each adapter."""

    def __init__(self, layers: int, tokens: torch.Tensor, prompts: int, recent: int) -> None:
        self.collector = Collector(layers, tokens, recent)
        self.prompts, self.adapters = prompts, len(tokens) // prompts - 1
        self.crossing = Crossing()
        self.found: dict[str, dict[int, torch.Tensor]] = {name: {} for name in (
            "divergence", "direct", "inherited", "output_change")}

    def take(self, layer: int, pattern: Pattern) -> torch.Tensor:
        """Measures a layer, and with it what it answered before, base and tuned weights exchanged."""
        self.crossing.intercept(pattern)
        measured = self.collector.take(layer, pattern)
        pattern = with_total(pattern, measured.log_total)
        base, tuned = self.base_rows(), self.tuned_rows()
        both = pattern.of_rows(base), pattern.of_rows(tuned)
        self._keep("divergence", layer, divergence(*both))
        self._keep("output_change", layer, relative_change(measured.output[base], measured.output[tuned],
                                                           both[0].visibility.real_queries))
        if (exchanged := self.crossing.taken()) is not None:
            # base input with tuned weights in the first half of its rows, the other way in the second; pairs see the same
            # keys, and a pattern of weights could not tell padding in rows of another order
            crossed = with_total(replace(exchanged, visibility=pattern.visibility.of_rows(torch.cat([base, tuned]))))
            half = torch.arange(len(base), device=base.device)
            swapped = crossed.of_rows(half), crossed.of_rows(half + len(base))
            self._keep("direct", layer, (divergence(both[0], swapped[0]) + divergence(swapped[1], both[1])) / 2)
            self._keep("inherited", layer, (divergence(both[0], swapped[1]) + divergence(swapped[0], both[1])) / 2)
        return measured.output

    def base_rows(self) -> torch.Tensor:
        """[A·P], the base's row of each pair."""
        return torch.arange(self.prompts, device=self.collector.tokens.device).repeat(self.adapters)

    def tuned_rows(self) -> torch.Tensor:
        """[A·P], the tuned row of each pair."""
        return torch.arange(self.prompts, self.prompts * (self.adapters + 1), device=self.collector.tokens.device)

    def _keep(self, name: str, layer: int, values: torch.Tensor) -> None:
        self.found[name][layer] = values.cpu().view(self.adapters, self.prompts, -1)

    def result(self) -> Compared:
        """Everything measured, sorted into base and adapters."""
        own, same = self.collector.gathered()
        count, prompts = self.adapters, self.prompts
        tuned = {name: values[prompts:].view(count, prompts, *values.shape[1:]) for name, values in own.items()}
        changes = {name: stacked(found, self.collector.layers) if found else None for name, found in self.found.items()}
        return Compared({name: values[:prompts] for name, values in own.items()}, tuned,
                        {name: values[:prompts] for name, values in same.items()}, **changes)  # type: ignore[arg-type]


@torch.no_grad()
def compare(model: Any, adapters: Sequence[str], tokens: torch.Tensor, real: torch.Tensor | None = None, *,
            recent: int = RECENT, decompose: bool = True, routed: bool | None = None) -> Compared:
    """How each head's attention differs between the base and each adapter on it, from one forward pass.

    Args:
        model: A PEFT model in evaluation mode.
        adapters: A names of adapters on it.
        tokens: [P, T], token ids.
        real: [P, T], False for padding; None where there is none.
        recent: w, keys counted as recent.
        decompose: Whether to tell direct from inherited change, for which every layer's projections run twice.
        routed: From `lab.attention.routing.routes`, which is asked if None.

    Raises:
        OptionError: No adapter is named, or a prompt is empty or too long for the model.
        ModelUnsupported: The attention of this model cannot be measured, or its adapters not switched per row.
    """
    if not adapters:
        raise OptionError("no adapter is named; name at least one to compare with the base")
    prompts = len(tokens)
    names, given = together(adapters, inputs(model, tokens, real))
    routed = routes(model) if routed is None else routed
    comparison = _Comparison(anatomy.n_layers(model), given["input_ids"], prompts, recent)
    with contextlib.ExitStack() as around:
        rows = around.enter_context(adapter_rows(model, names))
        around.enter_context(listen(model, comparison.take, routed=routed))
        if decompose:
            around.enter_context(_exchanging(model, comparison, rows))
        forward(model, given, keep_logits=False)
    return comparison.result()


@contextlib.contextmanager
def _exchanging(model: Any, comparison: _Comparison, rows: Rows) -> Iterator[None]:
    """Before each layer runs, its attention is asked once more with base and tuned weights exchanged.

    The first P·A rows of that batch are the base's input with each adapter's weights, the others each adapter's input
    with the base's weights.
    """
    order = torch.cat([comparison.base_rows(), comparison.tuned_rows()])
    exchanged = rows.names[comparison.prompts:] + [BASE] * (comparison.prompts * comparison.adapters)
    shape = comparison.collector.tokens.shape

    def enter(index: int, layer: Any, entering: torch.Tensor, args: tuple, kwargs: dict) -> None:
        if comparison.adapters > 1:  # with one adapter the order of rows stays
            if entering.shape[:2] != shape:
                raise ModelUnsupported(f"{type(layer).__name__} takes a tensor of shape {tuple(entering.shape)} for "
                                       f"{shape[0]} rows of {shape[1]} tokens, which cannot be told apart in it; compare "
                                       "one adapter at a time, or with decompose=False")
            entering, args = entering[order], _chosen(args, order, shape)
            kwargs = {name: _chosen(value, order, shape) for name, value in kwargs.items()}
        usual = rows.names
        rows.names = exchanged
        try:
            comparison.crossing.ask(layer, entering, args, kwargs)
        finally:
            rows.names = usual

    with before_layers(model, enter):
        yield


def _chosen(value: Any, order: torch.Tensor, shape: torch.Size) -> Any:
    """What a layer is called with, for the rows of `order`; whatever has no batch axis stays as it is.

    Args:
        value: A tensor, a tuple of such, or anything else, such as the lab's own mask, of which this needs the shape only.
        order: [B'] of rows.
        shape: B, T.
    """
    if isinstance(value, tuple):
        return tuple(_chosen(part, order, shape) for part in value)
    if not isinstance(value, torch.Tensor):
        return value
    rows, length = shape
    if value.shape[:2] == shape or (value.dim() == 4 and len(value) == rows and value.shape[-1] == length):
        return value[order]
    if value.dim() == 3 and len(value) % rows == 0 and value.shape[-1] == length:  # [B·H, 1, K], as in ALiBi
        return value.unflatten(0, (rows, -1))[order].flatten(0, 1)
    return value
