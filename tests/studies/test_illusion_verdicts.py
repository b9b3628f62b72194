"""Each claim comes out as it was planted, either way, and undecided where there is too little."""

import numpy as np
import pytest

from lab.evaluation.intervals import Estimate
from lab.studies import illusion_hypotheses as stated_as
from lab.studies.illusion_correlation import correlate, residual_ranks, spearman
from lab.studies.illusion_hypotheses import hypotheses
from lab.studies.illusion_verdicts import Counts, Evidence, verdicts
from lab.studies.lora_illusion import Config

LAYERS, MODULES, DRAWS = 6, 7, 19


def counts(lora=2.0, full=0.0, null=1.0, seeds=(0,)):
    rng = np.random.default_rng(3)

    def about(mean, *more):
        return rng.poisson(mean, (LAYERS, MODULES, *more)).astype(float)

    return [Counts(seed, f"full-{seed}", about(lora), about(full), about(null, DRAWS)) for seed in seeds]


def outcome(name, *, config=None, **about):
    given = {"counts": counts(), "k": 10, "trainings": 12, "by_count": None, "at_equal_norm": None} | about
    return {verdict.name: verdict for verdict in verdicts(hypotheses(config or Config()), Evidence(**given))}[name]


@pytest.mark.parametrize("name, planted, seeds, expected", [
    *((name, planted, seeds, expected) for seeds in ((0,), (0, 1, 2, 3, 4)) for name, planted, expected in (
        (stated_as.MATCHED, {"lora": 2.0, "full": 0.0}, "supported"),
        (stated_as.MATCHED, {"lora": 0.0, "full": 2.0}, "refuted"),
        (stated_as.NONE_IN_FULL, {"full": 0.0}, "supported"), (stated_as.NONE_IN_FULL, {"full": 3.0}, "refuted"),
        (stated_as.BEYOND_RANDOM, {"lora": 5.0, "null": 1.0}, "supported"),
        (stated_as.BEYOND_RANDOM, {"lora": 1.0, "null": 5.0}, "refuted"))),
    (stated_as.MATCHED, {"lora": 0.5, "full": 0.5}, (0,), "undecided"),
    (stated_as.NONE_IN_FULL, {"full": 0.1}, (0,), "undecided"),
    (stated_as.BEYOND_RANDOM, {"lora": 1.0, "null": 1.0}, (0,), "undecided")])
def test_counts_at_matched_loss_are_judged_as_planted(name, planted, seeds, expected):
    found = outcome(name, counts=counts(**planted, seeds=seeds))
    assert found.outcome == expected
    if name == stated_as.MATCHED:
        assert ("seeds (n=5)" if len(seeds) > 1 else "layers") in found.covers


def test_all_layers_alike_are_no_certainty():
    ones = np.ones((LAYERS, MODULES))
    found = outcome(stated_as.MATCHED, counts=[Counts(0, "a", 2 * ones, ones, np.ones((LAYERS, MODULES, DRAWS)))])
    assert found.value == 1 and found.interval[0] < 1 and found.outcome == "undecided"


@pytest.mark.parametrize("name", [stated_as.MATCHED, stated_as.NONE_IN_FULL, stated_as.BEYOND_RANDOM])
def test_losses_that_are_far_apart_are_not_compared(name):
    found = outcome(name, counts=[])
    assert found.outcome == "undecided" and "less than a twentieth" in found.detail


def planted_trainings(count, *, through_size, seed=0):
    """Intruders, forgetting and size; forgetting follows the one or the other, and intruders go with size."""
    rng = np.random.default_rng(seed)
    size = rng.random(count)
    intruders = size + 0.4 * rng.random(count)
    lost = (size if through_size else intruders) + 0.02 * rng.random(count)
    return intruders, lost, size


@pytest.mark.parametrize("through_size, expected", [(False, "supported"), (True, "undecided")])
def test_what_size_explains_is_not_ascribed_to_intruders(through_size, expected):
    intruders, lost, size = planted_trainings(14, through_size=through_size)
    assert outcome(stated_as.WITH_FORGETTING, by_count=correlate(intruders, lost)).outcome == "supported"
    assert outcome(stated_as.AT_EQUAL_NORM, at_equal_norm=correlate(intruders, lost, given=size)).outcome == expected


def test_fewer_intruders_where_more_is_forgotten_refute():
    intruders, lost, size = planted_trainings(14, through_size=False)
    assert outcome(stated_as.WITH_FORGETTING, by_count=correlate(intruders, -lost)).outcome == "refuted"
    assert outcome(stated_as.AT_EQUAL_NORM, at_equal_norm=correlate(intruders, -lost, given=size)).outcome == "refuted"


def test_few_or_equal_trainings_are_not_correlated():
    intruders, lost, _ = planted_trainings(7, through_size=False)
    assert correlate(intruders, lost) is None and correlate(np.zeros(12), np.arange(12)) is None
    few = outcome(stated_as.WITH_FORGETTING, trainings=7)
    assert few.outcome == "undecided" and "7 adapters ran to their end, at least 8" in few.detail
    assert "same number of intruders" in outcome(stated_as.WITH_FORGETTING, trainings=12).detail


def test_a_p_above_a_twentieth_leaves_a_correlation_undecided():
    rng = np.random.default_rng(5)
    found = next(one for _ in range(400) if (one := correlate(np.arange(8), np.arange(8) + 7 * rng.random(8))) is not None
                 and one.estimate.low > 0 and one.p > 0.05)
    assert outcome(stated_as.WITH_FORGETTING, by_count=found).outcome == "undecided"


def test_correlations_are_those_of_scipy_and_of_the_textbook():
    from scipy.stats import spearmanr

    x, y, z = np.random.default_rng(1).integers(0, 6, (3, 20)).astype(float)  # with ties
    assert spearman(x, y) == pytest.approx(spearmanr(x, y).statistic, abs=1e-12)
    xy, xz, yz = (spearmanr(*pair).statistic for pair in ((x, y), (x, z), (y, z)))
    partial = (xy - xz * yz) / np.sqrt((1 - xz**2) * (1 - yz**2))
    assert spearman(x, y, given=z) == pytest.approx(partial, abs=1e-12)
    assert residual_ranks(x, z) @ residual_ranks(z, None) == pytest.approx(0, abs=1e-9)
    assert correlate(x, y).p == pytest.approx(spearmanr(x, y).pvalue, abs=0.05)


@pytest.mark.parametrize("name", [stated_as.SAVES, stated_as.BEYOND_SHRINKING, stated_as.BEYOND_NEIGHBOURS])
@pytest.mark.parametrize("low, high, expected", [(0.1, 0.3, "supported"), (-0.3, -0.1, "refuted"), (-0.1, 0.1, "undecided")])
def test_what_scaling_saves_is_judged_by_its_interval(name, low, high, expected):
    found = outcome(name, effects={name: Estimate((low + high) / 2, low, high, "documents")}, remarks={name: "beside"})
    assert found.outcome == expected and found.detail == "beside"


@pytest.mark.parametrize("low, high, expected", [
    (-0.02, 0.03, "supported"), (0.1, 0.3, "refuted"), (0.01, 0.1, "undecided")])
def test_learning_is_kept_if_less_than_a_twentieth_is_gone(low, high, expected):
    name = stated_as.LEARNING_KEPT
    assert outcome(name, effects={name: Estimate((low + high) / 2, low, high, "rows")}).outcome == expected


def test_what_was_not_scaled_is_not_judged():
    for name in stated_as.SCALING:
        found = outcome(name, why_not="no intruder")
        assert (found.outcome, found.detail) == ("undecided", "no intruder")


def test_every_claim_names_the_paper_or_says_that_it_is_not_in_it():
    stated = hypotheses(Config())
    assert len(stated) == 9 and all("aper" in one.statement for one in stated)
    assert ".971" in stated[3].statement and "33.2 %" in stated[5].statement
