"""Intervals over groups that leave a doubt even where all groups agree."""

import numpy as np
import pytest
from scipy import stats

from lab.probing import linear_scores
from lab.studies import linear_probe_intervals as intervals

GROUPS = np.repeat(np.arange(12), 5)
SOME = (np.random.default_rng(0).integers(0, 3, 60) == 0).astype(float)
EXACT = stats.binomtest(12, 12).proportion_ci(0.95, method="exact")


def test_all_right_and_all_wrong_keep_the_exact_doubt_of_as_many_groups():
    found = intervals.shares(np.stack([np.ones(60), np.zeros(60), SOME]), GROUPS)
    assert (found.low[0], found.high[0]) == (pytest.approx(EXACT.low), pytest.approx(1))
    assert (found.low[1], found.high[1]) == (pytest.approx(0), pytest.approx(1 - EXACT.low))
    plain = linear_scores.interval(SOME, linear_scores.resampled(GROUPS))
    assert (found.low[2], found.high[2]) == (pytest.approx(float(plain.low)), pytest.approx(float(plain.high)))


def test_differences_that_are_the_same_in_every_group_are_no_certainty():
    thirds = np.tile([1.0, 1, 0, 0, 0], 12)  # two fifths in each group
    none, same = intervals.differences(np.stack([np.zeros(60), thirds]), GROUPS).low
    assert none == pytest.approx(EXACT.low - 1) and same == pytest.approx(0.4 * EXACT.low - (1 - EXACT.low))
    drawn = intervals.differences(SOME - SOME[::-1], GROUPS)
    assert drawn.low < drawn.value < drawn.high


def test_tasks_in_which_nothing_differs_leave_the_mean_of_their_doubts():
    few = np.repeat(np.arange(6), 10)
    found = intervals.over_tasks([(np.zeros(60), GROUPS), (np.zeros(60), few)])
    half = np.mean([1 - stats.binomtest(n, n).proportion_ci(0.95, method="exact").low for n in (12, 6)])
    assert (found.low, found.high) == (pytest.approx(-half), pytest.approx(half))
    one = intervals.over_tasks([(SOME, GROUPS)])
    assert (float(one.low), float(one.high)) == (float(intervals.differences(SOME, GROUPS).low),
                                                 float(intervals.differences(SOME, GROUPS).high))
    mixed = intervals.over_tasks([(np.zeros(60), GROUPS), (SOME, GROUPS)])
    assert 0 < mixed.low < SOME.mean() / 2 < mixed.high


def test_selectivity_of_a_probe_that_knows_all_and_learns_nothing_by_heart_is_no_certainty():
    found = intervals.selectivity(np.ones((1, 60)), np.zeros((1, 3, 60)), GROUPS)
    assert found.high[0] == pytest.approx(1) and found.low[0] == pytest.approx(1 - 2 * (1 - EXACT.low))


def test_what_rounding_leaves_of_zero_is_zero():
    scores = np.array([0.1, 0.2, -0.3])  # whose sum is not quite 0
    assert scores.sum() != 0
    assert intervals.differences(scores, np.arange(3)).value == 0
