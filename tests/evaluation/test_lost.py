"""Lost points against their definition, and their interval against the one of a single suite and against repetition."""

import numpy as np
import pytest

from lab.evaluation import lost
from lab.evaluation.paired import compare

RIGHT = {"math": np.array([[1, 1, 1, 1], [1, 1, 0, 0], [1, 1, 1, 1]], dtype=bool),
         "code": np.array([[1, 0], [1, 0], [1, 1]], dtype=bool)}
CLUSTERS = {"math": np.array(["a", "b", "c", "d"]), "code": np.array(["e", "f"])}


def test_points_are_the_fall_of_the_accuracy_and_every_suite_counts_the_same():
    assert lost.by_suite(RIGHT)["math"].tolist() == [0, 50, 0]
    assert lost.by_suite(RIGHT)["code"].tolist() == [0, 0, -50]
    assert lost.points(RIGHT).tolist() == [0, 25, -25]


def test_of_one_suite_the_interval_is_the_paired_one():
    right = {"math": RIGHT["math"]}
    found = lost.estimate(right, CLUSTERS, 1)
    single = compare(RIGHT["math"][0], RIGHT["math"][1], CLUSTERS["math"]).estimate
    assert (found.value, found.low, found.high) == pytest.approx((single.value, single.low, single.high))
    assert lost.interval(right, CLUSTERS)[1] == pytest.approx([single.low, single.high])


def test_the_base_itself_lost_nothing_for_certain():
    assert lost.interval(RIGHT, CLUSTERS)[0].tolist() == [0, 0]


def test_of_suites_alike_the_mean_has_an_interval_narrower_by_the_root_of_their_number():
    generator = np.random.default_rng(0)
    base = generator.random(400) < 0.9
    right = np.array([base, base & (generator.random(400) < 0.9)])
    one = lost.estimate({"a": right}, {"a": np.arange(400)})
    four = lost.estimate(dict.fromkeys("abcd", right), dict.fromkeys("abcd", np.arange(400)))
    assert four.value == pytest.approx(one.value)
    assert one.high - one.value == pytest.approx(2 * (four.high - four.value))
    assert "n=1600 in 1600 clusters of 4 suites" in four.covers


def test_the_interval_holds_the_true_loss_about_as_often_as_it_says():
    generator, held, draws = np.random.default_rng(1), 0, 300
    for _ in range(draws):
        right = {}
        for suite, chance in (("a", 0.12), ("b", 0.04)):
            base = generator.random(200) < 0.8
            right[suite] = np.array([base, base & (generator.random(200) >= chance)])
        low, high = lost.interval(right, {"a": np.arange(200), "b": np.arange(200)})[1]
        held += low <= 100 * 0.8 * 0.08 <= high
    assert 0.92 <= held / draws <= 0.985


def test_without_suites_there_is_no_loss():
    with pytest.raises(ValueError, match="evaluate=forgetting"):
        lost.points({})
