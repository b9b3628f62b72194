"""What each adapter changes about attention, and what random directions of its size change, on the same prompts."""

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from lab.adapters import haar
from lab.adapters.spectra import spectra
from lab.attention.routing import attention_layers
from lab.data.prompts import Prompt
from lab.evaluation.family_wise import FamilyWise, family_wise
from lab.studies.attention_rows import adapters_at_once, compared
from lab.studies.attention_trained import Trained

NULLS = ("divergence", "direct", "inherited", "output_change")
TWO_SIDED = 0.05


@dataclass(frozen=True)
class Changes:
    """One tuned model against its base; P prompts, D draws from the null.

    Attributes:
        trained: What was tuned.
        base: Statistics of the base by name, [P, L, H].
        tuned: Statistics of the tuned model by name, [P, L, H].
        uniform: What uniform attention would give by name, [P, L].
        values: Changes by name, [P, L, H]: divergence, direct and inherited in nats, output_change relative.
        null: The same of the draws, [D, P, L, H]; empty where there is no null.
        moved: How far draws move each statistic, mean over prompts, by name, [D, L, H]; likewise.
        test: Which heads changed more than the null; None where there is no null.
        layers: Indices of the layers with softmax attention; in others everything is nan.
    """

    trained: Trained
    base: dict[str, np.ndarray]
    tuned: dict[str, np.ndarray]
    uniform: dict[str, np.ndarray]
    values: dict[str, np.ndarray]
    null: dict[str, np.ndarray]
    moved: dict[str, np.ndarray]
    test: FamilyWise | None
    layers: list[int]

    @property
    def divergence(self) -> np.ndarray:
        """[L, H], nats, mean over prompts."""
        return self.values["divergence"].mean(0)

    def beyond(self, name: str) -> np.ndarray:
        """[L, H], where a statistic moved further up or down than draws move it, two-sided at 5 %, each head alone."""
        own, drawn = mean_over(self.tuned[name] - self.base[name], 0), self.moved[name]
        tail = np.minimum((drawn >= own).sum(0), (drawn <= own).sum(0)) + 1
        return np.isfinite(own) & (2 * tail / (len(drawn) + 1) <= TWO_SIDED + 1e-9)


def changes(model: Any, trained: Sequence[Trained], prompts: Sequence[Prompt], *, draws: int, recent: int, seed: int,
            routed: bool) -> list[Changes]:
    """Returns each adapter against the base, and against draws of its own singular values.

    Args:
        model: A PEFT model with the adapters on it, in evaluation mode.
        trained: What they are.
        prompts: What all of them read.
        draws: From the null, for each adapter.
        recent: See `lab.attention.compare.compare`.
        seed: Of the draws.
        routed: See `lab.attention.compare.compare`.

    Raises:
        ModelUnsupported: An adapter has no random counterpart, or attention is not finite.
    """
    base, tuned, uniform, values = compared(model, [one.name for one in trained], prompts, recent=recent, routed=routed)
    layers = attention_layers(model)
    found = []
    for index, one in enumerate(trained):
        own = {name: each[index] for name, each in values.items()}
        null, moved = _null(model, one, prompts, draws=draws, recent=recent, seed=seed, routed=routed)
        test = _with_all_layers(family_wise(own["divergence"][:, layers], null["divergence"][:, :, layers]), layers,
                                own["divergence"].shape[1])
        changed = {name: each[index] for name, each in tuned.items()}
        found.append(Changes(one, base, changed, uniform, own, null, moved, test, layers))
    return found


def _null(model: Any, one: Trained, prompts: Sequence[Prompt], *, draws: int, recent: int, seed: int, routed: bool
          ) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    slots = [f"null_{index}" for index in range(min(draws, adapters_at_once(prompts)))]
    haar.add_slots(model, one.name, slots)
    values, parts, moved, began = spectra(model, one.name), [], [], time.monotonic()
    try:
        for first in range(0, draws, len(slots)):
            now = slots[:draws - first]
            for offset, slot in enumerate(now):
                # every seed draws other adapters, and those of a smaller number of draws are among them
                haar.draw(model, one.name, slot, seed * 1_000_003 + first + offset, values)
            base, tuned, _, changed = compared(model, now, prompts, recent=recent, routed=routed)
            parts.append(changed)
            moved.append({name: mean_over(tuned[name] - values, 1) for name, values in base.items()})
            _say(one.label, first + len(now), draws, began)
    finally:
        haar.remove_slots(model, slots)
    return ({name: np.concatenate([part[name] for part in parts]) for name in NULLS},
            {name: np.concatenate([part[name] for part in moved]) for name in moved[0]})


def mean_over(values: np.ndarray, axis: int) -> np.ndarray:
    """Returns the mean of the defined values along an axis, nan where none is."""
    return np.asarray(np.ma.masked_invalid(values).mean(axis=axis).filled(np.nan))


def _say(label: str, done: int, draws: int, began: float) -> None:
    if done == draws or done * 4 // draws > max(0, done - 8) * 4 // draws:
        print(f"null of {label}: {done}/{draws} draws, {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)


def _with_all_layers(test: FamilyWise, layers: list[int], count: int) -> FamilyWise:
    """The same with nan, or False, in layers that have no softmax attention."""
    if len(layers) == count:
        return test

    def spread(values: np.ndarray) -> np.ndarray:
        whole = np.full((count, values.shape[1]), False if values.dtype == bool else np.nan)
        whole[layers] = values
        return whole

    grids = {name: spread(value) for name, value in vars(test).items() if isinstance(value, np.ndarray) and value.ndim == 2}
    return replace(test, **grids)  # type: ignore[arg-type]
