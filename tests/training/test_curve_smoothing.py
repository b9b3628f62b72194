"""Smoothing against independent forms of the same averages."""

import numpy as np
import pandas as pd
import pytest

from lab.training.curve_smoothing import SMOOTHING, smooth

NOISE = np.random.default_rng(0).standard_normal(40)


def test_a_centred_window_is_a_convolution_in_the_middle():
    found = smooth(NOISE, window=5)
    np.testing.assert_allclose(found.smooth[2:-2], np.convolve(NOISE, np.ones(5) / 5, mode="valid"), atol=1e-12)


def test_an_exponential_mean_is_the_one_of_pandas():
    expected = pd.Series(NOISE).ewm(span=9, adjust=True).mean().to_numpy()
    np.testing.assert_allclose(smooth(NOISE, window=9, method="exponential").smooth, expected, atol=1e-12)


def test_a_centred_window_leaves_a_straight_line_as_it_is_to_both_ends():
    line = np.linspace(5, 1, 20)
    np.testing.assert_allclose(smooth(line, window=7).smooth, line, atol=1e-12)


@pytest.mark.parametrize("method", SMOOTHING)
def test_the_raw_series_is_kept_and_the_method_said(method):
    found = smooth(NOISE, window=5, method=method)
    np.testing.assert_array_equal(found.raw, NOISE)
    assert "5 points" in found.method


def test_one_point_is_no_smoothing_and_an_even_window_says_what_it_did():
    np.testing.assert_array_equal(smooth(NOISE, window=1).smooth, NOISE)
    assert smooth(NOISE, window=1).method == "not smoothed"
    assert "5 points" in smooth(NOISE, window=4).method
    assert len(smooth([], window=5).smooth) == 0


def test_errors_name_what_is_allowed():
    with pytest.raises(ValueError, match="smoothing='median' is not known; use one of centred, exponential"):
        smooth(NOISE, window=5, method="median")
    with pytest.raises(ValueError, match="window=0 points"):
        smooth(NOISE, window=0)
