"""Planted floors and exponents come back inside their intervals, and what cannot be known is said."""

import numpy as np
import pytest

from lab.training.curve_fits import FLOOR_NOT_IDENTIFIED, POINTS_NEEDED, fit_floor
from lab.training.curve_laws import EXPONENTIAL

STEPS = np.linspace(15, 300, 20)
FLOOR, EXPONENT = 0.5, 1.0
TRUTH = FLOOR + 90 * STEPS**-EXPONENT


def correlated(rho, count, rng):
    series = rng.standard_normal(count + 100)
    for i in range(1, len(series)):
        series[i] = rho * series[i - 1] + np.sqrt(1 - rho**2) * series[i]
    return series[100:]


def test_without_noise_the_law_is_found_exactly():
    fit = fit_floor(STEPS, TRUTH, seed=0)
    assert fit.problem == "" and fit.floor_identified
    assert fit.floor == pytest.approx(FLOOR, abs=1e-4)
    assert fit.shape == pytest.approx(EXPONENT, abs=1e-4)
    assert fit.amplitude == pytest.approx(90, rel=1e-3)
    assert fit.floor_interval == pytest.approx((FLOOR, FLOOR), abs=1e-3)


@pytest.mark.parametrize("rho", [0.0, 0.7])
def test_intervals_cover_planted_floor_and_exponent_at_about_their_level(rho):
    rng, covered, curves = np.random.default_rng(0), np.zeros(2), 40
    for seed in range(curves):
        fit = fit_floor(STEPS, TRUTH + 0.01 * correlated(rho, 20, rng), seed=seed, draws=100)
        covered += (fit.floor_interval[0] <= FLOOR <= fit.floor_interval[1],
                    fit.shape_interval[0] <= EXPONENT <= fit.shape_interval[1])
    assert (covered >= 0.85 * curves).all()  # a naive 95 % interval covers 0.70 to 0.78 with correlated noise


def test_an_exponential_s_time_constant_is_in_steps():
    losses = FLOOR + 2 * np.exp(-STEPS / 60) + 0.005 * np.random.default_rng(3).standard_normal(20)
    fit = fit_floor(STEPS, losses, seed=0, law=EXPONENTIAL)
    assert fit.shape_interval[0] <= 60 <= fit.shape_interval[1]
    assert fit.shape == pytest.approx(60, rel=0.05)
    assert fit.amplitude == pytest.approx(2, rel=0.05)


def test_a_floor_far_below_the_last_loss_is_not_identified():
    losses = FLOOR + 3 * STEPS**-0.4 + 0.03 * np.random.default_rng(0).standard_normal(20)
    fit = fit_floor(STEPS, losses, seed=0)
    assert not fit.floor_identified
    assert fit.floor_interval[1] - fit.floor_interval[0] > 0.25 * losses[-1]
    assert fit.words.startswith(FLOOR_NOT_IDENTIFIED)


def test_an_identified_floor_is_said_with_its_interval():
    words = fit_floor(STEPS, TRUTH + 0.003 * np.random.default_rng(0).standard_normal(20), seed=0).words
    assert words.startswith("floor 0.498, 95% interval 0.4")


def test_too_few_points_are_an_answer_and_step_0_is_none_of_them():
    steps = np.arange(POINTS_NEEDED) * 10
    fit = fit_floor(steps, np.linspace(3, 1, POINTS_NEEDED), seed=0)
    assert fit.problem == fit.words == "too few points (7, need 8)"
    assert fit.floor is None and fit.fit is None
    assert fit_floor(np.array([]), np.array([]), seed=0).problem == "too few points (0, need 8)"


def test_the_same_seed_gives_the_same_interval():
    losses = TRUTH + 0.02 * np.random.default_rng(0).standard_normal(20)
    assert fit_floor(STEPS, losses, seed=5).floor_interval == fit_floor(STEPS, losses, seed=5).floor_interval


@pytest.mark.parametrize("losses", [np.ones(20), np.linspace(1, 2, 20), np.full(20, 0.0)])
def test_curves_that_do_not_fall_still_have_an_answer(losses):
    fit = fit_floor(STEPS, losses, seed=0, draws=50)
    low, high = fit.floor_interval
    assert np.isfinite([fit.floor, low, high]).all() and low <= fit.floor <= high
