import math

import numpy as np
import pytest
from scipy import stats

from lab.evaluation.clusters import sign_flip_counts
from lab.evaluation.detectable import detectable, power


def test_simulated_losses_of_that_size_are_seen_in_four_of_five():
    loss = detectable(0.05, 400) / 100
    generator, chances = np.random.default_rng(0), [(0.05 + loss) / 2, (0.05 - loss) / 2, 0.95]
    draws = generator.multinomial(400, chances, 600)
    seen = [stats.binomtest(lost, lost + gained).pvalue <= 0.05 for lost, gained, _ in draws]
    assert np.mean(seen) == pytest.approx(0.8, abs=0.05)
    assert power(loss, 0.05, 400) == pytest.approx(0.8, abs=0.002)


def test_without_flips_it_is_the_loss_of_eight_items():
    # six flips of one way are significant, and eight expected ones are that many in four of five cases
    assert detectable(0.0, 800) * 8 == pytest.approx(stats.gamma.ppf(0.8, 6), rel=0.01)


def test_it_grows_with_the_noise_and_shrinks_with_the_items():
    loss = detectable(0.05, 800, math.inf)
    assert detectable(0.2, 800) > loss and detectable(0.05, 3200) == pytest.approx(loss / 2, rel=0.05)
    assert detectable(0.05, 800, 8) > loss


def test_a_dozen_clusters_see_it_about_as_often():
    loss = detectable(0.1, 800, 11) / 100
    draws = np.random.default_rng(0).multinomial(67, [(0.1 + loss) / 2, (0.1 - loss) / 2, 0.9], (400, 12))
    assert 0.72 <= np.mean([sign_flip_counts(draw[:, 0] - draw[:, 1]) <= 0.05 for draw in draws]) <= 0.88
