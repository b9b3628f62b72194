"""Ratios of best rates that were planted."""

import numpy as np
import pytest

from lab.training.curve_rate_ratio import ratio
from lab.training.curve_rates import RateFit, best_rate

GRID = 1.7783 ** np.arange(-2, 3)


def fit(best=None, interval=None, covers="training seeds (n=3)"):
    return RateFit(GRID, GRID, best=best, interval=interval, covers=covers)


def test_distances_from_the_value_add_as_squares():
    found = ratio(fit(1e-3, (1e-3 / np.exp(0.3), 1e-3 * np.exp(0.6))), fit(1e-4, (1e-4 / np.exp(0.8), 1e-4 * np.exp(0.4))))
    assert found.value == pytest.approx(10)
    assert found.low == pytest.approx(10 / np.exp(0.5)) and found.high == pytest.approx(10 * np.exp(1.0))
    assert found.width == pytest.approx(np.exp(1.5)) and found.covers == "training seeds (n=3)"


def test_a_rate_without_an_interval_has_no_ratio():
    known = fit(1e-3, (9e-4, 2e-3))
    assert ratio(known, fit(1e-4)) is None and ratio(fit(), known) is None


def test_its_interval_covers_a_planted_ratio():
    rng, covered, given = np.random.default_rng(0), 0, 0
    for _ in range(500):
        fits = []
        for centre in (1e-3, 1e-4):
            x = np.log(GRID) + 0.1 * rng.standard_normal((3, 1)) - 0.2
            losses = np.exp(-2.8 + 1.3 * x**2 + 0.3 * x**3 + 0.1 * rng.standard_normal(x.shape))
            fits.append(best_rate(np.tile(centre * GRID, 3), losses.ravel(), np.repeat(np.arange(3), 5)))
        found = ratio(*fits)
        given += found is not None
        covered += found is not None and found.low <= 10 <= found.high
    assert given > 400 and covered >= 0.93 * given
