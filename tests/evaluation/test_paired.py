import numpy as np
import pytest
from scipy import stats

from lab.errors import DataError
from lab.evaluation.clusters import sign_flip_counts
from lab.evaluation.holm import holm
from lab.evaluation.paired import change, compare


def pair(items=400, lost=0, gained=0):
    before, after = np.ones(items, bool), np.ones(items, bool)
    after[:lost] = False
    before[lost:lost + gained] = False
    return before, after


def test_what_was_lost_and_gained():
    found = compare(*pair(lost=30, gained=10))
    assert (found.items, found.lost, found.gained, found.base, found.tuned) == (400, 30, 10, 390 / 400, 370 / 400)
    assert found.estimate.value == 5 and found.estimate.low > 0 and found.p == pytest.approx(stats.binomtest(10, 40).pvalue)
    assert found.method == "McNemar's exact test" and "n=400" in found.estimate.covers and found.words == ""


def test_the_same_answers_are_exactly_no_change():
    before, _ = pair(gained=100)
    for clusters in (None, np.arange(400) // 20):
        same = compare(before, before, clusters)
        assert (same.estimate.value, same.lost, same.gained, same.p) == (0.0, 0, 0, 1.0)
        assert 0 < same.estimate.high < 2 and same.estimate.low == -same.estimate.high
        assert same.words == "few flips" and same.not_lost and same.detectable > 0


def test_not_lost_needs_the_upper_bound_below_two_points():
    assert compare(*pair(items=800, lost=5)).not_lost
    assert not compare(*pair(items=800, lost=12)).not_lost  # 1.5 points, but up to 2.6
    assert compare(*pair(items=800, gained=200)).not_lost


def test_items_of_a_cluster_that_flip_together_count_as_about_one():
    before, after = pair(lost=40, gained=20)
    alone, together = compare(before, after), compare(before, after, np.arange(400) // 10)
    assert together.design_effect == pytest.approx(10, rel=0.1) and alone.design_effect == 1
    assert together.p == pytest.approx(stats.binomtest(4, 6).pvalue) and "whole clusters" in together.method
    assert together.few_flips and not alone.few_flips and "40 clusters" in together.estimate.covers
    assert together.estimate.value == alone.estimate.value and together.detectable > 2 * alone.detectable
    wide, narrow = (one.estimate.high - one.estimate.low for one in (together, alone))
    assert wide > 2.5 * narrow


def test_single_items_as_clusters_are_independent_items():
    before, after = pair(lost=9, gained=4)
    assert compare(before, after, np.arange(400)) == compare(before, after)


def test_five_clusters_can_detect_nothing():
    assert compare(*pair(lost=400), np.arange(400) // 80).p > 0.05
    assert compare(*pair(lost=40), np.arange(400) // 80).detectable == np.inf
    assert compare(*pair(lost=40), np.arange(400) // 60).detectable < 100


def clustered(generator, sizes, lost, gained, correlation):
    """Base and tuned answers whose flips hang together within clusters (Dirichlet-multinomial)."""
    rates = generator.dirichlet(np.array([lost, gained, 1 - lost - gained]) * (1 / correlation - 1), len(sizes))
    flips = np.concatenate([generator.choice([1, -1, 0], size, p=rate) for size, rate in zip(sizes, rates, strict=True)])
    return flips != -1, flips != 1


@pytest.mark.parametrize("sizes", [[22, 25, 36, 113, 117, 120, 121, 121, 125], [5] * 10 + [20] * 20 + [35] * 10])
def test_clustered_losses_are_covered(sizes):
    generator, clusters = np.random.default_rng(0), np.repeat(np.arange(len(sizes)), sizes)
    found = [compare(*clustered(generator, sizes, 0.09, 0.04, 0.05), clusters) for _ in range(250)]
    covered = np.mean([one.estimate.low <= 5 <= one.estimate.high for one in found])
    assert 0.92 <= covered <= 0.985  # 0.95 within 2.5 standard deviations of 250 draws
    independent = np.mean([abs(one.estimate.value - 5) <= 1.96 * 100 * np.sqrt(0.1283 / one.items) for one in found])
    assert independent < 0.8  # what forgetting the clusters would cover


def test_all_suites_together_are_called_in_a_twentieth_of_cases_at_most():
    generator, called, naive = np.random.default_rng(0), 0, 0
    for _ in range(400):
        rates = generator.dirichlet(np.array([0.06, 0.06, 0.88]) * 9, (4, 12))  # intra-cluster correlation 0.1
        lost, gained, _ = np.moveaxis(generator.multinomial(25, rates), -1, 0)
        called += min(holm({str(n): sign_flip_counts(sums) for n, sums in enumerate(lost - gained)}).values()) <= 0.05
        naive += min(holm({str(n): stats.binomtest(a, b).pvalue for n, (a, b) in enumerate(zip(
            lost.sum(1), (lost + gained).sum(1), strict=True))}).values()) <= 0.05
    assert called <= 24 < 100 < naive  # 6 %; and what single items, taken for independent, would call


def test_continuous_scores_change_by_their_weighted_mean():
    generator = np.random.default_rng(0)
    before, weights = generator.normal(3, 1, 40), generator.integers(1, 9, 40)
    after = before + generator.normal(0.5, 0.3, 40)
    found = change(before, after, weights)
    assert found.estimate.value == pytest.approx(np.average(after - before, weights=weights))
    assert found.tuned - found.base == pytest.approx(found.estimate.value)
    plain, reference = change(before, after), stats.ttest_rel(after, before).confidence_interval()
    assert (plain.estimate.low, plain.estimate.high) == pytest.approx((reference.low, reference.high))
    assert found.p == 1e-4 and change(before, after, weights, seed=1) == change(before, after, weights, seed=1)


def test_continuous_scores_of_a_cluster_are_flipped_together():
    before, after = np.zeros(24), np.repeat([1.0, 1.2, 0.8], 8)
    found = change(before, after, clusters=np.arange(24) // 8)
    assert found.p == 0.25 and found.method == "sign-flip of whole clusters, all patterns"
    assert "3 clusters" in found.estimate.covers
    assert change(after, after).estimate.value == change(after, after).estimate.high == 0 and change(after, after).p == 1


def test_what_is_no_pair_is_refused():
    right = np.ones(3, bool)
    for first, second in ((right, right[:2]), (right[:0], right[:0]), (np.ones((3, 2)), np.ones((3, 2)))):
        with pytest.raises(DataError, match="both must be \\[N\\] of the same items, N at least 1"):
            compare(first, second)
    with pytest.raises(DataError, match="needed are 3 positive numbers, one per item"):
        change(np.ones(3), np.ones(3), np.array([1.0, 0.0, 1.0]))
    with pytest.raises(DataError, match="a score is not finite; leave the item out of both"):
        change(np.ones(3), np.array([1.0, np.inf, 1.0]))
    with pytest.raises(DataError, match="a right or wrong answer is neither 0 nor 1"):
        compare(np.ones(3), np.array([1.0, 0.5, 0.0]))
