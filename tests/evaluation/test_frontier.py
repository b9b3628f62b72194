"""The frontier against its definition, point by point, and equal learning against straight lines."""

import numpy as np
import pytest

from lab.evaluation.frontier import common, crossing, estimate_at, lost_at, undominated


def test_the_frontier_is_what_no_other_point_beats():
    generator = np.random.default_rng(0)
    learned, lost = generator.integers(0, 6, 40).astype(float), generator.integers(0, 6, 40).astype(float)
    learned[3] = np.nan
    for point, found in enumerate(undominated(learned, lost)):
        beaten = any(learned[o] >= learned[point] and lost[o] <= lost[point]
                     and (learned[o] > learned[point] or lost[o] < lost[point]) for o in range(40))
        assert found == (not beaten and point != 3)
    assert undominated(learned, lost).any()


def test_equal_points_share_their_fate():
    assert undominated([1, 1, 0], [1, 1, 1]).tolist() == [True, True, False]


def test_loss_at_equal_learning_is_on_the_line_between_checkpoints():
    learned, lost = [0.0, 1.0, 3.0, 2.0], [0.0, 2.0, 10.0, 20.0]
    assert lost_at(learned, lost, 2.0) == pytest.approx(6.0)            # where it first had learned as much
    assert lost_at(learned, lost, 0.0) == 0 and lost_at(learned, lost, 3.0) == 10
    assert crossing(learned, 1.5) == (1, 0.25)
    assert lost_at(learned, lost, 3.1) is None and lost_at(learned, lost, -0.1) is None
    assert lost_at([0.0, 0.0], [0.0, 4.0], 0.0) == 0


def test_the_interval_at_equal_learning_is_interpolated_too():
    found = estimate_at([0, 1, 3], [0, 2, 10], [[0, 0], [1, 4], [8, 14]], 2.0, "questions")
    assert (found.value, found.low, found.high, found.covers) == (6, 4.5, 9, "questions")
    assert estimate_at([0, 1], [0, 2], [[0, 0], [1, 4]], 2.0, "questions") is None


def test_all_arms_can_be_compared_where_the_least_of_them_came():
    assert common([[0, 2, 1], [0, 3, 5]]) == 2
    assert common([[0, -1], [0, 3]]) is None and common([]) is None
