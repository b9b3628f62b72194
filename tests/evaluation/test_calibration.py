import numpy as np
import pytest

from lab.errors import DataError
from lab.evaluation.calibration import brier, calibration, calibration_error, log_likelihood


def calibrated(generator, items=200, sharpen=1.0):
    """Probabilities and labels that follow them, if they are not sharpened afterwards."""
    probability = generator.dirichlet(np.ones(4), items)
    gold = (probability.cumsum(1) > generator.random(items)[:, None]).argmax(1)
    sharp = probability**sharpen
    return sharp / sharp.sum(1, keepdims=True), gold


def test_brier_scores_and_likelihoods():
    probability = np.array([[1.0, 0, 0], [1.0, 0, 0], [0.5, 0.5, 0], [0.25, 0.25, 0.5]])
    gold = np.array([0, 1, 1, 2])
    assert brier(probability, gold).tolist() == [0.0, 2.0, 0.5, 0.375]
    assert np.exp(log_likelihood(probability, gold)).tolist() == pytest.approx([1.0, 0.0, 0.5, 0.5])


def test_the_error_of_a_worked_example():
    # two bins: confidence 0.3 and 0.5 with one of two right, 0.9 with none of one right
    error = calibration_error(np.array([0.3, 0.5, 0.9]), np.array([[True, False, False], [False, False, True]]), bins=2)
    assert error == pytest.approx([(abs(0.8 - 1) + 0.9) / 3, (0.8 + 0.1) / 3])


def test_bins_agree_with_counting_them_one_by_one():
    probability, gold = calibrated(np.random.default_rng(0))
    confidence, right, total = probability.max(1), probability.argmax(1) == gold, 0.0
    for number in range(15):
        mine = (confidence > number / 15) & (confidence <= (number + 1) / 15)
        total += mine.sum() / 200 * abs(confidence[mine].mean() - right[mine].mean()) if mine.any() else 0
    assert calibration(probability, gold).error == pytest.approx(total)


def test_a_calibrated_model_of_200_items_shows_five_to_eight_hundredths():
    generator = np.random.default_rng(0)
    found = [calibration(*calibrated(generator), draws=100) for _ in range(100)]
    assert 0.05 < np.mean([one.error for one in found]) < 0.08
    assert np.mean([one.error - one.null for one in found]) == pytest.approx(0, abs=0.005)
    assert np.mean([one.p <= 0.1 for one in found]) == pytest.approx(0.1, abs=0.09)
    assert np.mean([one.error > one.null_high for one in found]) <= 0.12


def test_too_sure_a_model_exceeds_the_null():
    found = calibration(*calibrated(np.random.default_rng(0), sharpen=3.0))
    assert found.error > found.null_high > found.null > 0.02 and found.p < 0.01 and found.confidence > found.accuracy
    assert found == calibration(*calibrated(np.random.default_rng(0), sharpen=3.0)) and found.items == 200


def test_what_is_no_distribution_is_refused():
    good, gold = np.full((2, 4), 0.25), np.array([0, 1])
    with pytest.raises(DataError, match="needed are \\[N, C\\] and \\[N\\]"):
        brier(good, gold[:1])
    with pytest.raises(DataError, match="a row of probabilities is no distribution; normalise"):
        calibration(good * 2, gold)
    with pytest.raises(DataError, match="right answers range from 0 to 4; allowed is 0 to 3"):
        log_likelihood(good, np.array([0, 4]))
