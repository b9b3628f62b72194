"""Adapters with something taken away: what can be asked for, and what is then left of a module's update."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from lab.adapters.intruder_scaling import scale_intruders
from lab.adapters.intruders import THRESHOLD, TOP
from lab.adapters.update import Update
from lab.adapters.weights import decompose
from lab.errors import OptionError

KINDS = {
    "scale": "scale:0.5 (the whole update times a number)", "layers": "layers:0+1 (without these layers)",
    "modules": "modules:q_proj+v_proj (without these modules)",
    "drop": "drop:1 (without the strongest singular direction of every module, or the first so many)",
    "keep": "keep:1 (with that alone)", "intruders": "intruders:0.7 (intruder dimensions times a number)"}
_NUMBERS, _COUNTS = ("scale", "intruders"), ("drop", "keep")


@dataclass(frozen=True)
class Ablation:
    """Something taken away from an adapter.

    Attributes:
        kind: One of `KINDS`.
        text: As it was typed: `layers:0+1`.
        factor: Of `scale` and `intruders`.
        count: Of `drop` and `keep`.
        layers: Of `layers`.
        modules: Of `modules`, roles such as `q_proj`.
    """

    kind: str
    text: str
    factor: float = 1.0
    count: int = 0
    layers: tuple[int, ...] = ()
    modules: tuple[str, ...] = ()

    @property
    def words(self) -> str:
        """What the adapter is then: `without layers 0+1`, `only direction 1`, `intruders times 0.7`."""
        of = "direction 1" if self.count == 1 else f"directions 1 to {self.count}"
        named = "+".join(map(str, self.layers or self.modules))
        return {"scale": f"whole times {self.factor:g}", "intruders": f"intruders times {self.factor:g}",
                "drop": f"without {of}", "keep": f"only {of}",
                "layers": f"without layer{'s' * (len(self.layers) > 1)} {named}", "modules": f"without {named}"}[self.kind]

    @property
    def name(self) -> str:
        """As verdicts are called: `without_layers_0_1`."""
        return re.sub(r"\W+", "_", self.words)


def parse(text: str) -> Ablation:
    """Returns what a text asks to take away.

    Args:
        text: `kind:value`; several layers or modules are joined by +.

    Raises:
        OptionError: The kind is unknown or the value is none that it takes.
    """
    kind, colon, value = text.partition(":")
    if kind not in KINDS or not colon:
        digits = " (several layers are joined by +, as in layers:0+1)" if text.isdigit() else ""
        raise OptionError(f"ablate={text}: no such ablation{digits}; allowed, several separated by commas: "
                          f"{', '.join(KINDS.values())}")
    try:
        if kind in _NUMBERS:
            factor = float(value)
            if not 0 <= factor <= 10:
                raise ValueError
            return Ablation(kind, text, factor=factor)
        if kind in _COUNTS:
            return Ablation(kind, text, count=_positive(value))
        parts = value.split("+")
        if kind == "layers":
            return Ablation(kind, text, layers=tuple(_whole(part) for part in parts))
        if not all(parts):
            raise ValueError
    except ValueError as error:
        takes = {"layers": "whole numbers joined by +", "modules": "names joined by +"}
        allowed = "a number from 0 to 10" if kind in _NUMBERS else takes.get(kind, "a whole number from 1")
        raise OptionError(f"ablate={text}: {kind} takes {allowed}; type for example {KINDS[kind]}") from error
    return Ablation(kind, text, modules=tuple(parts))


def check(ablation: Ablation, *, layers: Sequence[int], roles: Sequence[str], rank: int) -> None:
    """Raises unless an ablation takes something away from an adapter, and leaves something.

    Args:
        ablation: From `parse`.
        layers: That the adapter changes.
        roles: Of the modules that it changes.
        rank: The largest of its modules.

    Raises:
        OptionError: It names layers, modules or directions that the adapter does not have, or all of them.
    """
    has: Sequence[object] = layers if ablation.kind == "layers" else roles
    asked: Sequence[object] = ablation.layers if ablation.kind == "layers" else ablation.modules
    missing = [each for each in asked if each not in has]
    if missing:
        raise OptionError(f"ablate={ablation.text}: the adapter has no {ablation.kind} {missing[0]}; it changes "
                          f"{', '.join(map(str, has))}")
    if asked and not set(has) - set(asked):
        raise OptionError(f"ablate={ablation.text} takes away all {ablation.kind} of the adapter and leaves the base; name "
                          f"fewer of {', '.join(map(str, has))}")
    most = {"drop": rank - 1, "keep": rank}.get(ablation.kind, ablation.count)
    if ablation.count > most:
        raise OptionError(f"ablate={ablation.text}: the adapter has {rank} directions in a module, of which {ablation.kind} "
                          f"takes " + (f"at most {most}" if most else "none: nothing would be left"))


def ablated(ablation: Ablation, layer: int, role: str, update: Update, weight: torch.Tensor, *, k: int = TOP,
            threshold: float = THRESHOLD) -> Update:
    """Returns what is left of one module's update.

    Args:
        ablation: From `parse`.
        layer: The module's layer.
        role: And its role.
        update: Whole.
        weight: [D_out, D_in] of the base; read only by `intruders`.
        k: Strongest directions of the tuned weight among which intruders are looked for.
        threshold: Of the cosine below which one is an intruder.
    """
    if ablation.kind == "intruders":
        return scale_intruders(weight, decompose(weight), update, ablation.factor, k=k, threshold=threshold)[0]
    if ablation.kind == "scale":
        return update.scaled(ablation.factor)
    if ablation.kind in _COUNTS:
        kept = slice(ablation.count, None) if ablation.kind == "drop" else slice(0, ablation.count)
        return update.part(kept)
    gone = layer in ablation.layers or role in ablation.modules
    return update.scaled(0.0) if gone else update


def _whole(text: str) -> int:
    if not text.isdecimal():
        raise ValueError(text)
    return int(text)


def _positive(text: str) -> int:
    count = _whole(text)
    if count < 1:
        raise ValueError(text)
    return count
