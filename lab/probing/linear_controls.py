"""Labels with nothing to find in them: control tasks, and labels permuted between groups; N rows."""

import numpy as np


def control_labels(types: np.ndarray, labels: np.ndarray, *, draws: int, seed: int) -> np.ndarray:
    """Returns control tasks [draws, N]: for each type one label for good, drawn with the labels' own frequencies.

    A probe can only learn them by heart, type by type (Hewitt and Liang, 2019, arXiv:1909.03368, section 2). Labels
    shuffled row by row would be no such control: nothing could learn them.

    Args:
        types: [N].
        labels: [N].
        draws: How many.
        seed: Of the draws.
    """
    inverse = np.unique(types, return_inverse=True)[1]
    rng = np.random.default_rng(seed)
    drawn = rng.choice(labels, (draws, inverse.max() + 1))
    for one in np.flatnonzero((drawn == drawn[:, :1]).all(1)):  # with one class there would be nothing to fit
        drawn[one, rng.integers(drawn.shape[1])] = rng.choice(labels[labels != drawn[one, 0]])
    return drawn[:, inverse]


def permuted_labels(labels: np.ndarray, groups: np.ndarray, *, draws: int, seed: int, shuffled: bool = False) -> np.ndarray:
    """Returns labels [draws, N] that changed places between groups, the labels of a group as one block.

    Rows of a group are no independent evidence; to permute them one by one would make chance look rarer than it is. Where
    each group has one label, groups swap labels whatever their sizes. Where labels vary within groups, blocks change places
    as they stand between groups of one size, so that every label stays as frequent as it is; a group alone in its size
    keeps its own, which can only make a band wider.

    Args:
        labels: [N].
        groups: [N].
        draws: How many.
        seed: Of the draws.
        shuffled: Whether labels also change places within each group, where no order of its rows means anything.
    """
    _, inverse, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    order = np.argsort(inverse, kind="stable")
    begins = np.cumsum(sizes) - sizes
    within = np.empty(len(labels), dtype=np.int64)  # place of a row in its group
    within[order] = np.arange(len(labels)) - np.repeat(begins, sizes)
    rng = np.random.default_rng(seed)
    one_each = bool((labels == labels[order][begins][inverse]).all())
    other = np.tile(np.arange(len(sizes)), (draws, 1))  # [draws, groups]
    for members in [np.arange(len(sizes))] if one_each else [np.flatnonzero(sizes == size) for size in np.unique(sizes)]:
        other[:, members] = rng.permuted(other[:, members], axis=1)
    if shuffled:
        within = _shuffled(inverse, order, begins, sizes, rng, draws)
    return labels[order][begins[other[:, inverse]] + (0 if one_each else within)]


def _shuffled(inverse: np.ndarray, order: np.ndarray, begins: np.ndarray, sizes: np.ndarray, rng: np.random.Generator,
              draws: int) -> np.ndarray:
    """Places [draws, N] of rows in their groups, in random order."""
    drawn = np.argsort(inverse[order] + rng.random((draws, len(order))), axis=1)  # groups stay in order, rows within do not
    found = np.empty_like(drawn)
    found[:, order] = drawn - np.repeat(begins, sizes)
    return found
