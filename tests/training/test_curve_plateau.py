"""Where planted curves go flat."""

import numpy as np

from lab.training.curve_plateau import plateau

STEPS = np.arange(0, 301, 10)


def test_the_step_where_a_broken_line_goes_flat():
    losses = np.maximum(3 - STEPS / 60, 1.0)  # flat from step 120
    found = plateau(STEPS, losses, share=0.01, within=30, window=1)
    assert found.step == 120
    assert found.words == "plateau from step 120 (improves by less than 1.0% in 30 steps)"


def test_a_pause_is_no_plateau_if_the_loss_falls_again():
    losses = np.concatenate([np.linspace(3, 2, 11), np.full(10, 2.0), np.linspace(2, 1, 10)])
    found = plateau(STEPS, losses, within=30)
    assert found.step is None and found.problem == ""
    assert found.words.startswith("no plateau")


def test_noise_below_the_share_does_not_hide_a_plateau():
    losses = 1 + 2 * np.exp(-STEPS / 20) + 0.002 * np.random.default_rng(0).standard_normal(31)
    found = plateau(STEPS, losses)
    assert found.within == 60
    # the loss falls by less than 1 % in 60 steps where 2 exp(-t/20) (1 - exp(-3)) < 0.01 (1 + 2 exp(-t/20))
    assert abs(found.step - 20 * np.log(2 * (1 - np.exp(-3)) / 0.01)) <= 20


def test_a_rising_curve_is_flat_from_its_start():
    assert plateau(STEPS, 1 + STEPS / 100).step == 0


def test_too_few_points_and_too_short_curves_are_answers():
    assert plateau(np.array([1, 2]), np.array([3.0, 2.0])).problem == "too few points (2, need 5)"
    assert plateau(np.array([]), np.array([])).words == "too few points (0, need 5)"
    assert plateau(STEPS[:6], np.ones(6), within=80).problem == "curve of 50 steps, shorter than the 80 steps judged"
