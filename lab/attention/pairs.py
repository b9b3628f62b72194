"""Two whole models on the same prompts, one after the other: what is needed of the first waits on disk.

For a full fine-tune and its base, and for adapters that cannot be switched per row. `record` runs the first model; put it
away, load the other, and `against` compares.
"""

import contextlib
import json
from pathlib import Path
from typing import Any

import torch

from lab.attention import recorded
from lab.attention.compare import Compared
from lab.attention.crossing import Crossing, before_layers
from lab.attention.divergence import divergence
from lab.attention.measure import RECENT, Collector, stacked
from lab.attention.output_change import relative_change
from lab.attention.routing import Pattern, attention_layers, listen, routes
from lab.errors import ModelUnsupported, OptionError
from lab.models import anatomy
from lab.models.batch import forward, inputs

_ABOUT, _STATISTICS = "recorded.json", "statistics.safetensors"


@torch.no_grad()
def record(model: Any, tokens: torch.Tensor, real: torch.Tensor | None, folder: Path, *, recent: int = RECENT,
           routed: bool | None = None) -> int:
    """Runs the first model, writes what `against` needs of it, and returns how many bytes that took.

    For each layer and token these are queries, keys, head outputs and the residual input, as they are; statistics
    besides. Of a model outside Transformers' attention interface they are its weights, quadratic in the length.

    Args:
        model: A causal language model, PEFT or plain, in evaluation mode; the base.
        tokens: [P, T], token ids.
        real: [P, T], False for padding; None where there is none.
        folder: Where to; made if it is not there.
        recent: w, keys counted as recent.
        routed: From `lab.attention.routing.routes`, which is asked if None.

    Raises:
        OptionError: The folder holds a recorded model already, or the batch is empty or too long for the model.
        ModelUnsupported: The attention of this model cannot be measured.
    """
    if (folder / _ABOUT).exists():
        raise OptionError(f"{folder} holds a recorded model already; name a new folder")
    given, routed = inputs(model, tokens, real), routes(model) if routed is None else routed
    folder.mkdir(parents=True, exist_ok=True)
    collector = Collector(anatomy.n_layers(model), given["input_ids"], recent)
    entering: dict[int, torch.Tensor] = {}

    def take(layer: int, pattern: Pattern) -> torch.Tensor:
        output = collector.take(layer, pattern).output
        recorded.write(folder, layer, pattern, output, entering.pop(layer))
        return output

    def enter(number: int, layer: Any, residual: torch.Tensor, *_: Any) -> None:
        entering[number] = residual

    with before_layers(model, enter), listen(model, take, routed=routed):
        forward(model, given, keep_logits=False)
    own, same = collector.gathered()
    recorded.save(folder / _STATISTICS, {
        "tokens": tokens, "real": _real(tokens, real), **{f"base.{name}": each for name, each in own.items()},
        **{f"uniform.{name}": each for name, each in same.items()}})
    (folder / _ABOUT).write_text(json.dumps({**_facts(model, routed), "recent": recent}, indent=2) + "\n")
    return sum(path.stat().st_size for path in folder.iterdir())


@torch.no_grad()
def against(model: Any, folder: Path, tokens: torch.Tensor, real: torch.Tensor | None = None, *, decompose: bool = True,
            routed: bool | None = None) -> Compared:
    """How each head's attention differs between the recorded model, called base, and this one; A = 1.

    As `lab.attention.compare.compare`, but that direct and inherited change go one way only, since the base's weights are
    gone: direct is the divergence of base input with base weights from base input with tuned weights, inherited that of
    base input with tuned weights from tuned input with tuned weights.

    Args:
        model: A causal language model, PEFT or plain, in evaluation mode; the tuned one.
        folder: From `record`.
        tokens: [P, T], those that were recorded.
        real: [P, T], likewise.
        decompose: Whether to tell direct from inherited change, for which every layer's projections run twice.
        routed: From `lab.attention.routing.routes`, which is asked if None.

    Raises:
        OptionError: The folder holds no recorded model, or one on other tokens.
        ModelUnsupported: The two models cannot be compared head by head, or the attention of this one not be measured.
    """
    from safetensors.torch import load_file

    if not (folder / _ABOUT).exists():
        raise OptionError(f"{folder} holds no recorded model; record the base there first")
    routed = routes(model) if routed is None else routed
    about, kept = json.loads((folder / _ABOUT).read_text()), load_file(folder / _STATISTICS)
    _check(about, _facts(model, routed))
    if not (torch.equal(kept["tokens"], tokens.cpu()) and torch.equal(kept["real"], _real(tokens, real).cpu())):
        raise OptionError(f"tokens of shape {tuple(tokens.shape)} are not those that were recorded, of shape "
                          f"{tuple(kept['tokens'].shape)}; give the same ids with the same padding")
    given = inputs(model, tokens, real)
    comparison = _Comparison(folder, Collector(anatomy.n_layers(model), given["input_ids"], about["recent"]))
    with contextlib.ExitStack() as around:
        around.enter_context(listen(model, comparison.take, routed=routed))
        if decompose:
            around.enter_context(before_layers(model, comparison.enter))
        forward(model, given, keep_logits=False)
    base, uniform = ({name.removeprefix(start): each for name, each in kept.items() if name.startswith(start)}
                     for start in ("base.", "uniform."))
    return comparison.result(base, uniform)


class _Comparison:
    """What the layers of the second model report, beside what the folder holds of the first."""

    def __init__(self, folder: Path, collector: Collector) -> None:
        self.folder, self.collector = folder, collector
        self.crossing = Crossing()
        self.found: dict[str, dict[int, torch.Tensor]] = {name: {} for name in (
            "divergence", "direct", "inherited", "output_change")}

    def enter(self, number: int, layer: Any, _: torch.Tensor, args: tuple, kwargs: dict) -> None:
        """Asks a layer once more, with what entered it in the first model."""
        self.crossing.ask(layer, recorded.read_entering(self.folder, number, self.collector.tokens.device), args, kwargs)

    def take(self, layer: int, pattern: Pattern) -> torch.Tensor:
        """Measures a layer, and with it what it answered before, on the first model's input."""
        self.crossing.intercept(pattern)
        output = self.collector.take(layer, pattern).output
        base, before = recorded.read(self.folder, layer, pattern)
        self.found["divergence"][layer] = divergence(base, pattern)
        self.found["output_change"][layer] = relative_change(before, output, pattern.visibility.real_queries)
        if (crossed := self.crossing.taken()) is not None:
            self.found["direct"][layer] = divergence(base, crossed)
            self.found["inherited"][layer] = divergence(crossed, pattern)
        return output

    def result(self, base: dict[str, torch.Tensor], uniform: dict[str, torch.Tensor]) -> Compared:
        """Everything measured, with the first model's statistics."""
        own, _ = self.collector.gathered()
        changes = {name: stacked(found, self.collector.layers)[None] if found else None
                   for name, found in self.found.items()}
        return Compared(base, {name: each[None] for name, each in own.items()}, uniform, **changes)  # type: ignore[arg-type]


def _facts(model: Any, routed: bool) -> dict[str, Any]:
    """What two models must share to be compared head by head."""
    plain = anatomy.plain_model(model)
    return {"architecture": type(plain).__name__, "layers": anatomy.n_layers(model), "heads": anatomy.n_heads(model),
            "width": anatomy.width(model), "width of a head": anatomy.head_dim(model),
            "layers with softmax attention": attention_layers(model), "dtype": str(plain.dtype).removeprefix("torch."),
            "through Transformers' attention interface": routed}


def _check(first: dict[str, Any], second: dict[str, Any]) -> None:
    for name, value in second.items():
        if first[name] != value:
            raise ModelUnsupported(f"{name}: {first[name]} in the recorded model, {value} in this one; only models that "
                                   "agree in it can be compared head by head")


def _real(tokens: torch.Tensor, real: torch.Tensor | None) -> torch.Tensor:
    return torch.ones_like(tokens, dtype=torch.bool) if real is None else real.bool()
