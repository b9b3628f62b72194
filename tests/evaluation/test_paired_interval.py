import functools

import numpy as np
import pytest
from scipy import optimize, stats

from lab.evaluation.paired_interval import exact_interval, few, flip_interval, score_interval

Z = float(stats.norm.ppf(0.975))


def test_the_ends_have_the_score_statistic_of_the_quantile():
    for lost, gained, items in ((30, 12, 200), (14, 0, 800), (5, 5, 40)):
        for end in score_interval(lost, gained, items, Z):
            def against(gains, end=end, lost=lost, gained=gained, items=items):
                kept = 1 - 2 * gains - end
                flips = lost * np.log(gains + end) + gained * np.log(max(gains, 1e-300))
                return -flips - (items - lost - gained) * np.log(kept)
            likeliest = optimize.minimize_scalar(against, bounds=(max(0, -end) + 1e-12, (1 - end) / 2 - 1e-12),
                                                 method="bounded", options={"xatol": 1e-12}).x
            deviation = np.sqrt((2 * likeliest + end - end**2) / items)
            assert abs((lost - gained) / items - end) / deviation == pytest.approx(Z, rel=1e-4)


def test_flips_of_both_kinds_change_places():
    for interval in (score_interval, exact_interval):
        low, high = interval(7, 2, 300, Z)
        assert interval(2, 7, 300, Z) == pytest.approx((-high, -low), abs=1e-9)


def test_no_flips_leave_a_doubt_that_shrinks_with_the_items():
    low, high = flip_interval(0, 0, 800, Z)
    assert low == -high and stats.binom.cdf(0, 800, high) < 0.025 and high < 5 / 800
    assert flip_interval(0, 0, 1600, Z)[1] == pytest.approx(high / 2, rel=0.02)


def test_flips_are_few_while_fewer_than_five_may_be_expected():
    assert few(0) and few(10) and not few(11)
    ten, eleven = (1e6 * stats.binomtest(flips, 10**6).proportion_ci(0.95).low for flips in (10, 11))
    assert ten < 5 < eleven


def test_between_whole_counts_the_ends_have_no_jump():
    for flips in (4, 7):
        at, beside = exact_interval(flips, 0, 800, Z), exact_interval(flips * 1.004, 0, 800, Z)
        assert beside == pytest.approx(at, abs=0.1 / 800)
        following = exact_interval(flips + 1, 0, 800, Z)
        middle = exact_interval(flips + 0.5, 0, 800, Z)
        assert middle == pytest.approx(np.mean([at, following], axis=0))


def test_every_item_may_flip():
    assert flip_interval(1, 0, 1, Z)[1] == 1 and flip_interval(0, 3, 3, Z)[0] == -1
    assert flip_interval(200, 0, 200, Z)[1] == pytest.approx(1)
    assert flip_interval(1.01, 0, 7.04, Z)[1] == pytest.approx(flip_interval(1, 0, 7, Z)[1], abs=0.02)


@functools.cache
def ends(lost, gained, items):
    if lost < gained:
        low, high = ends(gained, lost, items)
        return -high, -low
    return flip_interval(lost, gained, items, Z)


def coverage(expected_lost, expected_gained, items, interval=ends):
    """How likely the interval contains the truth, over all counts of flips."""
    lost, gained = np.indices((60, 60)).reshape(2, -1)
    probability = stats.multinomial.pmf(np.stack([lost, gained, items - lost - gained], 1), items, [
        expected_lost / items, expected_gained / items, 1 - (expected_lost + expected_gained) / items])
    truth, likely = (expected_lost - expected_gained) / items, probability > 1e-5
    within = [low <= truth <= high for low, high in
              (interval(int(a), int(b), items) for a, b in zip(lost[likely], gained[likely], strict=True))]
    return probability[likely] @ np.array(within), 1 - probability[likely].sum()


@pytest.mark.parametrize("gains", [0.0, 0.1, 0.5])
def test_the_truth_is_in_it_in_93_to_975_of_cases_from_five_flips_on_and_in_95_below(gains):
    for flips in (0.5, 1.5, 2.5, 4.0, 4.9):
        covered, unknown = coverage(flips * (1 - gains), flips * gains, 200)
        assert covered + unknown >= 0.949, f"{flips} flips"
    for flips in (5.0, 5.5, 7.0, 10.0, 15.0):
        covered, unknown = coverage(flips * (1 - gains), flips * gains, 200)
        assert covered + unknown >= 0.93 and covered <= 0.975, f"{flips} flips"


def test_a_bootstrap_would_not_cover():
    def bootstrap(lost, gained, items):
        shares = [lost / items, gained / items, 1 - (lost + gained) / items]
        resampled = np.random.default_rng(0).multinomial(items, shares, 500)
        return np.percentile((resampled[:, 0] - resampled[:, 1]) / items, [2.5, 97.5])
    assert coverage(2, 0, 200, bootstrap)[0] == pytest.approx(0.86, abs=0.01)
