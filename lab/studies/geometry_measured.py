"""The shape of every module's update, of one or several trainings, as maps of layers and modules."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from lab.adapters.geometry import Geometry, measure
from lab.adapters.intruders import counts, energy_share
from lab.adapters.modules import check_plain, modules, update_of, weight_of
from lab.adapters.places import places
from lab.adapters.spectra import as_grid
from lab.adapters.weights import as_update, decompose
from lab.errors import ModelUnsupported, OptionError
from lab.studies.attention_trained import Trained

THRESHOLDS = np.round(np.arange(0.1, 1.0, 0.1), 2)


@dataclass(frozen=True)
class Measured:
    """One training's update; N draws from the null.

    Attributes:
        trained: What was trained.
        modules: Its geometry by module name.
        dense: Whether the update is a difference of whole weights.
    """

    trained: Trained
    modules: dict[str, Geometry]
    dense: bool = False

    @property
    def roles(self) -> list[str]:
        """Of the modules, such as `q_proj`."""
        return places(list(self.modules))[1]

    def grid(self, value: Callable[[Geometry], Any]) -> np.ndarray:
        """[L, modules, ...], nan where a layer has no such module."""
        each = {name: np.asarray(value(one), dtype=float) for name, one in self.modules.items()}
        flat, _ = as_grid({name: values.ravel() for name, values in each.items()})
        return flat.reshape(*flat.shape[:2], *next(iter(each.values())).shape)

    def spectra(self) -> np.ndarray:
        """[L, modules, R] singular values."""
        return as_grid({name: one.singular_values for name, one in self.modules.items()})[0]

    def intruders(self, thresholds: np.ndarray) -> np.ndarray:
        """[L, modules, thresholds], intruder dimensions among the k strongest directions."""
        return self.grid(lambda one: counts(one.cosine, thresholds))

    def null_intruders(self, thresholds: np.ndarray) -> np.ndarray:
        """[L, modules, N, thresholds], those that random directions of the same sizes make."""
        return self.grid(lambda one: counts(one.null_cosine, thresholds))

    def energy(self, thresholds: np.ndarray) -> np.ndarray:
        """[L, modules, thresholds], share of the energy of the k strongest directions that intruders hold."""
        return self.grid(lambda one: energy_share(one.top_values, one.cosine, thresholds))

    def null_energy(self, thresholds: np.ndarray) -> np.ndarray:
        """[L, modules, N, thresholds], the same of random directions."""
        return self.grid(lambda one: energy_share(one.null_top_values, one.null_cosine, thresholds))


def check(model: Any, trained: Sequence[Trained], k: int) -> None:
    """Raises unless every adapter has singular values to look at, and every module has k directions.

    Args:
        model: A PEFT model with the adapters on it.
        trained: What they are.
        k: Strongest directions that are asked for.

    Raises:
        ModelUnsupported: An adapter is more than products of factors, or changes no linear module.
        OptionError: A module has fewer than k directions.
    """
    for one in trained:
        check_plain(model, one.name)
        held = modules(model, one.name)
        if not held:
            raise ModelUnsupported(f"run {one.capsule.run_id}: its adapter changes no linear module; there is nothing to "
                                   "measure")
        check_k(k, {name: (layer.out_features, layer.in_features) for name, layer in held.items()})


def check_k(k: int, shapes: dict[str, tuple[int, int]]) -> None:
    """Raises OptionError unless every module has k directions."""
    smallest = min(shapes, key=lambda name: min(shapes[name]))
    most = min(shapes[smallest])
    if k > most:
        raise OptionError(f"k={k}: {smallest} is {shapes[smallest][0]} × {shapes[smallest][1]} and has {most} directions; "
                          f"type k={min(10, most)}")


@torch.no_grad()
def measured(model: Any, trained: Sequence[Trained], *, k: int, draws: int, seed: int) -> list[Measured]:
    """Returns the geometry of every adapter on a model; each weight is decomposed once for all of them.

    Args:
        model: A PEFT model.
        trained: What is on it.
        k: See `lab.adapters.geometry.measure`.
        draws: From the null.
        seed: Of the draws.
    """
    held = {one.name: modules(model, one.name) for one in trained}
    names = list(dict.fromkeys(name for layers in held.values() for name in layers))
    found: dict[str, dict[str, Geometry]] = {one.name: {} for one in trained}
    for number, name in enumerate(names):
        weight = own = None
        for adapter, layers in held.items():
            if name not in layers:
                continue
            if own is None:
                weight = weight_of(layers[name])
                own = decompose(weight)
            assert weight is not None
            generator = torch.Generator("cpu").manual_seed(seed * 1_000_003 + number)
            found[adapter][name] = measure(weight, own, update_of(layers[name], adapter), rank=layers[name].r[adapter], k=k,
                                           draws=draws, generator=generator)
    return [Measured(one, found[one.name]) for one in trained]


@torch.no_grad()
def measured_whole(trained: Trained, pairs: Sequence[Any], *, k: int, draws: int, seed: int, device: str) -> Measured:
    """Returns the geometry of a whole model's difference from its base, one pair of weights in memory at a time.

    Args:
        trained: A training that kept a whole model.
        pairs: From `lab.adapters.difference.pairs`.
        k: See `lab.adapters.geometry.measure`.
        draws: From the null.
        seed: Of the draws.
        device: Where each pair is computed with.
    """
    found = {}
    for number, pair in enumerate(pairs):
        base, tuned = pair.read(device)
        update = as_update(tuned - base)
        del tuned
        generator = torch.Generator("cpu").manual_seed(seed * 1_000_003 + number)
        found[pair.name] = measure(base, decompose(base), update, rank=min(pair.shape), k=k, draws=draws,
                                   generator=generator, dense=True)
    return Measured(trained, found, dense=True)
