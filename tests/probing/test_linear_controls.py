"""Control labels belong to types, permuted labels to groups."""

import numpy as np

from lab.probing.linear_controls import control_labels, permuted_labels

TYPES = np.repeat(np.arange(400), 3)
LABELS = (TYPES % 4 == 0).astype(int) + 2 * (TYPES % 8 == 1)


def test_control_labels_are_one_per_type_with_the_frequencies_of_the_labels():
    drawn = control_labels(TYPES, LABELS, draws=4, seed=0)
    assert drawn.shape == (4, 1200)
    for one in drawn:
        assert len(np.unique(np.stack([TYPES, one]), axis=1).T) == 400
        np.testing.assert_allclose(np.bincount(one) / 1200, np.bincount(LABELS) / 1200, atol=0.07)
    assert (drawn[0] != drawn[1]).any() and (drawn == control_labels(TYPES, LABELS, draws=4, seed=0)).all()


def test_no_control_task_is_of_one_class():
    labels = np.array([0] * 99 + [1])
    drawn = control_labels(np.arange(100) // 25, labels, draws=50, seed=0)
    assert all(len(np.unique(one)) == 2 for one in drawn)


def test_labels_of_groups_change_places_as_blocks():
    groups = np.repeat(np.arange(6), 4)[np.random.default_rng(0).permutation(24)]
    labels = groups % 3 * 10 + np.arange(24) % 2
    blocks = {tuple(labels[groups == one]) for one in range(6)}
    drawn = permuted_labels(labels, groups, draws=200, seed=1)
    for one in drawn:
        assert sorted(tuple(one[groups == group]) for group in range(6)) == sorted(
            tuple(labels[groups == group]) for group in range(6))
    assert {tuple(one[groups == 0]) for one in drawn} == blocks


def test_blocks_that_vary_within_keep_to_groups_of_their_size():
    groups = np.array([0, 0, 1, 1, 2, 2, 2])
    drawn = permuted_labels(np.array([1, 2, 3, 4, 5, 6, 7]), groups, draws=50, seed=0)
    assert {tuple(one) for one in drawn} == {(1, 2, 3, 4, 5, 6, 7), (3, 4, 1, 2, 5, 6, 7)}


def test_labels_shuffled_within_stay_in_their_block():
    groups, labels = np.array([1, 0, 1, 0, 2, 2, 2]), np.array([1, 2, 3, 4, 5, 6, 7])
    drawn = permuted_labels(labels, groups, draws=400, seed=0, shuffled=True)
    assert {frozenset(one[groups == 2]) for one in drawn} == {frozenset((5, 6, 7))}
    assert {frozenset(one[groups == 0]) for one in drawn} == {frozenset((2, 4)), frozenset((1, 3))}
    assert len({tuple(one) for one in drawn}) == 2 * 2 * 2 * 6 and (np.sort(drawn) == np.sort(labels)).all()


def test_groups_of_unlike_sizes_swap_their_one_label():
    groups = np.array([0, 0, 0, 1, 2, 2])
    drawn = permuted_labels(np.array([7, 7, 7, 8, 9, 9]), groups, draws=300, seed=0)
    assert {tuple(one) for one in drawn} == {
        (a, a, a, b, c, c) for a, b, c in ((7, 8, 9), (7, 9, 8), (8, 7, 9), (8, 9, 7), (9, 7, 8), (9, 8, 7))}
