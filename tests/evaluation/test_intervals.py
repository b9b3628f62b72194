import numpy as np
import pytest

from lab.evaluation.intervals import all_alike, of_share, over_groups, over_items, over_seeds


def test_item_interval_covers_the_true_mean_about_nineteen_times_in_twenty():
    generator = np.random.default_rng(0)
    hits = 0
    for draw in range(200):
        sample = generator.normal(1.0, 2.0, 80)
        estimate = over_items(lambda rows, sample=sample: float(sample[rows].mean()), 80, seed=draw, draws=400)
        hits += estimate.low <= 1.0 <= estimate.high
    assert 178 <= hits <= 199  # binomial(200, 0.95) within three standard deviations, a little low for a percentile


def test_seed_interval_is_students():
    estimate = over_seeds([1.0, 2.0, 3.0])
    assert estimate.value == 2.0
    assert np.isclose(estimate.high - 2.0, 4.302652729911275 / np.sqrt(3))
    assert "n=3" in estimate.covers


def test_one_seed_gives_no_interval():
    with pytest.raises(ValueError, match="at least 2"):
        over_seeds([1.0])


def test_groups_that_all_agree_leave_the_doubt_of_as_many_trials():
    for value, successes in ((1.0, 9), (0.0, 0)):
        exact = of_share(successes, 9, "")
        assert all_alike(value, 9, least=0, most=1) == (pytest.approx(exact.low), pytest.approx(exact.high))
    low, high = all_alike(np.array([0.0, 1.0]), 9, least=-1, most=1)
    assert low.tolist() == pytest.approx([exact.low - exact.high, 1 - 2 * exact.high]) and high[0] == -low[0]


def test_whole_groups_are_resampled():
    values = np.random.default_rng(0).normal(size=(30, 2))
    values[:7, 1] = np.nan
    groups = np.random.default_rng(1).integers(0, 8, 30)
    mean, low, high = over_groups(values, groups)
    rng = np.random.default_rng(2)
    drawn = [np.nanmean(np.concatenate([values[groups == one] for one in rng.integers(0, 8, 8)]), 0) for _ in range(3000)]
    np.testing.assert_allclose(mean, np.nanmean(values, 0))
    np.testing.assert_allclose([low, high], np.percentile(drawn, [2.5, 97.5], axis=0), atol=0.05)
    assert np.isnan(over_groups(values, groups, fewest=9)[1:]).all()
