"""Verdicts on attention from planted arrays: each can come out either way, and the null supports none."""

import math
from collections import Counter

import numpy as np
import pytest
from scipy.stats import spearmanr

from lab.studies.attention_hypotheses import hypotheses
from lab.studies.attention_verdicts import Change, Evidence, verdicts

PROMPTS, DRAWS, LAYERS, HEADS = 10, 39, 6, 5
SCALE = np.exp(np.random.default_rng(99).normal(-5, 1, (LAYERS, HEADS)))  # how sensitive each head is
DEPTH = np.linspace(0, 1, LAYERS)[:, None]


def pool(seed, draws=DRAWS + 1):
    """Exchangeable adapters: divergence [draws, prompts, L, H]."""
    rng = np.random.default_rng(seed)
    heads, prompts = rng.normal(0, 0.4, (draws, 1, LAYERS, HEADS)), rng.normal(0, 0.3, (1, PROMPTS, 1, 1))
    return SCALE * np.exp(heads + prompts + rng.normal(0, 0.1, (draws, PROMPTS, LAYERS, HEADS)))


def change(seed=0, factor=1.0):
    """An adapter whose change is that of a draw, times a factor by head."""
    divergence, direct = pool(seed), pool(seed + 1000)
    return Change(factor * divergence[0], divergence[1:], factor * direct[0], direct[1:])


def verdict(name, evidence):
    return next(v for v in verdicts(evidence) if v.name == name)


def of(one, **others):
    return Evidence(one.divergence, one, **others)


def test_only_what_there_is_data_for_is_stated_and_all_of_it_is_answered():
    one = change()
    everything = of(one, placebo=change(2), seeds=[one, change(1)], ranks=[{1: one.divergence, 4: one.divergence}])
    stated = hypotheses(prompts=PROMPTS, placebo=True, seeds=2, ranks=[1, 4])
    assert [h.name for h in stated] == [v.name for v in verdicts(everything)] and len(stated) == 6
    assert [v.name for v in verdicts(of(one))] == [
        "most_heads_unchanged", "later_layers_change_more", "change_is_concentrated"]
    whole = Change(one.divergence, one.null)
    assert [v.name for v in verdicts(of(whole))] == ["most_heads_unchanged", "change_is_concentrated"]
    assert verdicts(Evidence(one.divergence)) == [] == hypotheses(prompts=PROMPTS, null=False)
    assert hypotheses(prompts=4) == [] and hypotheses(prompts=PROMPTS, null=False, ranks=[8, 8]) == []


def test_every_verdict_says_its_unit_what_its_interval_covers_and_its_null():
    one = change()
    for found in verdicts(of(one, placebo=change(2), seeds=[one, change(1)],
                             ranks=[{1: one.divergence, 4: 2 * one.divergence}])):
        assert found.unit and found.null and "prompts (n=10)" in found.covers
        low, high = found.interval or (found.value, found.value)
        assert low <= found.value <= high and (low < high or "no interval" in found.detail), found.name


@pytest.mark.parametrize("share, outcome", [(0.0, "supported"), (0.2, "supported"), (0.8, "refuted")])
def test_most_heads_unchanged(share, outcome):
    factor = np.ones(LAYERS * HEADS)
    factor[:round(share * factor.size)] = 100
    found = verdict("most_heads_unchanged", of(change(3, factor.reshape(LAYERS, HEADS))))
    assert found.outcome == outcome and abs(found.value - (1 - share)) < 0.1


def test_doubt_between_the_two_tests_leaves_it_undecided():
    """Every head changed a little more than its draws ever do: beyond all of its own, seldom beyond all heads' maximum."""
    one = change(4)
    strong = 1.03 * one.null.mean(1).max(0) / one.divergence.mean(0)
    found = verdict("most_heads_unchanged", of(Change(strong * one.divergence, one.null)))
    assert found.outcome == "undecided" and found.value > 0.5 and found.interval[0] < 0.3


@pytest.mark.parametrize("steepness, outcome", [(3, "supported"), (-3, "refuted")])
def test_later_layers_change_more(steepness, outcome):
    found = verdict("later_layers_change_more", of(change(5, np.exp(steepness * DEPTH) * np.ones(HEADS))))
    assert found.outcome == outcome and abs(found.value - steepness) < 0.7


def test_the_trend_is_relative_to_the_null_so_that_sensitive_layers_do_not_make_one():
    one, sensitive = change(6), np.exp(5 * DEPTH)
    plain = verdict("later_layers_change_more", of(one))
    found = verdict("later_layers_change_more", of(Change(*(sensitive * a for a in (
        one.divergence, one.null, one.direct, one.null_direct)))))
    assert found.value == pytest.approx(plain.value, abs=0.01) and found.outcome == plain.outcome


def test_layers_without_adapted_modules_take_no_part_in_the_trend():
    one = change(5, np.exp(3 * DEPTH) * np.ones(HEADS))
    above = np.arange(LAYERS)[:, None] >= 2
    found = verdict("later_layers_change_more", of(Change(
        one.divergence, one.null, above * one.direct, above * one.null_direct)))
    assert abs(found.value - 3) < 1 and found.detail == "4 layers"
    few = np.arange(LAYERS)[:, None] >= 4
    found = verdict("later_layers_change_more", of(Change(
        one.divergence, one.null, few * one.direct, few * one.null_direct)))
    assert found.outcome == "undecided" and "2 layers changed by weights of their own; a trend needs 3" in found.detail


def test_change_is_concentrated():
    factor = np.ones((LAYERS, HEADS))
    factor[np.unravel_index(SCALE.argmax(), SCALE.shape)] = 30
    found = verdict("change_is_concentrated", of(change(7, factor)))
    assert found.outcome == "supported" and found.detail.startswith("the 3 most changed heads hold 0.8")
    even = verdict("change_is_concentrated", of(change(7, SCALE.max() / SCALE)))
    assert even.outcome == "refuted" and even.value < 0


def test_draws_from_the_null_support_nothing():
    counts = Counter()
    for seed in range(10, 16):
        found = verdicts(of(change(seed), seeds=[change(seed), change(seed + 50)]))
        counts.update((v.name, v.outcome) for v in found)
    assert counts["most_heads_unchanged", "supported"] == 6
    for name in ("later_layers_change_more", "change_is_concentrated", "reproducible_over_seeds"):
        assert counts[name, "undecided"] >= 4, counts  # 5.7 of 6 expected


def test_a_run_that_changed_nothing_supports_nothing():
    zero = Change(*(np.zeros(s) for s in ((PROMPTS, LAYERS, HEADS), (DRAWS, PROMPTS, LAYERS, HEADS)) * 2))
    found = {v.name: v for v in verdicts(of(zero, placebo=zero, seeds=[zero, zero],
                                            ranks=[{1: zero.divergence, 2: zero.divergence}]))}
    assert found.pop("most_heads_unchanged").value == 1
    assert {v.outcome for v in found.values()} == {"undecided"}
    assert "0 heads changed in every seed" in found["reproducible_over_seeds"].detail
    assert "no divergence at all on a prompt at r=[1, 2]" in found["change_grows_with_rank"].detail


@pytest.mark.parametrize("factor, outcome", [(2.0, "supported"), (0.5, "refuted"), (1.0, "undecided")])
def test_more_than_placebo(factor, outcome):
    one, noise = change(8), np.exp(np.random.default_rng(8).normal(0, 0.2, (PROMPTS, 1, 1)))
    noise /= (noise * one.divergence).mean() / one.divergence.mean()
    found = verdict("more_than_placebo", of(one, placebo=Change(noise * one.divergence / factor, one.null / 4)))
    assert found.outcome == outcome and found.unit == "nats per head"
    assert found.value == pytest.approx(one.divergence.mean() * (1 - 1 / factor), abs=1e-9)
    times = one.divergence.mean() / one.null.mean()
    assert f"×{times:.3g} and ×{4 / factor * times:.3g}" in found.detail


def test_a_placebo_is_the_first_thing_that_is_read_and_its_called_heads_stand_beside_the_own_ones():
    placebo = change(3, np.where(np.arange(LAYERS)[:, None] < 2, 100, 1) * np.ones(HEADS))
    found = verdicts(of(change(4), placebo=placebo))
    assert found[0].name == "more_than_placebo" and found[1].name == "most_heads_unchanged"
    assert found[1].detail.endswith("of the placebo's heads the first test calls 10")
    assert "only a placebo tells" in verdict("most_heads_unchanged", of(change(4))).detail


def test_reproducible_over_seeds():
    pattern = np.exp(np.random.default_rng(0).normal(0, 1.5, (LAYERS, HEADS)))
    same = [change(seed, pattern) for seed in (1, 2, 3)]
    found = verdict("reproducible_over_seeds", of(same[0], seeds=same))
    assert found.outcome == "supported" and found.value > 0.7 and "prompts" in found.covers
    ratios = [np.log(one.divergence.mean(0) / one.null.mean((0, 1))).ravel() for one in same]
    pairs = [spearmanr(ratios[i], ratios[j]).statistic for i, j in ((0, 1), (0, 2), (1, 2))]
    assert found.detail == f"3 training seeds, correlation {np.mean(pairs):.2f}"
    opposite = [same[0], change(2, 1 / pattern)]
    assert verdict("reproducible_over_seeds", of(same[0], seeds=opposite)).outcome == "refuted"


@pytest.mark.parametrize("power, outcome", [(0.5, "supported"), (-0.5, "refuted")])
def test_change_grows_with_rank(power, outcome):
    one = change(9)
    ranks = {r: one.divergence * r**power for r in (1, 4, 16)}
    found = verdict("change_grows_with_rank", of(one, ranks=[ranks]))
    assert found.outcome == outcome and found.value == pytest.approx(power) and "one training each" in found.covers
    noisy = [{r: values * math.exp(0.1 * seed * (r == 4)) for r, values in ranks.items()} for seed in range(3)]
    found = verdict("change_grows_with_rank", of(one, ranks=noisy))
    assert found.outcome == outcome and found.covers == "training seeds (n=3)" and found.detail.endswith("r=1,4,16")
    lost = verdict("change_grows_with_rank", of(one, ranks=[ranks, {1: ranks[1]}]))
    assert lost.outcome == "undecided" and lost.detail == "fewer than 2 ranks in every seed"
