import numpy as np
import pytest

from lab.evaluation.intervals import over_items, over_seeds


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
