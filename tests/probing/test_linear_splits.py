"""What may be shared between training and test is, and what may not is not."""

import numpy as np
import pytest

from lab.errors import DataError
from lab.probing.linear_splits import disjoint_types, folds, shared_types, together

TYPES, CONTEXTS = np.repeat(np.arange(20), 6), np.tile(np.arange(6), 20)
LABELS = TYPES % 2


def apart(values: np.ndarray, split) -> bool:
    return not set(values[split.train]) & set(values[split.test])


def test_shared_types_keep_contexts_apart_and_show_every_tested_type_in_training():
    split = shared_types(TYPES, CONTEXTS, seed=0)
    assert apart(CONTEXTS, split) and set(TYPES[split.test]) <= set(TYPES[split.train])
    assert 0.15 < len(split.test) / len(TYPES) < 0.5
    assert len(split.train) + len(split.test) == len(TYPES)
    assert (split.units == CONTEXTS).all()  # as new to a fold as test contexts are to training


def test_a_row_whose_type_is_not_in_training_is_in_neither_part():
    types = TYPES.copy()
    split = shared_types(types, CONTEXTS, seed=0)
    types[split.test[0]] = 99
    assert split.test[0] not in shared_types(types, CONTEXTS, seed=0).test


def test_disjoint_types_keep_types_and_groups_apart():
    groups = TYPES // 2
    split = disjoint_types(TYPES, groups, LABELS, seed=0)
    assert apart(TYPES, split) and apart(groups, split) and len(split.train) + len(split.test) == len(TYPES)
    assert 0.2 < len(split.test) / len(TYPES) < 0.4


def test_every_class_is_tested_about_alike():
    types = np.repeat(np.arange(80), 2)
    for seed in range(20):
        split = disjoint_types(types, types, types % 8, seed=seed)
        assert np.bincount(types[split.test] % 8, minlength=8).min() >= 4  # of 20 rows each, 6 are expected


def test_types_that_occur_in_every_group_are_drawn_apart_from_them():
    split = disjoint_types(CONTEXTS, TYPES, LABELS, seed=0)  # each of 6 types in each of 20 groups
    assert apart(CONTEXTS, split) and apart(TYPES, split) and len(split.test) >= 8 and len(split.train) >= 36


def test_another_seed_tests_other_types():
    one, same, other = (disjoint_types(TYPES, TYPES, LABELS, seed=seed) for seed in (0, 0, 1))
    assert (one.test == same.test).all() and set(one.test) != set(other.test)


def test_rows_hang_together_by_type_or_group():
    assert together(np.array([0, 0, 1, 2, 3]), np.array([5, 6, 6, 7, 7])).tolist() == [0, 0, 0, 1, 1]


def test_folds_keep_units_whole_and_are_of_one_size():
    units = np.repeat(np.arange(9), [5, 5, 5, 1, 1, 1, 4, 4, 4])
    part = folds(units, seed=0)
    assert np.bincount(part).tolist() == [10, 10, 10]
    assert len(np.unique(np.stack([part, units]), axis=1).T) == 9
    assert set(folds(np.array([3, 3, 8]), seed=0)) == {0, 1}


@pytest.mark.parametrize("make, words", [
    (lambda: shared_types(TYPES, CONTEXTS % 2, seed=0), "2 contexts: a split that shares types needs at least 3"),
    (lambda: shared_types(np.arange(9), np.arange(9), seed=0), "no type occurs in two contexts"),
    (lambda: disjoint_types(TYPES % 3, TYPES, LABELS, seed=0), "3 types: a split that keeps them apart needs at least 4"),
    (lambda: disjoint_types(TYPES, TYPES % 2, LABELS, seed=0), "2 groups: a split that keeps them apart needs at least 4"),
    (lambda: folds(np.zeros(5), seed=0), "all of one unit")])
def test_what_cannot_be_split_is_an_error(make, words):
    with pytest.raises(DataError, match=words):
        make()


def test_types_and_groups_that_leave_no_common_rows_are_an_error():
    # one type meets every group and one group every type
    types, groups = np.array([0, 0, 0, 0, 1, 2, 3]), np.array([0, 1, 2, 3, 0, 0, 0])
    errors = 0
    for seed in range(20):
        try:
            split = disjoint_types(types, groups, types, seed=seed)
            assert apart(types, split) and apart(groups, split)
        except DataError as error:
            assert "so entangled that no rows are left" in str(error)
            errors += 1
    assert errors
