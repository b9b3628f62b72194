"""Planted spikes are found where they are, and nothing else is."""

import numpy as np

from lab.training.curve_spikes import spikes

STEPS = np.arange(1, 401)


def noisy(seed=0):
    return 0.5 + 3 * np.exp(-STEPS / 40) + 0.1 * np.random.default_rng(seed).standard_normal(400)


def test_planted_spikes_come_back_with_step_and_height():
    losses = noisy()
    losses[149] += 1.5
    losses[300:303] += [1.2, 2.0, 1.4]
    found = spikes(STEPS, losses).found
    assert [(spike.step, spike.first, spike.last) for spike in found] == [(150, 150, 150), (302, 301, 303)]
    np.testing.assert_allclose([spike.height for spike in found], [1.5, 2.0], atol=0.3)
    assert all(spike.z > 6 for spike in found)


def test_noise_and_the_steep_start_are_no_spikes():
    result = spikes(STEPS, noisy(seed=1))
    assert result.found == () and result.judged == 390 and result.problem == ""


def test_a_trough_is_no_spike():
    losses = noisy()
    losses[200] -= 3
    assert spikes(STEPS, losses).found == ()


def test_a_constant_loss_has_no_spikes_and_one_step_out_of_it_is_one():
    losses = np.ones(100)
    assert spikes(STEPS[:100], losses).found == ()
    losses[50] = 1.5
    assert [spike.step for spike in spikes(STEPS[:100], losses).found] == [51]


def test_too_few_points_are_an_answer():
    assert spikes(STEPS[:7], noisy()[:7]).problem == "too few points (7, need 11)"
