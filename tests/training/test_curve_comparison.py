"""The law that was planted is preferred where noise lets one tell, and neither where it does not."""

import numpy as np
import pytest
from scipy.optimize import curve_fit

from lab.training.curve_comparison import UNDECIDED, compare_laws

STEPS = np.linspace(15, 300, 20)
NOISE = np.random.default_rng(0).standard_normal(20)
POWER = 0.5 + 3 * STEPS**-0.4
EXPONENTIAL = 0.5 + 2.5 * np.exp(-STEPS / 80)


@pytest.mark.parametrize(("truth", "name"), [(POWER, "power law"), (EXPONENTIAL, "exponential")])
def test_the_planted_law_is_found(truth, name):
    found = compare_laws(STEPS, truth + 0.004 * NOISE, seed=0)
    assert found.better == name
    errors = {"power law": found.power_error, "exponential": found.exponential_error}
    assert errors[name] == min(errors.values())
    assert name in found.words and f"{errors[name]:.3g}" in found.words


def test_errors_are_those_of_fits_that_never_saw_the_last_points():
    losses = POWER + 0.004 * NOISE
    found = compare_laws(STEPS, losses, seed=0)
    assert found.held_back == 5 and found.held_back_from == STEPS[15]
    early, late = slice(15), slice(15, None)
    (floor, a, tau), _ = curve_fit(lambda t, f, a, tau: f + a * np.exp(-t / tau), STEPS[early], losses[early],
                                   p0=(0.9, 1, 60))
    expected = np.sqrt(np.mean((losses[late] - floor - a * np.exp(-STEPS[late] / tau)) ** 2))
    assert found.exponential_error == pytest.approx(expected, rel=0.05)
    changed = compare_laws(STEPS, np.where(np.arange(20) < 15, losses, losses + 1), seed=0)
    np.testing.assert_allclose(changed.early_fits[1], found.early_fits[1])


def test_noise_that_hides_the_difference_is_undecided():
    assert compare_laws(STEPS, POWER + 0.2 * NOISE, seed=0).better == UNDECIDED


def test_a_flat_curve_is_a_tie():
    assert compare_laws(STEPS, np.ones(20), seed=0).better == UNDECIDED


def test_too_few_points_are_an_answer():
    found = compare_laws(np.arange(5), np.ones(5), seed=0)
    assert found.problem == found.words == "too few points (4, need 8)"
    assert found.better == UNDECIDED and found.power_error is None
