"""A curve is what was measured up to the moment it stopped being a number."""

import numpy as np
import pytest

from lab.training.curves import tidy, too_few


def test_points_are_in_the_order_of_steps_and_a_repeated_step_keeps_its_last_value():
    curve = tidy([2, 1, 3, 2], [5.0, 9.0, 4.0, 6.0])
    assert curve.steps.tolist() == [1, 2, 3]
    assert curve.values.tolist() == [9.0, 6.0, 4.0]
    assert curve.diverged_at is None


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_everything_from_the_first_non_finite_value_is_cut_off(bad):
    curve = tidy([1, 2, 3, 4], [3.0, 2.0, bad, 1.0])
    assert curve.steps.tolist() == [1, 2]
    assert curve.diverged_at == 3


def test_a_divergence_known_to_the_recorder_cuts_too():
    curve = tidy([1, 2, 3, 4], [3.0, 2.0, 8.0, 9.0], diverged_at=3)
    assert curve.steps.tolist() == [1, 2]
    assert curve.diverged_at == 3


def test_after_leaves_the_base_out():
    assert tidy([0, 1, 2], [7.0, 3.0, 2.0]).after(0).values.tolist() == [3.0, 2.0]


def test_steps_and_values_of_different_lengths_are_refused():
    with pytest.raises(ValueError, match="3 steps and 2 values"):
        tidy([1, 2, 3], [1.0, 2.0])


def test_too_few_says_how_many_are_needed():
    assert too_few(3, 8) == "too few points (3, need 8)"
    assert too_few(8, 8) == ""
