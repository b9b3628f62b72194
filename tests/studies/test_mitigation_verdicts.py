"""Remedies whose answers are made by hand: every branch of the recommendation, and every verdict both ways."""

import numpy as np
import pytest

from lab.evaluation.intervals import over_items
from lab.studies.mitigation_arms import Arm, Measured
from lab.studies.mitigation_intervals import estimate, points
from lab.studies.mitigation_recommendation import recommend, rule, standings
from lab.studies.mitigation_verdicts import EQUAL, MENDS, STANDS_OUT, Asked, hypotheses, least_at, verdicts

ITEMS, ROWS, DOCUMENTS = 300, 400, 40
SUITES = ("math", "code")
BASE_RIGHT, BASE_LOSS = 0.9, 5.0
KEEP = 0.9


def arm(kind, value=0.0, *, lost=0.0, learned=0.0, wobble=0):
    """A model that is wrong on the last of the items that the base gets right, `lost` points of them, and learned so much.

    The items on which it goes wrong are moved by `wobble`, so that two that lose alike flip each other's items.
    """
    order = np.roll(np.random.default_rng(7).permutation(int(BASE_RIGHT * ITEMS)), wobble)
    right = np.arange(ITEMS) < BASE_RIGHT * ITEMS
    right[order[:round(lost / 100 * ITEMS)]] = False
    noise = np.random.default_rng(1).normal(0, 0.2, ROWS)
    noise -= noise.mean()
    nll = 2 * (BASE_LOSS - learned + noise * (1 + 0.1 * learned))
    return Arm(kind, value, "", nll, dict.fromkeys(SUITES, right), np.full(DOCUMENTS, 10.0 + lost))


def measured(*remedies, lost=30.0, learned=2.0):
    clusters = {suite: np.array([f"{suite} {number}" for number in range(ITEMS)]) for suite in SUITES}
    return Measured(arm("base"), arm("trained", lost=lost, learned=learned), remedies, np.full(ROWS, 2), clusters,
                    np.full(DOCUMENTS, 50))


HALF = arm("scale", 0.5, lost=10.0, learned=1.0)
MOST = arm("scale", 0.75, lost=20.0, learned=1.9)
REPLAY = arm("replay", 0.25, lost=5.0, learned=1.95)
NEAR = arm("replay", 0.1, lost=6.0, learned=1.97, wobble=40)
STOP = arm("stop", 300, lost=28.0, learned=1.5)


@pytest.mark.parametrize("found, outcome, arms, words", [
    (measured(HALF, MOST, REPLAY, STOP), "recommended", [REPLAY],
     r"Replay 25 %: it lost 5\.0 points .* as trained lost 30\.0 points .* keeps 98 % .*of what was learned\."),
    (measured(HALF, MOST, STOP), "recommended", [MOST], "Scaled by 0.75"),
    (measured(MOST, arm("rate", 5e-4, lost=2.0, learned=1.85), STOP), "recommended", None,
     "than scaled by 0.75, which"),
    (measured(REPLAY, NEAR), "none stands out", [REPLAY, NEAR],
     r"between replay 25 % and replay 10 %: .* not told apart \(replay 10 % loses 1\.0 points \("),
    (measured(HALF, arm("stop", 10, lost=2.0, learned=0.3)), "none keeps enough", [HALF],
     r"2 of 2 remedies forget less, and none of them surely keeps 90% .* Nearest comes: scaled by 0\.5, which keeps 50%"),
    (measured(arm("scale", 0.9, lost=31.0, learned=1.95)), "none forgets less", [], r"as trained, which lost 30\.0 points"),
    (measured(HALF, lost=0.5), "nothing to mend", [], r"lost 0\.\d points .*, fewer than 2: there is nothing to mend"),
    (measured(HALF, learned=0.0), "nothing learned", [], "learned nothing that shows"),
    (measured(arm("scale", 0.5, lost=2.0, learned=1.95), lost=2.0), "none forgets less", [],
     "by an interval above 0")])
def test_each_branch_of_the_recommendation(found, outcome, arms, words):
    import re

    said = recommend(found, KEEP)
    assert said.outcome == outcome and re.search(words.replace("%)", "%").replace("98 %", r"9\d%"), said.reason), said.reason
    if arms is not None:
        assert [each.label for each in said.arms] == [each.label for each in arms]


def test_what_keeps_enough_by_its_value_but_not_by_its_interval_is_not_recommended():
    noisy = arm("scale", 0.8, lost=5.0, learned=1.81)
    noisy.row_nll[:] += np.random.default_rng(3).normal(0, 2, ROWS)
    noisy.row_nll[:] += 2 * (BASE_LOSS - 1.81) - noisy.row_nll.mean()
    found = measured(noisy)
    (one,) = standings(found)
    assert one.kept.value > KEEP > one.kept.low and not one.fails(KEEP)
    assert recommend(found, KEEP).outcome == "none keeps enough" and recommend(found, 0.8).outcome == "recommended"


def test_a_doubtful_loss_is_told_from_none():
    mixed = measured(arm("scale", 0.5, lost=1.0, learned=1.9))
    right = mixed.base.correct["math"].copy()
    right[:20], right[-16:] = False, True  # as many almost regained as lost
    mixed = Measured(mixed.base, Arm("trained", 0, "", mixed.trained.row_nll, dict.fromkeys(SUITES, right),
                                     mixed.trained.text_nll), mixed.remedies, mixed.row_tokens, mixed.clusters,
                     mixed.text_bytes)
    assert "Whether it forgets at all is not settled" in recommend(mixed, KEEP).reason


def test_the_beaten_are_not_recommended_and_equal_ones_do_not_beat_each_other():
    found = measured(REPLAY, arm("scale", 0.9, lost=5.0, learned=1.9), arm("rate", 1e-4, lost=5.0, learned=1.95))
    one, beaten, equal = standings(found)
    assert beaten.beaten_by is REPLAY and one.beaten_by is None and equal.beaten_by is None


def test_one_that_is_beaten_by_what_does_not_qualify_itself_stands_not_out():
    sure, unsure = arm("replay", 0.5, lost=20.0, learned=1.9), arm("replay", 0.1, lost=19.0, learned=1.91)
    unsure.row_nll[:] += np.random.default_rng(3).normal(0, 4, ROWS)
    unsure.row_nll[:] += 2 * (BASE_LOSS - 1.91) - unsure.row_nll.mean()
    said = recommend(measured(sure, unsure), KEEP)
    assert said.outcome == "none stands out" and "does not qualify by its own intervals" in said.reason
    assert said.arms == (unsure, sure)


def verdict(name, found, *, stops=True):
    asked = Asked((0.5,), (0.25,), stops, KEEP)
    stated = hypotheses(asked)
    each = verdicts(stated, found, recommend(found, KEEP), KEEP)
    assert [one.name for one in each] == [one.name for one in stated]
    return next(one for one in each if one.name == name)


@pytest.mark.parametrize("name, supported, refuted", [
    (MENDS, measured(HALF, REPLAY, STOP), measured(HALF, REPLAY, STOP, lost=0.0)),
    (STANDS_OUT, measured(HALF, REPLAY, STOP), measured(arm("scale", 0.5, lost=15.0, learned=0.5),
                                                        arm("replay", 0.25, lost=40.0, learned=2.0), STOP)),
    ("replay_reduces_forgetting", measured(REPLAY), measured(arm("replay", 0.25, lost=40.0, learned=1.9))),
    ("scaling_reduces_forgetting", measured(HALF), measured(arm("scale", 0.5, lost=40.0, learned=1.9))),
    ("replay_costs_learning", measured(REPLAY), measured(arm("replay", 0.25, lost=5.0, learned=2.2))),
    ("scaling_costs_learning", measured(HALF), measured(arm("scale", 0.5, lost=5.0, learned=2.2))),
    (EQUAL, measured(HALF, REPLAY), measured(HALF, arm("replay", 0.25, lost=25.0, learned=1.0))),
    ("replay_forgets_less_than_stopping_at_equal_learning", measured(REPLAY, STOP),
     measured(arm("replay", 0.25, lost=25.0, learned=1.5), arm("stop", 300, lost=5.0, learned=1.5))),
    ("scaling_forgets_less_than_stopping_at_equal_learning", measured(HALF, arm("stop", 300, lost=25.0, learned=1.0)),
     measured(HALF, arm("stop", 300, lost=2.0, learned=1.0)))])
def test_every_verdict_comes_out_both_ways(name, supported, refuted):
    assert verdict(name, supported).outcome == "supported" and verdict(name, refuted).outcome == "refuted"


def test_trainings_that_came_apart_leave_their_verdicts_undecided():
    found = measured(HALF)
    for name in ("replay_reduces_forgetting", "replay_costs_learning", EQUAL):
        one = verdict(name, found)
        assert one.outcome == "undecided" and one.detail == "every training of this kind came apart"


def test_only_what_is_tried_is_asked():
    names = [one.name for one in hypotheses(Asked((), (0.25,), False, KEEP))]
    assert names == [MENDS, STANDS_OUT, "replay_reduces_forgetting", "replay_costs_learning"]
    assert rule(0.75) in hypotheses(Asked((0.5,), (), True, 0.75))[1].rule and "75%" in rule(0.75)


def test_a_line_is_read_where_it_learned_as_much_and_by_its_least_loss():
    learned = np.array([[0.0], [1.0], [3.0], [2.0]])  # the last learned less again
    lost = np.array([[0.0], [10.0], [20.0], [60.0]])
    for target, expected in ((0.5, 5.0), (2.0, 15.0), (2.5, 17.5), (3.0, 20.0), (9.0, 20.0), (-1.0, 0.0)):
        assert least_at(np.array([target]), learned, lost)[0] == pytest.approx(expected)


def test_the_interval_of_lost_points_is_the_paired_t_interval_where_items_are_independent():
    from scipy import stats

    rng = np.random.default_rng(0)
    before, after = rng.random(500) < 0.8, rng.random(500) < 0.6
    found = points({"a": before}, {"a": after}, {"a": np.arange(500)})
    expected = stats.ttest_rel(before.astype(float), after.astype(float)).confidence_interval()
    assert (found.low, found.high) == pytest.approx((100 * expected.low, 100 * expected.high))
    wider = points({"a": before}, {"a": after}, {"a": np.arange(500)}, family=8)
    assert wider.low < found.low and wider.value == found.value


def test_the_interval_over_suites_covers_what_it_says():
    rng, hits, draws = np.random.default_rng(0), 0, 400
    clusters = {name: np.arange(120) // 3 for name in "ab"}
    for _ in range(draws):
        shift = {name: np.repeat(rng.normal(0, 0.1, 40), 3) for name in "ab"}
        before = {name: rng.random(120) < 0.8 for name in "ab"}
        after = {name: rng.random(120) < 0.6 + shift[name] for name in "ab"}
        found = points(before, after, clusters)
        hits += found.low <= 20 <= found.high
    assert 0.92 <= hits / draws <= 0.975


def test_few_flips_get_an_exact_interval_around_nothing():
    right = np.ones(400, bool)
    same = points({"a": right}, {"a": right}, {"a": np.arange(400)})
    assert same.value == 0 and same.low == -same.high and 0.9 < same.high < 1.2 and "few flips" in same.covers
    four = right.copy()
    four[:4] = False
    found = points({"a": right}, {"a": four}, {"a": np.arange(400)})
    assert found.value == 1.0 and found.low < 0 < found.value < found.high < 3


def test_learning_is_resampled_by_row_alike_for_all():
    found = measured(HALF)
    own = estimate(found.learned(HALF), found.row_covers)
    gain = found.base.row_nll - HALF.row_nll
    expected = over_items(lambda rows: gain[rows].sum() / found.row_tokens[rows].sum(), ROWS)
    assert own.value == pytest.approx(expected.value) == pytest.approx(found.learned(HALF)[0])
    assert (own.low, own.high) == pytest.approx((expected.low, expected.high), abs=0.003)
    assert np.all(found.kept(found.trained) == 1) and np.all(found.lost(found.base) == 0)


def test_lost_points_and_bits_are_plain_means():
    found = measured(HALF)
    assert found.lost(HALF)[0] == pytest.approx(10.0) == found.saved(found.base, HALF).value
    assert found.text_lost(HALF)[0] == pytest.approx(10 / np.log(2) / 50)


def test_remedies_have_labels_of_their_own():
    labels = [each.label for each in (arm("base"), arm("trained"), HALF, REPLAY, STOP, arm("rate", 5e-4))]
    assert labels == ["base", "as trained", "scaled by 0.5", "replay 25 %", "stopped at step 300", "rate 5e-4"]
