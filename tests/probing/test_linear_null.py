"""The permutation null: its accuracies counted one by one, its p-values uniform, its maximum over places honest."""

import numpy as np
import pytest

from lab.probing.linear_controls import permuted_labels
from lab.probing.linear_null import null

GROUPS = np.repeat(np.arange(30), 4)


def test_permuted_accuracies_are_those_of_permuted_labels():
    rng = np.random.default_rng(0)
    labels, predicted = rng.integers(0, 3, 30)[GROUPS], rng.integers(0, 3, (2, 120))
    found = null(predicted, labels, GROUPS, draws=50, seed=3)
    shuffled = permuted_labels(labels, GROUPS, draws=50, seed=3)
    np.testing.assert_allclose(found.permuted, [[(one == place).mean() for place in predicted] for one in shuffled])
    every = np.concatenate([found.accuracy[None], found.permuted])
    np.testing.assert_allclose(found.p, (every >= every[0]).mean(0))
    assert (found.low <= np.median(every, 0)).all() and (found.high >= np.median(every, 0)).all()


def test_what_is_right_has_the_smallest_p_value_and_lies_outside_the_band():
    labels = (np.arange(30) % 2)[GROUPS]
    found = null(np.stack([labels, np.zeros(120, int)]), labels, GROUPS, draws=99)
    assert found.p[0] == found.adjusted_p[0] == pytest.approx(0.01) and not found.inside[0]
    assert found.p[1] == found.adjusted_p[1] == 1 and found.inside[1]  # a probe that says one class has no spread at all


def test_by_chance_any_of_many_places_is_called_no_more_often_than_one():
    rng = np.random.default_rng(1)
    alone, together, inside, trials = 0, 0, 0, 300
    for trial in range(trials):
        labels = rng.integers(0, 2, 30)[GROUPS]
        # twelve places, each wrong in its own way about groups; rows of a group are said alike
        predicted = np.where(rng.random((12, 30)) < 0.5, 1, 0)[:, GROUPS]
        found = null(predicted, labels, GROUPS, draws=99, seed=trial)
        alone += (found.p < 0.05).any()
        together += (found.adjusted_p < 0.05).any()
        inside += found.inside[0]
    assert together / trials < 0.09 < alone / trials
    assert inside / trials > 0.93


def test_rows_permuted_one_by_one_would_call_chance_a_finding():
    rng = np.random.default_rng(2)
    called = np.zeros(2)
    for trial in range(200):
        labels, predicted = rng.integers(0, 2, 30)[GROUPS], rng.integers(0, 2, (1, 30))[:, GROUPS]
        for which, groups in enumerate((GROUPS, np.arange(120))):
            called[which] += null(predicted, labels, groups, draws=99, seed=trial).p[0] < 0.05
    assert called[0] / 200 < 0.07 and called[1] / 200 > 0.1


def test_types_that_recur_in_groups_are_no_more_evidence_than_one_of_each():
    rng = np.random.default_rng(3)
    called, trials = np.zeros(2), 150
    for trial in range(trials):
        groups, types = np.repeat(np.arange(25), 6), rng.integers(0, 12, 150)
        labels, predicted = (rng.integers(0, 2, 12)[types] for _ in range(2))  # of a type alike in every group
        for which, given in enumerate((None, types)):
            called[which] += null(predicted[None], labels, groups, types=given, draws=99, seed=trial).p[0] <= 0.05
    assert called[0] / trials > 0.1 and called[1] / trials < 0.07


def test_of_both_kinds_of_permutation_the_less_favourable_holds():
    rng = np.random.default_rng(4)
    groups, types, labels = np.repeat(np.arange(20), 5), np.tile(np.arange(5), 20), rng.integers(0, 3, 100)
    predicted = np.where(rng.random((3, 100)) < 0.3, labels, rng.integers(0, 3, (3, 100)))
    alone, both = null(predicted, labels, groups, draws=50), null(predicted, labels, groups, types=types, draws=50)
    shuffled = permuted_labels(labels, types, draws=50, seed=0, shuffled=True)
    apart = np.array([[(one == place).mean() for place in predicted] for one in shuffled])
    np.testing.assert_allclose(both.permuted, np.concatenate([alone.permuted, apart]))
    p = np.maximum(alone.p, (np.concatenate([alone.accuracy[None], apart]) >= alone.accuracy - 1e-9).mean(0))
    np.testing.assert_allclose(both.p, p)
    assert (both.adjusted_p >= np.maximum(alone.adjusted_p, both.p - 1e-9)).all() and (both.low <= alone.low).all()
    assert (both.high >= alone.high).all() and (both.high >= np.quantile(apart, 0.9, axis=0)).all()
