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
