"""The rules of learning less and forgetting less, on trainings made by hand: each comes out both ways."""

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from lab.adapters.full_rank import UpdateRank
from lab.errors import OptionError
from lab.studies import learns_less_arms as arms
from lab.studies import learns_less_paper, learns_less_tables, lora_learns_less, paper_rows
from lab.studies.learns_less_curves import (
    check_same_items,
    collateral,
    combined,
    curves,
    least_doubt,
    saved_at_equal_learning,
)
from lab.studies.learns_less_hypotheses import hypotheses, middle_rank
from lab.studies.learns_less_verdicts import verdicts
from lab.studies.lora_learns_less import Config
from lab.studies.trials import Trained
from tests.studies.learns_less_trials import CONFIG, FULL_RATES, RATES, changed, decide, evidence, study, trial

LESS = {1: 1.0, 8: 2.0, 64: 3.0, None: 4.0}
FORGETS = {1: 2.0, 8: 5.0, 64: 8.0, None: 20.0}
REVERSED = {1: 4.0, 8: 3.0, 64: 2.0, None: 1.0}
EQUAL = dict.fromkeys(LESS, 3.0)
ARMS = ("lora_learns_less", "lora_forgets_less", "lora_forgets_less_text", "learning_grows_with_rank",
        "forgetting_grows_with_rank", "forgets_less_at_equal_learning")


def outcomes(found):
    return {name: found[name].outcome for name in ARMS}


def test_what_the_paper_says_is_supported_where_it_is_planted():
    found = decide(study(LESS, FORGETS, text={1: 0.1, 8: 0.1, 64: 0.1, None: 0.5}))
    assert outcomes(found) == dict.fromkeys(ARMS, "supported")
    assert found["lora_learns_less"].value == pytest.approx(4 - 2, abs=0.15)
    assert found["lora_forgets_less"].value == pytest.approx(20 - 5, abs=0.6)
    assert found["lora_forgets_less_text"].value == pytest.approx(0.4, abs=0.02)
    assert found["learning_grows_with_rank"].value == pytest.approx(1 / 3, abs=0.03)  # a nat for every 3 doublings
    assert found["forgetting_grows_with_rank"].value == pytest.approx(1, abs=0.1)
    assert "seeds (n=3)" in found["lora_learns_less"].covers and "items" in found["lora_learns_less"].covers


def test_the_opposite_is_refuted():
    forgets = {1: 20.0, 8: 15.0, 64: 10.0, None: 2.0}
    found = decide(study(REVERSED, forgets, text={1: 0.5, 8: 0.5, 64: 0.5, None: 0.1}))
    assert outcomes(found) == dict.fromkeys(ARMS, "refuted")


def test_arms_that_do_the_same_are_undecided():
    found = decide(study(EQUAL, dict.fromkeys(LESS, 5.0)))
    assert outcomes(found) == dict.fromkeys(ARMS, "undecided")


def test_at_equal_learning_counts_how_the_curve_runs_and_not_where_it_ends():
    """Full loses as much in all as LoRA, but learns much more for it: at equal learning LoRA has lost more."""
    along = {1: (0, .2, .5, .8, 1), 8: (0, .2, .5, .8, 1), 64: (0, .2, .5, .8, 1), None: (0, .2, .5, .8, 1)}
    found = decide(study({1: 2.0, 8: 2.0, 64: 2.0, None: 4.0}, dict.fromkeys(LESS, 10.0), along=along))
    assert found["lora_forgets_less"].outcome == "undecided"
    assert found["forgets_less_at_equal_learning"].outcome == "refuted"
    # levels from 0.8 (full's first checkpoint) to 2.0: LoRA loses 5 points a nat, full 2.5, so 2.5 × their mean of 1.4
    assert found["forgets_less_at_equal_learning"].value == pytest.approx(-2.5 * 1.4, abs=0.3)


def test_no_common_level_is_undecided_and_says_why():
    learned = {1: 0.5, 8: 0.5, 64: 0.5, None: 4.0}  # full has learned more by its first checkpoint than LoRA ever
    found = decide(study(learned, FORGETS))["forgets_less_at_equal_learning"]
    assert found.outcome == "undecided" and found.value is None and "more checkpoints" in found.detail
    some = decide(study({1: 0.5, 8: 3.0, 64: 3.0, None: 4.0}, FORGETS))["forgets_less_at_equal_learning"]
    assert some.outcome == "supported" and "r=1 and full" in some.detail


def test_one_seed_decides_nothing_and_still_shows_what_it_measured():
    found = decide(study(LESS, FORGETS, seeds=1), config=changed(seeds=1))
    assert outcomes(found) == dict.fromkeys(ARMS, "undecided")
    assert found["lora_learns_less"].value > 1 and "1 training seed" in found["lora_learns_less"].detail


def test_seeds_that_disagree_are_undecided():
    found = decide(study(LESS, FORGETS, spread=1.0))
    assert found["lora_learns_less"].outcome == "undecided"


def test_a_rate_at_the_edge_and_a_seed_that_came_apart_are_said():
    trials = study(LESS, FORGETS)
    lifted = [one for one in trials if one.r != 8]
    lifted += [trial(8, learned=value, lost=5.0, lr=lr) for value, lr in zip((1.0, 1.5, 2.0), RATES, strict=True)]
    lifted += [trial(8, learned=2.0, lost=5.0, lr=RATES[2], seed=seed) for seed in (1, 2)]
    assert "r=8: highest of the rates tried" in decide(lifted)["lora_learns_less"].detail
    broken = [one for one in trials if not (one.r is None and one.seed == 2)]
    broken.append(trial(None, learned=4.0, lost=20.0, seed=2, lr=FULL_RATES[1], diverged_at=12))
    found = decide(broken)["lora_learns_less"]
    assert "left out, some arm came apart: seed 2" in found.detail and "(n=2)" in found.covers


def test_an_arm_of_which_every_rate_diverged_is_left_out_and_named():
    trials = [one for one in study(LESS, FORGETS) if one.r != 1]
    trials += [trial(1, learned=1.0, lost=2.0, lr=lr, diverged_at=3) for lr in RATES]
    found = decide(trials)["lora_learns_less"]
    assert found.outcome == "supported" and "r=1: every rate diverged" in found.detail
    whole = [one for one in study(LESS, FORGETS) if one.r is not None]
    whole += [trial(None, learned=1.0, lost=2.0, lr=lr, diverged_at=3) for lr in FULL_RATES]
    assert outcomes(decide(whole))["lora_learns_less"] == "undecided"
    assert outcomes(decide(whole))["learning_grows_with_rank"] == "supported"


def test_rates_are_chosen_on_other_rows_than_the_arms_are_compared_on():
    """A rate that is better only on the rows of the comparison is not chosen."""
    choose, compare = arms.halves(200)
    assert len(choose) == len(compare) == 100 and not set(choose) & set(compare)
    good = trial(8, learned=3.0, lost=1.0, lr=RATES[0])
    nll = good.row_nll.copy()
    nll[-1, compare] -= 2.0
    nll[-1, choose] += 1.0
    tempting = replace(good, lr=RATES[1], row_nll=nll)
    worst = trial(8, learned=0.5, lost=1.0, lr=RATES[2])
    tuned = arms.tune(arms.Arm(8, RATES), [good, tempting, worst], 0)
    assert tuned.lr == RATES[0] and "lowest" in tuned.remark


def test_a_diverged_rate_beyond_the_best_makes_it_no_edge():
    trials = [trial(8, learned=value, lost=1.0, lr=lr) for value, lr in zip((1.0, 2.0), RATES, strict=False)]
    tuned = arms.tune(arms.Arm(8, RATES), [*trials, trial(8, learned=9.0, lost=1.0, lr=RATES[2], diverged_at=5)], 0)
    assert tuned.lr == RATES[1] and tuned.remark == "" and math.isnan(tuned.losses[RATES[2]])
    assert arms.tune(arms.Arm(8, RATES[:1]), trials, 0).remark == "not tuned: one rate"


def test_the_grid_is_every_rate_at_the_first_seed_and_the_best_at_the_others():
    first = arms.tuning(CONFIG)
    assert len(first) == 12 and {one.seed for one in first} == {0} and all(one.seeds == 1 for one in first)
    assert sorted({one.lr for one in first if one.method == "full"}) == sorted(FULL_RATES)
    tuned = [arms.tune(arm, study(LESS, FORGETS), 0) for arm in arms.arms(CONFIG)]
    rest = arms.repeats(CONFIG, tuned)
    assert [(one.method, one.r, one.lr, one.seed) for one in rest if one.seed == 1] == [
        ("lora", 1, RATES[1], 1), ("lora", 8, RATES[1], 1), ("lora", 64, RATES[1], 1), ("full", 8, FULL_RATES[1], 1)]
    assert len(rest) == 8 and all(one.evaluate == "forgetting" for one in rest)
    assert arms.name(first[-1]) == "lora_learns_less full lr=1e-3 seed=0"


def test_the_interval_covers_seeds_and_items():
    """Means of 3 seeds with a shared effect of the items: the truth lies inside about 95 times in 100."""
    generator = np.random.default_rng(0)
    inside = 0
    for _ in range(400):
        of_items = generator.normal(0, 1.0)
        values = 1.0 + of_items + generator.normal(0, 0.7, 3)[:, None] + generator.normal(0, 1.0, 400) * np.ones((3, 1))
        values[:, 0] = values[:, 1:].mean(1)
        found = combined(values)
        inside += found.low <= 1.0 <= found.high
    assert 0.93 <= inside / 400 <= 0.995


def test_the_interval_of_seeds_that_agree_is_that_of_items_and_the_other_way_round():
    items = np.concatenate([[0.0], np.random.default_rng(1).normal(0, 1, 4000)])
    agree = combined(np.stack([items, items]))
    assert (agree.low, agree.high) == tuple(np.percentile(items[1:], [2.5, 97.5]))
    seeds = np.array([1.0, 2.0, 4.0])
    apart = combined(np.repeat(seeds[:, None], 11, axis=1))
    expected = stats.t.interval(0.95, 2, seeds.mean(), stats.sem(seeds))
    assert (apart.low, apart.high) == pytest.approx(expected)
    assert "one training seed" in combined(items[None]).covers


def test_a_curve_is_what_the_trial_says_and_saves_nothing_against_itself():
    one = trial(8, learned=3.0, lost=6.0)
    found = curves({0: {"r=8": one}}, draws=50)[0]["r=8"]
    np.testing.assert_allclose(found.lost[0], one.lost_points, atol=1e-9)
    np.testing.assert_allclose(found.text[0], one.text_lost, atol=1e-9)
    _, rows = arms.halves(len(one.row_tokens))
    np.testing.assert_allclose(found.learned[0], one.row_nll[0, rows].mean() - one.row_nll[:, rows].mean(1), atol=1e-9)
    np.testing.assert_allclose(saved_at_equal_learning(found, found), 0)
    assert found.lost.shape == (51, 5) and found.lost[1:, -1].std() > 0


def test_where_no_answer_changes_the_interval_is_that_of_so_many_clusters():
    """Clopper and Pearson's interval for none of 400 clusters, not one of no width."""
    trials = study(LESS, dict.fromkeys(LESS, 0.0))
    bound = 100 * stats.binomtest(0, 400).proportion_ci(0.95, method="exact").high
    assert least_doubt(trials[0]) == pytest.approx(bound)
    found = decide(trials)["lora_forgets_less"]
    assert found.outcome == "undecided" and found.interval == pytest.approx((-bound, bound))


def test_a_suite_that_the_task_contradicts_is_not_forgetting():
    one = trial(8, learned=3.0, lost=20.0)
    one.correct["math"][1:] = False
    kept = collateral(one, "embedded:cipher")
    assert set(kept.correct) == set(kept.clusters) == {"code"} and kept.lost_points[-1] == pytest.approx(20, abs=1)
    assert collateral(one, "embedded:facts").lost_points[-1] > 50
    rules = {dataset: {each.name: each.rule for each in hypotheses(changed(dataset=dataset))} for dataset in (
        "embedded:cipher", "embedded:facts")}
    assert "suites but math" in rules["embedded:cipher"]["lora_forgets_less"]
    assert "but math" not in rules["embedded:facts"]["lora_forgets_less"]


def test_clusters_are_drawn_whole():
    """Twice the items in clusters of two that always agree say no more than half of them."""
    one = trial(8, learned=3.0, lost=20.0)
    doubled = replace(one, correct={name: np.repeat(each, 2, axis=1) for name, each in one.correct.items()},
                      clusters={name: np.repeat(np.arange(each.shape[1]), 2) for name, each in one.correct.items()})
    alone = replace(one, clusters={name: np.arange(each.shape[1]) for name, each in one.correct.items()})
    spread = [curves({0: {"r=8": each}}, draws=1000)[0]["r=8"].lost[1:, -1].std() for each in (doubled, alone)]
    assert spread[0] == pytest.approx(spread[1], rel=0.1)


def test_trainings_measured_on_other_items_are_refused():
    one = trial(8, learned=1.0, lost=1.0)
    other = replace(one, run_id="other", text_bytes=one.text_bytes + 1)
    with pytest.raises(OptionError, match="runs run-8-0.003-0 and other were measured on other rows"):
        check_same_items([one, other])


def update(layer, share, *, exact=True, role="q_proj", full=200):
    null = np.full(19, 0.51 * full)
    return UpdateRank(f"model.layers.{layer}.self_attn.{role}", (full, full), int(share * full), 20.0, int(0.5 * full), 30.0,
                      null, null / 2, exact)


def ranks_of(share, **given):
    return {seed: [update(layer, share + 0.01 * layer + 0.005 * seed, **given) for layer in range(6)] for seed in range(3)}


@pytest.mark.parametrize(("share", "high", "times", "below"), [
    (0.45, "supported", "supported", "supported"), (0.10, "refuted", "refuted", "supported"),
    (0.60, "supported", "supported", "refuted"), (0.33, "undecided", "refuted", "supported")])
def test_the_rank_of_the_full_update_is_judged_both_ways(share, high, times, below):
    found = decide(study(LESS, FORGETS), ranks=ranks_of(share))
    assert [found[name].outcome for name in ("full_update_high_rank", "full_update_ten_times_lora",
                                             "full_update_below_gaussian")] == [high, times, below]
    assert found["full_update_high_rank"].value == pytest.approx(share + 0.025 + 0.005, abs=0.006)
    assert found["full_update_ten_times_lora"].value == pytest.approx((share + 0.03) * 200 / 8, abs=0.15)
    assert "0.51" in found["full_update_high_rank"].null and "layers (n=6)" in found["full_update_high_rank"].covers
    assert "stable rank" in found["full_update_high_rank"].detail


def test_a_rank_made_by_rounding_is_no_finding():
    found = decide(study(LESS, FORGETS), ranks=ranks_of(0.45, exact=False))
    assert found["full_update_high_rank"].outcome == "undecided" and "float32" in found["full_update_high_rank"].detail
    assert "no full fine-tune" in decide(study(LESS, FORGETS))["full_update_high_rank"].detail


def test_one_rank_is_asked_nothing_about_ranks():
    config = changed(r=(8,))
    assert not {"learning_grows_with_rank", "forgetting_grows_with_rank"} & {one.name for one in hypotheses(config)}
    assert [middle_rank(changed(r=ranks)) for ranks in ((8,), (1, 8), (64, 1, 8), (1, 2, 3, 4))] == [8, 1, 8, 2]


def test_every_claim_stands_beside_the_papers():
    found = verdicts(hypotheses(CONFIG), evidence(study(LESS, FORGETS), ranks=ranks_of(0.45)))
    rows = paper_rows.rows(learns_less_paper.CLAIMS, found, "here")
    assert [row["verdict"] for row in rows] == [one.outcome for one in found]
    assert all(row["paper: number"] and row["paper: setup"] and row["not the same"] for row in rows)


def test_the_papers_differences_are_those_of_its_tables():
    """Means over r=16/64/256 against full, in points, as the table of claims says."""
    code, maths = .470 - np.mean([.358, .417, .498]), .642 - np.mean([.580, .624, .625])
    kept, kept_maths = np.mean([.609, .510, .517]) - .414, np.mean([.596, .568, .567]) - .559
    text = str(learns_less_paper.CLAIMS)
    assert f"{100 * code:.1f} and {100 * maths:.1f} points" in text
    assert f"{100 * kept:.1f} and {100 * kept_maths:.1f} points" in text
    assert f"{100 * np.polyfit([4, 6, 8], [.358, .417, .498], 1)[0]:.1f} points per" in text
    assert f"{-100 * np.polyfit([4, 6, 8], [.609, .510, .517], 1)[0]:.1f} points lost per" in text


def test_the_table_of_arms_has_an_interval_for_each_and_says_what_was_left_out():
    trials = [*study(LESS, FORGETS), trial(64, learned=3.0, lost=8.0, lr=RATES[1], seed=3, diverged_at=9)]
    rows = learns_less_tables.arms(evidence(trials), trials)
    assert [row["arm"] for row in rows] == ["r=1", "r=8", "r=64", "full"]
    assert [row["best rate"] for row in rows] == ["3e-3"] * 3 + ["3e-4"]
    assert rows[2]["remark"] == "diverged: seed 3" and rows[3]["learned, full minus it (nats/token)"] is None
    assert all(" to " in row["lost (points)"] for row in rows)
    suites = learns_less_tables.suites(evidence(trials), [("full", trial(None, learned=4.0, lost=20.0, spread=0))])
    assert suites[0]["right under the base (%)"] == 90 and suites[0]["lost by full (points)"] == pytest.approx(20, abs=0.2)


@pytest.mark.parametrize(("given", "message"), [
    ({"method": "full"}, "method=full: this study trains adapters and the whole model"),
    ({"quantization": "nf4"}, "quantization=nf4"), ({"backend": "unsloth"}, "backend=unsloth: the whole model is trained"),
    ({"register": "a@b"}, "register=a@b: this study trains several"), ({"replay": 0.2}, "replay=0.2: rows of the base"),
    ({"evaluate": "none"}, "evaluate=none"), ({"lr": (0.0,)}, "lr="), ({"part": "3/2"}, "part=3/2")])
def test_bad_input_is_refused_before_a_run_is_opened(given, message):
    with pytest.raises(OptionError, match=message):
        lora_learns_less.run(Config(**given))


def test_the_second_round_has_the_minutes_that_are_left_and_its_command_those_asked_for():
    clock, config = arms.Remaining(0.0), changed(minutes=9.0)
    left = clock.options(config)
    assert left.minutes == arms.LEAST_MINUTES and arms.Remaining(None).options(CONFIG) is CONFIG
    command = f"mlflow run . -P minutes={left.minutes:g} -P part=1/1"
    assert "minutes=9 " in clock.restored(Trained([], [], command), left, config).command
