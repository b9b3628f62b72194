"""The best rate of planted U-curves."""

import numpy as np
import pytest

from lab.training.curve_rates import best_rate

RATES = 2e-3 * 2.0 ** np.arange(-3, 4)
BEST = 2.6e-3


def parabola(rates, best=BEST):
    return 1 + 0.3 * np.log(np.asarray(rates) / best) ** 2


def test_the_vertex_of_a_parabola_is_exact():
    fit = best_rate(RATES, parabola(RATES))
    assert fit.best == pytest.approx(BEST, rel=1e-6)
    assert fit.interval == pytest.approx((BEST, BEST), rel=3e-3)
    assert fit.inside and fit.bracket == (RATES[2], RATES[4])
    np.testing.assert_allclose(fit.at(RATES[2:5]), parabola(RATES[2:5]), atol=1e-9)


@pytest.mark.parametrize("seeds", [1, 3])
def test_intervals_cover_a_planted_best_rate(seeds):
    rng, covered = np.random.default_rng(0), 0
    rates = np.repeat(RATES, seeds)
    for _ in range(60):
        fit = best_rate(rates, parabola(rates) + 0.02 * rng.standard_normal(len(rates)))
        covered += fit.interval[0] <= BEST <= fit.interval[1]
    assert covered >= 0.85 * 60
    assert "training seeds" in fit.covers if seeds > 1 else "no other seeds" in fit.covers


def test_intervals_cover_the_best_rate_of_a_skewed_curve():
    rng, covered, rates = np.random.default_rng(0), 0, np.repeat(RATES, 3)
    x = np.log(rates / BEST)
    for _ in range(60):
        fit = best_rate(rates, 1 + 1.4 * (np.exp(0.6 * x) - 1 - 0.6 * x) + 0.02 * rng.standard_normal(len(rates)))
        covered += fit.interval[0] <= BEST <= fit.interval[1]
    assert covered >= 0.85 * 60


@pytest.mark.parametrize(("best", "side"), [(1e-5, "lowest"), (1.0, "highest")])
def test_a_best_rate_at_the_edge_is_not_inside_the_grid(best, side):
    fit = best_rate(RATES, parabola(RATES, best))
    assert not fit.inside and fit.best is None
    assert fit.words.startswith(f"not inside the grid: the {side} rate tried")


def test_a_rate_below_one_that_diverged_is_bracketed_by_it():
    losses = np.where(RATES > 2e-3, np.nan, parabola(RATES, 1.0))
    fit = best_rate(RATES, losses)
    assert fit.inside and fit.best is None and fit.bracket == (RATES[2], RATES[4])
    assert fit.diverged == tuple(RATES[4:])
    assert fit.words == "best rate between 0.001 and 0.004 (no parabola fits there)"


def test_one_diverged_seed_makes_a_rate_unstable():
    fit = best_rate(np.repeat(RATES, 2), np.where(np.arange(14) == 7, np.inf, parabola(np.repeat(RATES, 2))))
    assert fit.diverged == (RATES[3],) and np.isinf(fit.mean_loss[3])


def test_three_rates_give_a_best_rate_without_an_interval():
    fit = best_rate(RATES[2:5], parabola(RATES[2:5]))
    assert fit.best == pytest.approx(BEST) and fit.interval is None
    assert fit.words == "best rate 0.0026, between 0.001 and 0.004 (no interval)"


def test_an_interval_beyond_the_grid_says_so():
    rng = np.random.default_rng(0)
    words = [best_rate(RATES[1:6], parabola(RATES[1:6]) + 0.1 * rng.standard_normal(5)).words for _ in range(40)]
    assert any("beyond the grid" in text for text in words)


def test_too_few_rates_and_nothing_but_divergence_are_answers():
    assert best_rate([1e-3, 2e-3], [1.0, 0.9]).words == "too few rates (2, need 3)"
    assert best_rate(RATES, np.full(7, np.nan)).words == "every rate diverged"
