import numpy as np

from lab.training.divergence import diverged_at


def test_a_falling_loss_has_not_diverged():
    assert diverged_at(list(np.linspace(5, 1, 200))) is None


def test_a_spike_that_comes_down_again_is_no_divergence():
    losses = np.linspace(5, 1, 200)
    losses[80:110] = 9
    assert diverged_at(list(losses)) is None


def test_a_loss_that_rises_above_its_start_and_stays_is_found_near_where_it_left():
    losses = [5.0] + [4.0] * 99 + [9.0] * 100
    assert 100 < diverged_at(losses) < 130


def test_a_non_finite_loss_diverges_at_its_own_step():
    assert diverged_at([3.0, 2.0, float("nan"), 1.0]) == 3


def test_a_short_training_that_explodes_is_found_and_one_that_only_wavers_is_not():
    assert diverged_at([1.0, 9.0, 9.0]) == 2
    assert diverged_at([1.0, 1.1, 1.05, 1.15]) is None
    assert diverged_at([1.0]) is None


def test_a_base_that_knows_its_data_does_not_diverge_by_a_breath():
    losses = [0.0003] + [0.01] * 199
    assert diverged_at(losses) is None
    assert diverged_at([0.0003] + [0.2] * 199) == 20
