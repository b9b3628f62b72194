"""What is said of the noise, against the dense algebra it stands for."""

import numpy as np

from lab.training.curve_noise import RHO, block_length, draw_noise, weigh_noise

COUNT = 18
TANGENTS = np.stack([np.ones(COUNT), np.arange(COUNT)], axis=1)


def correlated(rho, count, rng):
    series = rng.standard_normal(count + 200)
    for i in range(1, len(series)):
        series[i] = rho * series[i - 1] + np.sqrt(1 - rho**2) * series[i]
    return series[200:]


def test_weights_are_the_restricted_likelihood_with_its_prior():
    residuals = correlated(0.5, COUNT, np.random.default_rng(0))
    log_weights, deviations = [], []
    for rho in RHO:
        covariance = rho ** np.abs(np.subtract.outer(np.arange(COUNT), np.arange(COUNT)))
        inverse = np.linalg.inv(covariance)
        information = TANGENTS.T @ inverse @ TANGENTS
        left = residuals - TANGENTS @ np.linalg.solve(information, TANGENTS.T @ inverse @ residuals)
        energy = left @ inverse @ left
        log_weights.append(-0.5 * np.linalg.slogdet(covariance)[1] - 0.5 * np.linalg.slogdet(information)[1]
                           - (COUNT - 2) / 2 * np.log(energy) - np.log(1 - rho))
        deviations.append(np.sqrt(energy / (COUNT - 2)))
    expected = np.exp(np.array(log_weights) - max(log_weights))
    found = weigh_noise(residuals, TANGENTS)
    np.testing.assert_allclose(found.weights, expected / expected.sum(), rtol=1e-6)
    np.testing.assert_allclose(found.sds, deviations, rtol=1e-6)


def test_long_series_give_their_correlation_and_size_away():
    residuals = 0.3 * correlated(0.7, 3000, np.random.default_rng(0))
    noise = weigh_noise(residuals, np.ones((3000, 1)))
    assert abs(noise.rho - 0.7) < 0.04
    assert abs(noise.sd - 0.3) < 0.03


def test_draws_have_the_size_and_correlation_they_were_asked_for():
    residuals = 0.3 * correlated(0.7, 500, np.random.default_rng(0))
    noise = weigh_noise(residuals, np.ones((500, 1)))
    drawn = draw_noise(residuals, noise, 200, np.random.default_rng(1))
    assert drawn.shape == (200, 500)
    assert abs(drawn.std() - noise.sd) < 0.05 * noise.sd
    assert abs(np.corrcoef(drawn[:, 1:].ravel(), drawn[:, :-1].ravel())[0, 1] - noise.rho) < 0.1


def test_draws_repeat_with_their_seed():
    residuals = correlated(0.3, COUNT, np.random.default_rng(0))
    noise = weigh_noise(residuals, TANGENTS)
    first, second = (draw_noise(residuals, noise, 5, np.random.default_rng(4)) for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_no_residual_is_no_noise():
    noise = weigh_noise(np.zeros(COUNT), TANGENTS)
    assert noise.sd == 0 and noise.rho == 0
    assert not draw_noise(np.zeros(COUNT), noise, 3, np.random.default_rng(0)).any()
    line = weigh_noise(TANGENTS[:, 1] * 1e-9, TANGENTS)  # an exact fit up to rounding
    assert np.isfinite(line.weights).all() and line.sd < 1e-12


def test_blocks_grow_with_the_cube_root():
    assert [block_length(count) for count in (8, 27, 64, 1000)] == [2, 3, 4, 10]
