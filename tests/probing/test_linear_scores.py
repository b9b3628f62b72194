"""Scores against what they are by definition, and intervals against a bootstrap written out."""

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score

from lab.probing import linear_scores as scores

RNG = np.random.default_rng(0)
LABELS, GROUPS = RNG.integers(0, 3, 60), np.repeat(np.arange(12), 5)
SAID = np.log(RNG.dirichlet(np.ones(3), (2, 60)))


def test_accuracies_are_those_of_scikit_learn():
    correct = scores.hits(SAID, LABELS)
    for place in range(2):
        assert correct[place].mean() == pytest.approx((SAID[place].argmax(1) == LABELS).mean())
        assert scores.balanced(correct, LABELS)[place] == pytest.approx(
            balanced_accuracy_score(LABELS, SAID[place].argmax(1)))


def test_bits_are_what_cross_entropy_falls_by():
    frequencies = scores.marginals(LABELS, 3)
    assert frequencies.sum() == pytest.approx(1) and scores.marginals(np.zeros(9, int), 2)[1] == pytest.approx(0.05)
    found = scores.bits(SAID, LABELS, frequencies)
    before = -np.mean([np.log2(frequencies[label]) for label in LABELS])
    after = -np.mean([SAID[1, row, label] / np.log(2) for row, label in enumerate(LABELS)])
    assert found[1].mean() == pytest.approx(before - after)
    alone = np.broadcast_to(np.log(frequencies), (60, 3))
    np.testing.assert_allclose(scores.bits(alone, LABELS, frequencies), 0, atol=1e-12)


def test_always_saying_the_most_frequent_class():
    assert scores.majority(np.array([0, 1, 1]), np.array([1, 1, 0, 0, 0])) == pytest.approx(0.4)


def test_intervals_resample_groups_whole():
    weights = scores.resampled(GROUPS, draws=4000)
    np.testing.assert_allclose(weights.sum(1), 1)
    assert all((one.reshape(12, 5) == one.reshape(12, 5)[:, :1]).all() for one in weights[:20])
    by_group = RNG.random(12)
    found = scores.interval(np.repeat(by_group, 5)[None], weights)
    own = np.random.default_rng(9)
    drawn = [by_group[own.integers(0, 12, 12)].mean() for _ in range(4000)]
    np.testing.assert_allclose([found.low[0], found.high[0]], np.percentile(drawn, [2.5, 97.5]), atol=0.015)
    assert found.value[0] == pytest.approx(by_group.mean())


def test_selectivity_is_accuracy_minus_that_of_the_control_over_rows_and_draws():
    task, control = RNG.integers(0, 2, (2, 60)).astype(float), RNG.integers(0, 2, (2, 4, 60)).astype(float)
    weights = scores.resampled(GROUPS)
    found = scores.selectivity(task, control, weights)
    np.testing.assert_allclose(found.value, [task[i].mean() - np.mean([control[i, m].mean() for m in range(4)])
                                             for i in (0, 1)])
    assert (found.low < found.value).all() and (found.value < found.high).all()
    constant = scores.selectivity(np.ones((1, 60)), np.repeat([[[1.0], [0.0]]], 60, 2), weights)
    assert constant.high[0] - constant.low[0] > 0.9  # two control draws that differ are no certain baseline
