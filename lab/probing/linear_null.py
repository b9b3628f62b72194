"""What accuracy chance gives a probe on types it never saw: its predictions kept, labels permuted between groups.

S places (site and layer), P permutations, n test rows.
"""

from dataclasses import dataclass

import numpy as np

from lab.probing.linear_controls import permuted_labels

PERMUTATIONS = 999


@dataclass(frozen=True)
class Null:
    """Accuracies of every place beside what permuted labels give.

    Attributes:
        accuracy: [S].
        permuted: [P, S]; where types cross groups, P of either kind of permutation.
        low: [S], lower end of the middle 95 % of observed and permuted together.
        high: [S], upper end.
        p: [S], share of observed and permuted accuracies at least as high as the observed.
        adjusted_p: [S], the same of the largest over all places, each standardised: so that the best of many places is not
            taken for a finding by their number alone.
    """

    accuracy: np.ndarray
    permuted: np.ndarray
    low: np.ndarray
    high: np.ndarray
    p: np.ndarray
    adjusted_p: np.ndarray

    @property
    def inside(self) -> np.ndarray:
        """[S], whether the accuracy lies in the band, ends included."""
        return (self.accuracy >= self.low) & (self.accuracy <= self.high)


def null(predicted: np.ndarray, labels: np.ndarray, groups: np.ndarray, *, types: np.ndarray | None = None,
         draws: int = PERMUTATIONS, seed: int = 0) -> Null:
    """Returns the accuracies of fitted probes and their permutation null on a test part that shares no type with training.

    If labels say nothing about activations, the labels of the test groups are exchangeable given all that was fitted, so
    that observed and permuted accuracies are draws from one distribution: p-values and band are exact whatever the probe,
    its penalty and its selection, and nothing has to be fitted again (Phipson and Smyth, 2010, for the observed one
    counted among the draws). All places see the same permutations, which the adjusted p-values rest on (Westfall and Young,
    1993, single step).

    Where rows of one type are in several groups, they are no more independent than rows of a group: a probe that is right
    about a type by luck is right about it in all groups. Labels then change places between groups, and apart from that
    between types, and what is less favourable of both holds.

    Args:
        predicted: [S, n], classes.
        labels: [n].
        groups: [n], whose labels change places as whole blocks.
        types: [n], if they cross groups.
        draws: P.
        seed: Of the permutations.
    """
    found = _against(predicted, labels, permuted_labels(labels, groups, draws=draws, seed=seed))
    if types is None:
        return found
    other = _against(predicted, labels, permuted_labels(labels, types, draws=draws, seed=seed, shuffled=True))
    return Null(found.accuracy, np.concatenate([found.permuted, other.permuted]), np.minimum(found.low, other.low),
                np.maximum(found.high, other.high), np.maximum(found.p, other.p),
                np.maximum(found.adjusted_p, other.adjusted_p))


def _against(predicted: np.ndarray, labels: np.ndarray, shuffled: np.ndarray) -> Null:
    """Accuracies on labels [n] beside those on shuffled ones [P, n]."""
    accuracy = (predicted == labels).mean(1)
    permuted = np.zeros((len(shuffled), len(predicted)))
    for one in np.unique(labels):
        permuted += (shuffled == one).astype(np.float32) @ (predicted == one).T.astype(np.float32)
    every = np.concatenate([accuracy[None], permuted / len(labels)])
    every = np.round(every * len(labels)) / len(labels)  # equal accuracies are equal, however they were summed
    spread = every.std(0)
    standard = np.where(spread > 0, (every - every.mean(0)) / np.where(spread > 0, spread, 1), -np.inf)
    maxima = np.nan_to_num(standard, neginf=-1e30).max(1)
    low, high = np.quantile(every, 0.025, axis=0, method="lower"), np.quantile(every, 0.975, axis=0, method="higher")
    return Null(every[0], every[1:], low, high, (every >= every[0] - 1e-12).mean(0),
                np.where(spread > 0, (maxima[:, None] >= standard[0] - 1e-9).mean(0), 1.0))
