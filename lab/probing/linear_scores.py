"""How good predictions are: accuracy, balanced accuracy and bits, with intervals over whole groups of rows.

A score is a mean over rows, so that resampling groups is a product of matrices. … any leading axes, n rows, G groups.
"""

from dataclasses import dataclass

import numpy as np

RESAMPLES = 1000


@dataclass(frozen=True)
class Interval:
    """Values with the ends of their 95 % interval, arrays of one shape."""

    value: np.ndarray
    low: np.ndarray
    high: np.ndarray


def hits(log_probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Returns 1 where the most probable class is the label, else 0, [..., n].

    Args:
        log_probabilities: [..., n, C].
        labels: [n], or [..., n].
    """
    return (log_probabilities.argmax(-1) == labels).astype(float)


def bits(log_probabilities: np.ndarray, labels: np.ndarray, marginals: np.ndarray) -> np.ndarray:
    """Returns by how many bits the label is less surprising than by the classes' frequencies alone, [..., n].

    Args:
        log_probabilities: [..., n, C] nats.
        labels: [n], or [..., n].
        marginals: [C], or [..., C]: frequencies in training, from `marginals`.
    """
    which = np.broadcast_to(labels, log_probabilities.shape[:-1])[..., None]
    said = np.take_along_axis(log_probabilities, which, -1)
    alone = np.take_along_axis(np.broadcast_to(np.log(marginals)[..., None, :], log_probabilities.shape), which, -1)
    return (said - alone)[..., 0] / np.log(2)


def marginals(labels: np.ndarray, classes: int) -> np.ndarray:
    """Returns each class's share [..., C] among labels [..., n], each counted half a time more so that none is 0."""
    counts = np.stack([(labels == one).sum(-1) for one in range(classes)], -1) + 0.5
    return counts / counts.sum(-1, keepdims=True)


def balanced(correct: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Returns the mean over the classes that occur of the share of their rows that is right [...].

    Args:
        correct: [..., n].
        labels: [n].
    """
    return np.mean([correct[..., labels == one].mean(-1) for one in np.unique(labels)], axis=0)


def majority(train: np.ndarray, test: np.ndarray) -> float:
    """Returns the accuracy on test labels [n] of always saying the most frequent training label."""
    return float((test == np.bincount(train).argmax()).mean())


def resampled(groups: np.ndarray, *, draws: int = RESAMPLES, seed: int = 0) -> np.ndarray:
    """Returns weights of rows [draws, n] under resampling of whole groups with replacement; each draw sums to 1.

    Args:
        groups: [n], rows of one group are no independent evidence.
        draws: How many.
        seed: Of the resampling.
    """
    inverse = np.unique(groups, return_inverse=True)[1]
    count = int(inverse.max()) + 1
    times = np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), draws)[:, inverse].astype(float)
    return times / times.sum(1, keepdims=True)


def interval(scores: np.ndarray, weights: np.ndarray) -> Interval:
    """Returns means over rows with percentile bootstrap intervals, [...].

    For a paired difference give the difference row by row: both sides are then resampled together.

    Args:
        scores: [..., n] per row.
        weights: [draws, n], from `resampled`.
    """
    value = scores.mean(-1)
    low, high = np.percentile(scores @ weights.T, [2.5, 97.5], axis=-1)
    return Interval(value, low, high)


def selectivity(task: np.ndarray, control: np.ndarray, weights: np.ndarray, *, seed: int = 0) -> Interval:
    """Returns accuracy minus that on the control task, with an interval over groups and draws of the control [...].

    Args:
        task: [..., n] hits on the task.
        control: [..., M, n] hits on every draw of the control task, the same rows.
        weights: [draws, n], from `resampled`; every draw also resamples the control tasks.
        seed: Of the latter.
    """
    count = control.shape[-2]
    drawn = np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), len(weights)) / count  # [draws, M]
    found = task @ weights.T - np.einsum("...mb,bm->...b", control @ weights.T, drawn)
    low, high = np.percentile(found, [2.5, 97.5], axis=-1)
    return Interval(task.mean(-1) - control.mean((-1, -2)), low, high)
