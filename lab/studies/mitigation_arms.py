"""What was measured of each remedy, on the same rows, items and documents, and every number that is made of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from math import log

import numpy as np

from lab.evaluation.intervals import Estimate
from lab.options import text_of
from lab.studies.mitigation_intervals import POINTS, Drawn, by_cluster, points

KINDS = {"scale": "scaled down", "replay": "replay", "stop": "stopped early", "rate": "lower rate"}


@dataclass(frozen=True, eq=False)
class Arm:
    """One model's answers.

    Attributes:
        kind: `base`, `trained` (as the run left it), or one of `KINDS`.
        value: The factor of a scaled adapter, the share of replayed rows, the step stopped at, the rate.
        run_id: The run that holds the weights, or that they are made from; empty for the base.
        row_nll: [rows] nats, of the held-out rows of what was trained.
        correct: By suite, [N] bool.
        text_nll: [D] nats, of whole documents.
        steps: Optimiser steps that the training took, 0 for none.
    """

    kind: str
    value: float
    run_id: str
    row_nll: np.ndarray = field(repr=False)
    correct: Mapping[str, np.ndarray] = field(repr=False)
    text_nll: np.ndarray = field(repr=False)
    steps: int = 0

    @property
    def label(self) -> str:
        """Tells it from the others: `scaled by 0.5`, `replay 25 %`."""
        return {"base": "base", "trained": "as trained", "scale": f"scaled by {text_of(self.value)}",
                "replay": f"replay {100 * self.value:g} %", "stop": f"stopped at step {self.value:g}",
                "rate": f"rate {text_of(self.value)}"}[self.kind]

    @property
    def short(self) -> str:
        """The same where its kind is said already: `× 0.5`, `25 %`."""
        return {"scale": f"× {text_of(self.value)}", "replay": f"{100 * self.value:g} %", "stop": f"step {self.value:g}",
                "rate": text_of(self.value)}.get(self.kind, self.label)


@dataclass(frozen=True, eq=False)
class Measured:
    """The base, the run as it was trained, and its remedies, on the same evidence.

    Attributes:
        base: The bare base.
        trained: The run as it is, untreated.
        remedies: The others.
        row_tokens: [rows], trained tokens of the held-out rows.
        clusters: By suite, [N]; items of one cluster are no independent evidence.
        text_bytes: [D].
        answers: Alternatives of each held-out answer where its information is known, else None.
    """

    base: Arm
    trained: Arm
    remedies: Sequence[Arm]
    row_tokens: np.ndarray
    clusters: Mapping[str, np.ndarray]
    text_bytes: np.ndarray
    answers: int | None = None

    @property
    def arms(self) -> list[Arm]:
        """All of them, the base first and the untreated run second."""
        return [self.base, self.trained, *self.remedies]

    def of(self, kind: str) -> list[Arm]:
        """The remedies of a kind, by value."""
        return sorted((arm for arm in self.remedies if arm.kind == kind), key=lambda arm: arm.value)

    @property
    def items(self) -> int:
        """Questions over all suites."""
        return sum(map(len, self.clusters.values()))

    @cached_property
    def _drawn(self) -> "dict[int, _Drawn]":
        return _resample(self)

    def loss(self, arm: Arm) -> np.ndarray:
        """Held-out nats per trained token, [1 + draws], as measured first and then with rows resampled alike for all."""
        return self._drawn[id(arm)].loss

    def learned(self, arm: Arm) -> np.ndarray:
        """How much lower the loss is than the base's, nats per token, [1 + draws]."""
        return self.loss(self.base) - self.loss(arm)

    def kept(self, arm: Arm) -> np.ndarray:
        """Share of what the untreated run learned, [1 + draws]."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return self.learned(arm) / self.learned(self.trained)

    def lost(self, arm: Arm) -> np.ndarray:
        """Percentage points lost against the base, mean over suites, [1 + draws], whole clusters resampled."""
        return self._drawn[id(self.base)].right - self._drawn[id(arm)].right

    def text_lost(self, arm: Arm) -> np.ndarray:
        """Bits per byte that documents cost more than under the base, [1 + draws]."""
        return self._drawn[id(arm)].bits - self._drawn[id(self.base)].bits

    def saved(self, arm: Arm, other: Arm, *, family: int = 1) -> Estimate:
        """Points that one loses less than another, with its interval over items; see `mitigation_intervals.right`."""
        return points(arm.correct, other.correct, self.clusters, family=family)

    @property
    def row_covers(self) -> str:
        """What the intervals of learning cover."""
        return f"held-out rows only (n={len(self.row_tokens)})"



@dataclass(frozen=True, eq=False)
class _Drawn:
    """[1 + draws] each: held-out nats per token, percentage points that are right, bits per byte."""

    loss: np.ndarray
    right: np.ndarray
    bits: np.ndarray


def _resample(found: Measured) -> dict[int, _Drawn]:
    arms, generator = found.arms, np.random.default_rng(0)
    loss = Drawn(np.stack([arm.row_nll for arm in arms], 1), found.row_tokens).ratios(generator)
    right = np.mean([POINTS * by_cluster([arm.correct[suite] for arm in arms], clusters).ratios(generator)
                     for suite, clusters in found.clusters.items()], axis=0)
    bits = Drawn(np.stack([arm.text_nll for arm in arms], 1) / log(2), found.text_bytes).ratios(generator)
    return {id(arm): _Drawn(loss[:, at], right[:, at], bits[:, at]) for at, arm in enumerate(arms)}
