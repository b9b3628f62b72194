"""Closed-form fits against a general optimiser."""

import numpy as np
import pytest
from scipy.optimize import curve_fit

from lab.training.curve_laws import EXPONENTIAL, POWER, Design, fit_law

STEPS = np.linspace(10, 300, 25)
NOISE = 0.02 * np.random.default_rng(1).standard_normal(25)


def power(t, floor, a, b):
    return floor + a * t**-b


def exponential(t, floor, a, tau):
    return floor + a * np.exp(-t / tau)


@pytest.mark.parametrize(("law", "form", "truth"), [(POWER, power, (0.6, 8.0, 0.7)),
                                                    (EXPONENTIAL, exponential, (0.6, 3.0, 70.0))])
def test_fits_are_the_optimiser_s(law, form, truth):
    losses = form(STEPS, *truth) + NOISE
    expected, _ = curve_fit(form, STEPS, losses, p0=truth)
    found = fit_law(law, STEPS, losses)
    shape = found.shape * (found.last_step if law.shape_in_steps else 1)
    amplitude = law.amplitude_in_steps(found.amplitude, found.shape, found.last_step)
    np.testing.assert_allclose((found.floor, amplitude, shape), expected, rtol=2e-3)
    np.testing.assert_allclose(found.at(STEPS), form(STEPS, *expected), atol=1e-5)
    np.testing.assert_allclose(found.rss, ((losses - form(STEPS, *expected)) ** 2).sum(), rtol=1e-5)


@pytest.mark.parametrize("law", [POWER, EXPONENTIAL])
def test_tangents_are_the_derivatives_of_the_fit(law):
    fit = fit_law(law, STEPS, power(STEPS, 0.6, 8.0, 0.7) + NOISE)
    small, relative = 1e-6, STEPS / STEPS[-1]
    moved = [law.basis(relative, np.array([[fit.shape + sign * small]]))[0] for sign in (1, -1)]
    np.testing.assert_allclose(fit.tangents(STEPS)[:, 2], (moved[0] - moved[1]) / (2 * small), rtol=1e-5, atol=1e-8)
    np.testing.assert_allclose(fit.floor + fit.amplitude * fit.tangents(STEPS)[:, 1], fit.at(STEPS))


def test_a_design_solves_every_series_at_every_shape():
    design = Design(POWER, STEPS)
    series = np.stack([power(STEPS, 0.6, 8.0, 0.7), power(STEPS, 1.0, 2.0, 0.3)]) + NOISE
    floors, amplitudes, rss = design.linear(series)
    for row, place in ((0, 160), (1, 130)):
        columns = np.stack([np.ones(25), design.basis[place]], axis=1)
        solution, residual, *_ = np.linalg.lstsq(columns, series[row])
        np.testing.assert_allclose((floors[row, place], amplitudes[row, place]), solution, rtol=1e-6)
        np.testing.assert_allclose(rss[row, place], residual[0], rtol=1e-6)
    held = design.rss_at_floor(series, 0.5)
    np.testing.assert_allclose(held[1, 80], np.linalg.lstsq(design.basis[[80]].T, series[1] - 0.5)[1][0], rtol=1e-6)


def test_neither_floor_nor_amplitude_is_negative():
    below = fit_law(POWER, STEPS, power(STEPS, -0.5, 10.0, 0.3))
    assert below.floor == 0 and below.amplitude > 0
    rising = fit_law(POWER, STEPS, np.linspace(1, 2, 25))
    assert rising.amplitude == 0 and rising.floor == pytest.approx(1.5)


def test_step_0_has_no_power_law():
    with pytest.raises(ValueError, match="steps above 0; leave out step 0"):
        fit_law(POWER, np.arange(10), np.ones(10))
