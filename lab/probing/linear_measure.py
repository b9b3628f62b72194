"""What is readable at every place of a model: fitted on one part of a task, judged on the other.

S places, N rows of a task, n test rows, M control tasks, C classes.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import ceil

import numpy as np
import torch

from lab.data.labelled import Labelled
from lab.errors import DataError
from lab.probing.linear_controls import control_labels
from lab.probing.linear_cues import cue_features
from lab.probing.linear_fit import Probes, fit
from lab.probing.linear_null import Null, null
from lab.probing.linear_scores import bits, hits, marginals
from lab.probing.linear_splits import TEST_SHARE, Split, disjoint_types, folds, shared_types
from lab.probing.linear_wide import wide_predictions

LEAST_TESTED = 20  # rows
LEAST_GROUPS = 5


@dataclass(frozen=True)
class Part:
    """A split of a task with its labels: those of the task first, then its controls.

    Attributes:
        split: Which rows are fitted and tested.
        labels: [1 + M, N].
        classes: C.
        groups: [n], of the test rows, resampled whole; where types and groups cross, the fewer of both.
        fold: [train], for choosing penalties.
        crossed: [2, n], groups and types of the test rows, where types that are kept apart cross groups; None elsewhere.
    """

    split: Split
    labels: np.ndarray
    classes: int
    groups: np.ndarray
    fold: np.ndarray
    crossed: np.ndarray | None = None

    @property
    def tested(self) -> np.ndarray:
        """[1 + M, n], labels of the test rows."""
        return self.labels[:, self.split.test]


@dataclass(frozen=True)
class Readout:
    """How well probes read a task at every place of one model, row by row of the test part.

    Attributes:
        hits: [S, n], 1 where the probe is right.
        bits: [S, n], by which the label is less surprising than by the classes' frequencies.
        control: [S, M, n], hits on the control tasks; M is 0 where there are none.
        predicted: [S, n], classes.
        held_out_bits: [S], gain over the frequencies in cross-validation within training: by it a place can be chosen
            without a look at the test part.
        penalty: [S], chosen for the task.
    """

    hits: np.ndarray
    bits: np.ndarray
    control: np.ndarray
    predicted: np.ndarray
    held_out_bits: np.ndarray
    penalty: np.ndarray


def shared_part(task: Labelled, *, controls: int, seed: int) -> Part:
    """Returns the split that shares types and keeps contexts apart, with control tasks.

    Args:
        task: One that has such a split.
        controls: M.
        seed: Of split and controls.

    Raises:
        DataError: See `shared_types`; or too little is left to fit or to test.
    """
    with _about(task):
        split = shared_types(task.type, task.context, seed=seed)
    labels = np.concatenate([task.label[None], control_labels(task.type, task.label, draws=controls, seed=seed)])
    return _part(task, split, labels, task.group[split.test], seed)


def disjoint_part(task: Labelled, *, seed: int) -> Part:
    """Returns the split that keeps types and groups apart.

    Args:
        task: One that has such a split.
        seed: Of the split.

    Raises:
        DataError: See `disjoint_types`; or too little is left to fit or to test.
    """
    with _about(task):
        split = disjoint_types(task.type, task.group, task.label, seed=seed)
    if not split.crossed:
        return _part(task, split, task.label[None], split.units[split.test], seed)
    both = np.stack([task.group, task.type])[:, split.test]
    fewer = min(both, key=lambda each: len(np.unique(each)))
    return replace(_part(task, split, task.label[None], fewer, seed), crossed=both)


def read(features: torch.Tensor, part: Part) -> tuple[Readout, Probes]:
    """Returns what linear probes read at every place, and the probes.

    Args:
        features: [S, N, D].
        part: From `shared_part` or `disjoint_part`.
    """
    train, test = part.split.train, part.split.test
    probes = fit(features[:, train], part.labels[:, train], part.classes, part.fold)
    alone = marginals(part.labels[0, train], part.classes)
    surprise = -np.log(alone[part.labels[0, train]]).mean()
    held_out = (surprise - probes.held_out_nats[:, 0].cpu().numpy()) / np.log(2)
    return readout(probes.log_probabilities(features[:, test]), part, held_out, probes.penalty[:, 0].cpu().numpy()), probes


def readout(said: np.ndarray, part: Part, held_out_bits: np.ndarray, penalty: np.ndarray) -> Readout:
    """Returns the scores of predictions.

    Args:
        said: [S, 1 + M, n, C], ln p of every class.
        part: What was asked.
        held_out_bits: [S].
        penalty: [S].
    """
    right = hits(said, part.tested)
    alone = marginals(part.labels[0, part.split.train], part.classes)
    return Readout(right[:, 0], bits(said[:, 0], part.tested[0], alone), right[:, 1:], said[:, 0].argmax(-1), held_out_bits,
                   penalty)


def moved(probes: Probes, features: torch.Tensor, part: Part) -> np.ndarray:
    """Returns hits [S, n] of probes fitted on one model and read on another's activations [S, N, D], same rows."""
    return hits(probes.log_probabilities(features[:, part.split.test])[:, 0], part.tested[0])


def wide(features: torch.Tensor, part: Part, *, hidden: int, seed: int) -> Readout:
    """Returns what a probe with one hidden layer reads, too large on purpose.

    Args:
        features: [S, N, D].
        part: As in `read`.
        hidden: Width of its hidden layer.
        seed: Of its first weights.
    """
    said = wide_predictions(features, part.labels, part.classes, part.split.train, part.split.test, part.fold, hidden=hidden,
                            seed=seed)
    nothing = np.full(len(features), np.nan)
    return readout(said, part, nothing, nothing)


def cues(task: Labelled, part: Part) -> Readout | None:
    """Returns what a probe reads from position, form of words and token alone; None if the label follows from none."""
    columns: Mapping[str, np.ndarray] = {name: getattr(task, name) for name in task.follows}
    if not columns:
        return None
    return read(cue_features(columns, part.split.train), part)[0]


def against_null(readout: Readout, part: Part, *, draws: int, seed: int) -> Null:
    """Returns the permutation null of a readout on the split that keeps types apart.

    Args:
        readout: Of that split.
        part: Likewise.
        draws: Permutations.
        seed: Of the permutations.
    """
    groups, types = (part.groups, None) if part.crossed is None else part.crossed
    return null(readout.predicted, part.tested[0], groups, types=types, draws=draws, seed=seed)


def _part(task: Labelled, split: Split, labels: np.ndarray, groups: np.ndarray, seed: int) -> Part:
    seen, tested = len(np.unique(labels[0, split.train])), len(np.unique(groups))
    problem = ("training rows of one class only" if seen < 2 else
               f"{len(split.test)} test rows" if len(split.test) < LEAST_TESTED else
               f"test rows of {tested} groups" if tested < LEAST_GROUPS else "")
    if problem:
        raise DataError(f"{task.called}: a split of its {len(task.label)} rows leaves {problem}; needed are two classes, "
                        f"{LEAST_TESTED} test rows and {LEAST_GROUPS} groups of them: {_more(task, split, tested, seen)}")
    with _about(task):
        return Part(split, labels, len(task.classes), groups, folds(split.units[split.train], seed=seed))


def _more(task: Labelled, split: Split, tested: int, seen: int) -> str:
    """What to give instead of too few rows."""
    if seen < 2:
        return "give more rows, of several types and groups, of the classes that are rare"
    there = len(task.label)
    rows = max(ceil(LEAST_TESTED / TEST_SHARE), *(ceil(there * least / found) for least, found in (
        (LEAST_TESTED, len(split.test)), (LEAST_GROUPS, tested))))
    return f"about {rows} rows, and there are only {there}; give more rows" if task.whole else f"give count={rows} or more"


class _about:
    """Names the task in what a split says is wrong with it."""

    def __init__(self, task: Labelled) -> None:
        self._task = task

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if isinstance(error, DataError):
            raise DataError(f"{self._task.called}: {error}") from error
