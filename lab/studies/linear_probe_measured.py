"""Every task at every place of every model: what the study measured, and the places it may speak of."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from lab.data.labelled import Labelled
from lab.errors import DataError
from lab.probing import linear_measure
from lab.probing.linear_measure import Part, Readout
from lab.probing.linear_null import Null
from lab.studies.linear_probe_features import Place

BASE, TUNED, UNTRAINED = "base", "tuned", "untrained"


@dataclass(frozen=True)
class Asked:
    """A task with its splits; None where one has no meaning for it."""

    task: Labelled
    shared: Part | None
    disjoint: Part | None


@dataclass(frozen=True)
class Found:
    """What was readable of one task, S places.

    Attributes:
        asked: The task and its splits.
        places: S.
        last: The model's last layer, probed or not.
        shared: By model, on types seen in training, contexts new; with control tasks for base and tuned.
        disjoint: By model, on types never seen.
        nulls: By model, of `disjoint`.
        cues: Of `shared` and `disjoint`, what position, form of words and token say alone; missing if nothing.
        wide: On `shared`, by the base's too large probe; None if not asked for.
        moved: Hits [S, n] of the base's probes on the tuned model's activations, types never seen; None without it.
    """

    asked: Asked
    places: list[Place]
    last: int
    shared: dict[str, Readout]
    disjoint: dict[str, Readout]
    nulls: dict[str, Null]
    cues: dict[str, Readout]
    wide: Readout | None
    moved: np.ndarray | None

    @property
    def name(self) -> str:
        """Of the task."""
        return self.asked.task.name

    def best(self, model: str, among: Sequence[int] | np.ndarray) -> int:
        """Returns the place of these where cross-validation within training gained most; the test part has no say."""
        told = self.disjoint.get(model) or self.shared[model]
        return int(np.asarray(among)[told.held_out_bits[among].argmax()])

    def early(self) -> np.ndarray:
        """Returns the numbers of the places before the model's last layer; the embedding is one."""
        return np.array([number for number, place in enumerate(self.places) if place.layer < self.last])


def ask(tasks: Sequence[Labelled], config: Any) -> list[Asked]:
    """Returns every task with the splits that have a meaning for it, made before anything is measured.

    Raises:
        DataError: A split is impossible with these rows, or a task has none.
    """
    found = []
    for task in tasks:
        if task.no_shared and task.no_disjoint:
            raise DataError(f"{task.name}: {task.no_shared}; and {task.no_disjoint}; so there is nothing to test on")
        found.append(Asked(
            task, None if task.no_shared else linear_measure.shared_part(task, controls=config.controls, seed=config.seed),
            None if task.no_disjoint else linear_measure.disjoint_part(task, seed=config.seed)))
    return found


def measure(asked: Asked, features: Mapping[str, torch.Tensor], places: list[Place], last: int, config: Any
            ) -> Found:
    """Returns what is readable of a task in every model.

    Args:
        asked: From `ask`.
        features: By model, [S, N, D].
        places: S.
        last: The model's last layer.
        config: Of the study.
    """
    found = Found(asked, places, last, {}, {}, {}, {}, None, None)
    if asked.shared is not None:
        for model, values in features.items():
            part = asked.shared if model != UNTRAINED else replace(asked.shared, labels=asked.shared.labels[:1])
            found.shared[model] = linear_measure.read(values, part)[0]
        _cues(found, "shared", asked.shared)
        if config.hidden is not None:
            found = replace(found, wide=linear_measure.wide(features[BASE], asked.shared, hidden=config.hidden,
                                                            seed=config.seed))
    return found if asked.disjoint is None else _disjoint(found, asked.disjoint, features, config)


def _disjoint(found: Found, part: Part, features: Mapping[str, torch.Tensor], config: Any) -> Found:
    moved = None
    for model, values in features.items():
        found.disjoint[model], probes = linear_measure.read(values, part)
        found.nulls[model] = linear_measure.against_null(found.disjoint[model], part, draws=config.permutations,
                                                         seed=config.seed)
        if model == BASE and TUNED in features:
            moved = linear_measure.moved(probes, features[TUNED], part)
    _cues(found, "disjoint", part)
    return replace(found, moved=moved)


def _cues(found: Found, split: str, part: Part) -> None:
    alone = linear_measure.cues(found.asked.task, replace(part, labels=part.labels[:1]))
    if alone is not None:
        found.cues[split] = alone
