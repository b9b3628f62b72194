"""What an adapter loses with parts of it taken away, beside the whole update shrunk to the same norm."""

import contextlib
import math
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lab.adapters import ablation as ablations
from lab.adapters.ablation import Ablation
from lab.adapters.modules import modules, update_of, weight_of
from lab.adapters.places import places
from lab.adapters.update import Update
from lab.evaluation.intervals import Estimate, over_items
from lab.models.adapters import put_on
from lab.studies.attention_trained import Trained
from lab.studies.geometry_folders import write
from lab.training.evaluate import evaluate

Rows = Sequence[dict[str, Any]]
SLOT = "ablated"


@dataclass(frozen=True)
class Losses:
    """Negative log-likelihood of every row, in nats.

    Attributes:
        tokens: [rows], trained tokens.
        base: [rows], of the bare base.
        whole: [rows], of the whole adapter.
        ablated: [rows] by the text of the ablation.
        shrunk: [rows] by the text of the ablation, of the whole update at the ablated one's norm.
    """

    tokens: np.ndarray
    base: np.ndarray
    whole: np.ndarray
    ablated: dict[str, np.ndarray]
    shrunk: dict[str, np.ndarray]

    def loss(self, nll: np.ndarray) -> Estimate:
        """Nats per token, with its interval over rows."""
        return over_items(lambda rows: float(nll[rows].sum() / self.tokens[rows].sum()), len(nll))

    def difference(self, nll: np.ndarray, other: np.ndarray) -> Estimate:
        """Nats per token of one minus those of another on the same rows, with its interval over rows."""
        found = over_items(lambda rows: float((nll - other)[rows].sum() / self.tokens[rows].sum()), len(nll))
        return replace(found, covers=f"rows (n={len(nll)})")


@dataclass(frozen=True)
class Ablated:
    """All that was measured of one adapter's ablations.

    Attributes:
        losses: By what the rows are.
        norms: Norm of the ablated update as a share of the whole one's, by the text of the ablation.
        ranks: The largest rank that is left in a module, likewise.
        words: What each adapter is, likewise; `lab.adapters.ablation.Ablation.words`.
        nothing: Why an ablation changed nothing, by its text, of those that did not.
    """

    losses: dict[str, Losses]
    norms: dict[str, float]
    ranks: dict[str, int]
    words: dict[str, str] = field(default_factory=dict)
    nothing: dict[str, str] = field(default_factory=dict)


def check(model: Any, trained: Trained, asked: Sequence[Ablation]) -> None:
    """Raises OptionError unless every ablation takes something away from the adapter and leaves something."""
    held = modules(model, trained.name)
    at, roles = places(list(held))
    ranks = [min(layer.r[trained.name], layer.in_features, layer.out_features) for layer in held.values()]
    for one in asked:
        ablations.check(one, layers=sorted({layer for layer, _ in at.values()}), roles=roles, rank=max(ranks))


def measure(model: Any, tokenizer: Any, trained: Trained, asked: Sequence[Ablation], texts: Mapping[str, Rows], *, k: int,
            threshold: float, each: Callable[[Ablation, Path, Ablated], None]) -> Ablated:
    """Returns the losses of base, whole adapter, and every ablation with its control.

    Args:
        model: A PEFT model that has the adapter.
        tokenizer: With a pad token.
        trained: The adapter.
        asked: What is taken away.
        texts: Rows by what they are.
        k: See `lab.adapters.ablation.ablated`.
        threshold: Likewise.
        each: Called after each ablation with its folder, which is gone afterwards.
    """
    model.set_adapter(trained.name)

    def nll() -> dict[str, np.ndarray]:
        return {name: evaluate(model, rows, step=0, pad_id=tokenizer.pad_token_id).nll for name, rows in texts.items()}

    whole = nll()
    with model.disable_adapter():
        base = nll()
    tokens = {name: np.array([sum(label != -100 for label in row["labels"][1:]) for row in rows])
              for name, rows in texts.items()}
    found = Ablated({name: Losses(tokens[name], base[name], whole[name], {}, {}) for name in texts}, {}, {})
    before = math.sqrt(sum(update.norm**2 for update in _updates(model, trained.name).values()))
    for one in asked:
        with tempfile.TemporaryDirectory(prefix="lab-") as folder:
            updates, changed = _without(model, trained.name, one, k=k, threshold=threshold)
            found.words[one.text] = one.words
            if one.kind == "intruders" and not changed:
                found.nothing[one.text] = f"no intruder at ε = {threshold:g}, nothing was changed"
            write(trained.capsule, updates, Path(folder))
            share = math.sqrt(sum(update.norm**2 for update in updates.values())) / before if before else 1.0
            found.norms[one.text], found.ranks[one.text] = share, max(len(update.values) for update in updates.values())
            with _on(model, Path(folder), trained.name):
                _add(found, "ablated", one, nll())
            with shrunk(model, trained.name, share):
                _add(found, "shrunk", one, nll())
            each(one, Path(folder), found)
    return found


def _add(found: Ablated, arm: str, one: Ablation, nll: Mapping[str, np.ndarray]) -> None:
    for name, values in nll.items():
        getattr(found.losses[name], arm)[one.text] = values


@torch.no_grad()
def _updates(model: Any, adapter: str) -> dict[str, Update]:
    return {name: update_of(layer, adapter) for name, layer in modules(model, adapter).items()}


@torch.no_grad()
def _without(model: Any, adapter: str, one: Ablation, *, k: int, threshold: float) -> tuple[dict[str, Update], int]:
    """What is left of every module's update, and how many of them are another than before."""
    held = modules(model, adapter)
    at, roles = places(list(held))
    whole = {name: update_of(layer, adapter) for name, layer in held.items()}
    left = {name: ablations.ablated(one, at[name][0], roles[at[name][1]], whole[name], weight_of(layer), k=k,
                                    threshold=threshold) for name, layer in held.items()}
    return left, sum(left[name] is not whole[name] for name in held)


@contextlib.contextmanager
def _on(model: Any, folder: Path, before: str) -> Iterator[None]:
    """The adapter of a folder instead of the one before it."""
    put_on(model, folder, SLOT)
    try:
        model.set_adapter(SLOT)
        yield
    finally:
        model.set_adapter(before)
        model.delete_adapter(SLOT)


@contextlib.contextmanager
def shrunk(model: Any, adapter: str, share: float) -> Iterator[None]:
    """The whole update of an adapter times a number."""
    held = modules(model, adapter).values()
    before = [layer.scaling[adapter] for layer in held]
    try:
        for layer, scaling in zip(held, before, strict=True):
            layer.scaling[adapter] = scaling * share
        yield
    finally:
        for layer, scaling in zip(held, before, strict=True):
            layer.scaling[adapter] = scaling
