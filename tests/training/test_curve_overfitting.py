"""A planted overfitting is found; a plateau, a divergence and plain noise are not taken for one."""

import numpy as np
import pytest

from lab.training.curve_overfitting import overfitting

EVAL = np.arange(0, 301, 15)
TRAIN = np.arange(1, 301)
FALLING = 0.2 + 3 * np.exp(-TRAIN / 80) + 0.05 * np.random.default_rng(0).standard_normal(300)
NOISE = 0.01 * np.random.default_rng(1).standard_normal(len(EVAL))
TO_ITS_FLOOR = 0.8 + 3 * np.exp(-EVAL / 25)


def test_a_rise_after_the_minimum_with_falling_train_loss():
    found = overfitting(EVAL, TO_ITS_FLOOR + np.maximum(EVAL - 120, 0) / 400 + NOISE, TRAIN, FALLING, seed=0)
    assert found.overfits is True
    assert 90 <= found.step <= 150
    assert found.held_out.low > 0 > found.train.high
    assert found.held_out.value == pytest.approx((300 - found.step - 30) / 400, abs=0.06)
    assert found.words.startswith("overfits: after the minimum at step")


def test_a_curve_that_falls_to_its_end_does_not_overfit():
    found = overfitting(EVAL, 0.8 + 3 * np.exp(-EVAL / 120), TRAIN, FALLING, seed=0)
    assert found.overfits is False and found.step == 300
    assert found.words == "lowest held-out loss 1.05 at step 300, at the end or nearly"


def test_noise_around_a_plateau_is_not_called_overfitting():
    called = [overfitting(EVAL, TO_ITS_FLOOR + 0.02 * np.random.default_rng(seed).standard_normal(len(EVAL)), TRAIN,
                          FALLING, seed=seed, draws=200).overfits for seed in range(30)]
    assert called.count(True) <= 2


def test_when_both_losses_rise_it_is_something_else():
    rising = np.where(TRAIN > 100, 1 + (TRAIN - 100) / 200, FALLING)
    found = overfitting(EVAL, TO_ITS_FLOOR + np.maximum(EVAL - 100, 0) / 200, TRAIN, rising, seed=0)
    assert found.overfits is False
    assert found.words.startswith("does not overfit")


def test_a_training_may_be_at_its_best_before_it_began():
    found = overfitting(EVAL, 1 + EVAL / 300 + NOISE, TRAIN, FALLING, seed=0)
    assert found.overfits is True and found.step == 0


def test_too_little_to_judge_is_an_answer():
    assert overfitting(EVAL[:4], np.ones(4), TRAIN, FALLING, seed=0).problem == "too few points (4, need 6)"
    steps, losses = EVAL[:7], np.array([3, 2, 1.0, 0.5, 0.9, 1.0, 1.1])
    assert overfitting(steps, losses, TRAIN, FALLING, seed=0, window=1).problem == \
        "too few points (3, need 4) after the minimum"
    found = overfitting(EVAL, TO_ITS_FLOOR + np.maximum(EVAL - 120, 0) / 400, TRAIN[:10], FALLING[:10], seed=0)
    assert found.overfits is None and "of the train loss after the minimum" in found.problem
