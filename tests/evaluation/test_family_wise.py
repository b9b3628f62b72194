import itertools

import numpy as np
import pytest
import torch

from benchmarks import attention_null
from lab.adapters.spectra import spectra
from lab.errors import ModelUnsupported, OptionError
from lab.evaluation.family_wise import DEFAULT_DRAWS, MINIMUM_DRAWS, family_wise, level

LAYERS, HEADS = 4, 6


def adapters(rng, count, *, prompts=None, tail=3.0):
    """Exchangeable changes: heads of very different scale and spread, strongly correlated, with heavy tails."""
    shape = np.random.default_rng(7)
    scale, spread = np.exp(shape.normal(-6, 2, (LAYERS, HEADS))), np.exp(shape.normal(-1, 0.7, (LAYERS, HEADS)))
    size = (count, 1, 1) if prompts is None else (count, prompts, 1, 1)
    noise = 0.8 * rng.standard_t(tail, size) + 0.6 * rng.standard_t(tail, (*size[:-2], LAYERS, HEADS))
    return scale * np.exp(spread * np.clip(noise, -20, 20))


@pytest.mark.parametrize("draws, called", [(39, 1), (59, 2), (99, 4)])
def test_exactly_the_stated_share_of_exchangeable_adapters_is_called(draws, called):
    """Each of draws + 1 adapters in the place of the observed one: the error is an identity, not an estimate."""
    pool = adapters(np.random.default_rng(0), draws + 1)
    tests = [family_wise(pool[i], np.delete(pool, i, axis=0)) for i in range(draws + 1)]
    assert sum(test.changed.any() for test in tests) == sum(test.less_changed.any() for test in tests) == called
    assert tests[0].level == level(draws) == called / (draws + 1)
    assert sorted(round(test.global_p * (draws + 1)) for test in tests) == list(range(1, draws + 2))


@pytest.mark.parametrize("draws", [MINIMUM_DRAWS, DEFAULT_DRAWS])
def test_of_400_comparisons_without_any_change_at_most_26_call_a_head(draws):
    rng = np.random.default_rng(1)
    called = 0
    for _ in range(400):
        pool = adapters(rng, draws + 1, prompts=3)
        called += family_wise(pool[0], pool[1:]).changed.any()
    expected = 400 * level(draws)
    assert abs(called - expected) < 4 * expected**0.5 and called <= 0.065 * 400


def test_a_planted_head_is_found_and_no_other():
    rng = np.random.default_rng(2)
    found, others = 0, 0
    for _ in range(100):
        pool = adapters(rng, DEFAULT_DRAWS + 1, prompts=8, tail=8.0)
        head = rng.integers(LAYERS), rng.integers(HEADS)
        spread = np.log(pool.mean(1)).std(0)[head]
        pool[0, :, *head] *= np.exp(8 * spread)
        changed = family_wise(pool[0], pool[1:]).changed
        found += changed[head]
        others += changed.sum() - changed[head]
    assert found >= 90 and others <= 10


def test_a_head_is_found_in_its_own_scale_however_small_it_is():
    pool = adapters(np.random.default_rng(3), 40, tail=8.0)
    least = np.unravel_index(pool.mean(0).argmin(), (LAYERS, HEADS))
    most = pool.mean(0).max()
    pool[0][least] = 5 * pool[1:, *least].max()
    test = family_wise(pool[0], pool[1:])
    assert pool[0][least] < most and test.changed[least] and test.p[least] == 1 / 40 and test.global_p == 1 / 40
    assert test.ratio[least] == pytest.approx(pool[0][least] / pool[1:, *least].mean()) and test.ratio[least] > 5
    assert test.pointwise_p[least] == 1 / 40 and test.maximum > test.null_maxima.max()


def test_a_head_that_changed_less_is_reported_apart():
    pool = adapters(np.random.default_rng(4), 40, tail=8.0)
    pool[0, 1, 2] = pool[1:, 1, 2].min() / 100
    test = family_wise(pool[0], pool[1:])
    assert test.less_changed[1, 2] and test.less_p[1, 2] == 1 / 40 and not test.changed[1, 2] and test.p[1, 2] == 1
    assert test.less_p.min() == 1 / 40


def test_an_update_that_changes_nothing_changes_no_head():
    nothing = np.zeros((3, LAYERS, HEADS))
    test = family_wise(nothing, np.zeros((39, 3, LAYERS, HEADS)))
    assert not test.changed.any() and not test.less_changed.any() and test.global_p == 1 and (test.p == 1).all()
    assert (test.ratio == 1).all() and (test.pointwise_p == 1).all() and np.isneginf(test.maximum)
    against_others = family_wise(nothing[0], adapters(np.random.default_rng(5), 39))
    assert not against_others.changed.any() and against_others.global_p == 1


def test_heads_that_no_adapter_reaches_take_no_part_and_leave_the_others_as_they_are():
    pool = adapters(np.random.default_rng(6), 40)
    whole = family_wise(pool[0, 1:], pool[1:, 1:])
    pool[:, 0] = 0
    pool[:20, 0] = 1e-9  # below what can be told from rounding
    test = family_wise(pool[0], pool[1:])
    assert (test.p[0] == 1).all() and (test.less_p[0] == 1).all() and (test.ratio[0] == 1).all()
    np.testing.assert_array_equal(test.p[1:], whole.p)
    np.testing.assert_array_equal(test.null_maxima, whole.null_maxima)


def test_prompts_are_averaged_and_the_null_is_summarised():
    pool = adapters(np.random.default_rng(8), 40, prompts=5)
    test, averaged = family_wise(pool[0], pool[1:]), family_wise(pool[0].mean(0), pool[1:].mean(1))
    np.testing.assert_array_equal(test.p, averaged.p)
    np.testing.assert_allclose(test.null_mean, pool[1:].mean((0, 1)))
    np.testing.assert_allclose(test.null_high, np.percentile(pool[1:].mean(1), 95, axis=0))


def test_units_and_scales_of_heads_do_not_matter():
    pool = adapters(np.random.default_rng(9), 40)
    factors = np.exp(np.random.default_rng(10).uniform(0, 9, (LAYERS, HEADS)))
    np.testing.assert_array_equal(family_wise(pool[0], pool[1:], resolution=1e-300).p,
                                  family_wise(factors * pool[0], factors * pool[1:], resolution=1e-300).p)


def test_too_few_draws_say_how_many():
    with pytest.raises(OptionError, match="38 draws from the null; at least 39 are needed.*1/40; type draws=59"):
        family_wise(np.ones((2, 2)), np.ones((38, 2, 2)))


@pytest.mark.parametrize("where, name", [(0, "observed change"), (1, "change under the null")])
def test_what_is_not_finite_names_its_head(where, name):
    pool = np.ones((40, 3, 4))
    pool[where, 2, 1] = np.nan
    with pytest.raises(ModelUnsupported, match=f"the {name} of layer 2 head 1 is not finite"):
        family_wise(pool[0], pool[1:])


def test_shapes_that_do_not_belong_together_are_refused():
    with pytest.raises(ValueError, match=r"null draws have shape \(39, 2, 3\), the observed change \(5, 2, 3\)"):
        family_wise(np.ones((5, 2, 3)), np.ones((39, 2, 3)))


@pytest.fixture(scope="module")
def bench():
    torch.set_num_threads(1)
    return attention_null.bench(MINIMUM_DRAWS)


def test_adapters_drawn_from_the_null_are_seldom_called_on_a_real_model(bench):
    """A few of the 400 comparisons that benchmarks/attention_null.py counts; 0.6 of 24 calls are expected."""
    rows = attention_null.false_calls(bench, 12, MINIMUM_DRAWS, itertools.count(10**6))
    assert np.sum(rows, axis=0)[:2].sum() <= 4


def test_an_update_larger_than_its_draws_is_called_on_a_real_model(bench):
    attention_null.observe_draw(bench, torch.Generator().manual_seed(0), itertools.count(2 * 10**6))
    values = {name: each / 5 for name, each in spectra(bench.model, attention_null.OBSERVED).items()}
    test = family_wise(*attention_null.measured(bench, MINIMUM_DRAWS, itertools.count(), values))
    assert test.changed.mean() > 0.5 and test.global_p == 1 / 40


def test_p_counts_the_adapters_whose_largest_standardised_logarithm_is_reached():
    pool = adapters(np.random.default_rng(11), 40)
    logs = np.log(pool).reshape(40, -1)
    z = (logs - logs.mean(0)) / logs.std(0)
    for found, each in ((family_wise(pool[0], pool[1:]).p, z), (family_wise(pool[0], pool[1:]).less_p, -z)):
        expected = [sum(row.max() >= value for row in each) / 40 for value in each[0]]
        np.testing.assert_allclose(found.ravel(), expected)
