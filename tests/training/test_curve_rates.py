"""The best rate of planted U-curves."""

import numpy as np
import pytest

from lab.training.curve_rates import best_rate

RATES = 2e-3 * 2.0 ** np.arange(-3, 4)
BEST = 2.6e-3


def parabola(rates, best=BEST, height=0.3):
    return np.exp(height * np.log(np.asarray(rates) / best) ** 2)


def sweep_of_seeds(rng, *, noise, shift=0.0, skew=0.0, seeds=3, best=BEST):
    """Rates, losses and seeds whose log losses scatter, more at high rates, and whose seeds move the whole curve."""
    x = np.log(RATES[1:6] / best) + shift * rng.standard_normal((seeds, 1))
    logs = -2.8 + 1.3 * x**2 + skew * x**3 + noise * (1 + 0.5 * (x > 0.3)) * rng.standard_normal(x.shape)
    logs += 0.1 * rng.standard_normal((seeds, 1))
    return np.tile(RATES[1:6], seeds), np.exp(logs).ravel(), np.repeat(np.arange(seeds), 5)


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
        fit = best_rate(rates, np.exp(1.4 * (np.exp(0.6 * x) - 1 - 0.6 * x)) + 0.02 * rng.standard_normal(len(rates)))
        covered += fit.interval[0] <= BEST <= fit.interval[1]
    assert covered >= 0.85 * 60


@pytest.mark.parametrize(("noise", "shift", "skew"), [(0.05, 0, 0), (0.15, 0, 0.5), (0.1, 0.1, 0.2)])
def test_the_slopes_of_three_seeds_cover_a_planted_best_rate_in_19_of_20_sweeps(noise, shift, skew):
    rng, covered, given = np.random.default_rng(0), 0, 0
    for _ in range(600):
        fit = best_rate(*sweep_of_seeds(rng, noise=noise, shift=shift, skew=skew))
        given += fit.interval is not None
        covered += fit.interval is not None and fit.interval[0] <= BEST <= fit.interval[1]
    assert given > 500
    assert 0.93 <= covered / given <= 0.98  # with room for skewness, so a little more than 0.95


def test_one_parabola_does_not_cover_where_seeds_move_the_whole_curve():
    rng, covered = np.random.default_rng(0), 0
    for _ in range(200):
        fit = best_rate(*sweep_of_seeds(rng, noise=0.03, shift=0.2)[:2])
        covered += fit.interval is not None and fit.interval[0] <= BEST <= fit.interval[1]
    assert covered < 0.85 * 200


def test_the_cubic_of_seeds_finds_the_lowest_place_of_a_cubic():
    x = np.log(RATES[1:6] / BEST)
    losses = np.exp(-1 + 1.3 * x**2 + 0.5 * x**3)
    scale = np.repeat([0.5, 1.0, 2.0], 5)  # seeds may lie at any height
    fit = best_rate(np.tile(RATES[1:6], 3), np.tile(losses, 3) * scale, np.repeat([0, 1, 2], 5))
    assert fit.best == pytest.approx(BEST, rel=2e-3) and fit.covers == "training seeds (n=3)"
    np.testing.assert_allclose(fit.at(RATES[1:6]), losses, rtol=1e-9)
    assert fit.interval[0] < BEST < fit.interval[1] < 1.01 * fit.interval[0]


def test_seeds_of_which_one_is_incomplete_are_fitted_as_single_losses():
    rates, losses, seeds = sweep_of_seeds(np.random.default_rng(0), noise=0.05)
    assert best_rate(rates, losses, seeds).covers == "training seeds (n=3)"
    assert best_rate(rates[:-1], losses[:-1], seeds[:-1]).covers == "training seeds and skewness"


def test_a_rate_that_diverged_is_no_point_of_the_seeds_curves():
    rates, losses, seeds = sweep_of_seeds(np.random.default_rng(0), noise=0.02)
    diverged = np.where(rates == RATES[5], np.nan, losses)
    fit = best_rate(rates, diverged, seeds)
    assert fit.window == pytest.approx((RATES[1], RATES[4])) and fit.diverged == (RATES[5],)


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
    assert fit.words == "best rate between 0.001 and 0.004 (no smooth curve is lowest there)"


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
