"""Planted trials decide every verdict both ways; arms, parameters and grids are what they should be."""

import dataclasses
import re

import numpy as np
import pytest

from lab.errors import OptionError
from lab.models.anatomy import LinearModule
from lab.studies import lora_without_regret, regret_report, trials
from lab.studies.regret_arms import FULL, arms, compared_ranks, middle_rank, name, rates, trainings
from lab.studies.regret_figures import draw
from lab.studies.regret_hypotheses import hypotheses
from lab.studies.regret_measured import gap, measure
from lab.studies.regret_placement import matched, of_model
from lab.studies.regret_verdicts import verdicts
from lab.tracking.report import Report
from tests.studies.regret_trials import CONFIG, changed, decide, study

pytestmark = pytest.mark.usefixtures("one_thread")
LORA = 1.8e-3
ALIKE = {"full": 1.8e-4, "": LORA}


def test_ten_times_is_supported_and_a_verdict_only_where_the_interval_says_so():
    found = decide(study(ALIKE))["lora_rate_ten_times_full"]
    assert found.outcome == "supported" and found.value == pytest.approx(10, rel=0.1)
    assert found.interval[0] < 10 < found.interval[1] and "training seeds (n=3)" in found.covers
    assert decide(study({"full": 5.6e-4, "": 1e-3}))["lora_rate_ten_times_full"].outcome == "refuted"
    assert decide(study({"full": 2e-4, "": 1e-3}))["lora_rate_ten_times_full"].outcome == "undecided"  # 5, an end


@pytest.mark.parametrize(("reach", "outcome"), [(1.4, "supported"), (1.6, "undecided")])
def test_an_interval_of_three_times_and_more_is_no_verdict(reach, outcome):
    measured = measure(arms(CONFIG), study({"full": 2e-4, "": 1e-3}))
    for each, best in (("r=8", 1e-3), (FULL, 1e-4)):
        fit = dataclasses.replace(measured[each].fit, best=best, interval=(best / reach, best * reach))
        measured[each] = dataclasses.replace(measured[each], fit=fit)
    found = verdicts(hypotheses(CONFIG), measured, CONFIG)[0]
    width = reach ** (2 * 2**0.5)  # two rates, each this far on both sides
    assert found.outcome == outcome and found.interval[1] / found.interval[0] == pytest.approx(width)
    assert (width >= 3) == ("too wide for a verdict" in found.detail)


def test_a_best_rate_at_the_edge_of_its_grid_is_no_verdict():
    found = decide(study({"full": 5e-5, "": 1e-3}))
    assert found["lora_rate_ten_times_full"].outcome == "undecided"
    assert "not inside the grid: the lowest rate tried, 0.0001" in found["lora_rate_ten_times_full"].detail
    assert found["lora_without_regret"].outcome == "undecided" and found["lora_without_regret"].value is not None
    assert "not at its best rate" in found["lora_without_regret"].detail


def test_the_best_rate_of_two_ranks_is_the_same_or_not():
    assert decide(study(ALIKE))["best_rate_free_of_rank"].outcome == "supported"
    found = decide(study({"full": 1.8e-4, "r=64": 5e-4, "": 1.8e-3}))["best_rate_free_of_rank"]
    assert found.outcome == "refuted" and found.value == pytest.approx(5 / 18, rel=0.1)


@pytest.mark.parametrize(("one", "outcome"), [(7e-4, "supported"), (2.2e-3, "refuted"), (1.2e-3, "undecided")])
def test_the_rate_of_rank_one_is_lower_or_not(one, outcome):
    assert decide(study({"full": 1.8e-4, "r=1": one, "": 1.2e-3}))["rank_one_rate_lower"].outcome == outcome


@pytest.mark.parametrize(("loss", "outcome"), [(0.5, "supported"), (0.9, "refuted"), (0.59, "undecided")])
def test_regret_is_a_share_of_what_full_fine_tuning_learned(loss, outcome):
    found = decide(study(ALIKE, {"r=64": loss}, noise=0.01))["lora_without_regret"]
    assert found.outcome == outcome
    assert found.value == pytest.approx(100 * (loss - 0.5) / 4.5, abs=0.4)


@pytest.mark.parametrize(("loss", "outcome"), [(0.8, "supported"), (0.3, "refuted"), (0.5, "undecided")])
def test_placements_are_compared_at_their_own_best_rates(loss, outcome):
    found = decide(study({**ALIKE, "attention": 1e-3}, {"attention": loss}))["feed_forward_beats_attention"]
    assert found.outcome == outcome and found.value == pytest.approx(loss - 0.5, abs=0.05)
    assert "12,000 and 7,000 trainable parameters" in found.detail


def test_rates_that_diverge_are_left_out_named_and_may_bracket_the_best():
    planted = study(ALIKE, diverged=(("r=8", 1.7e-3),))
    measured = measure(arms(CONFIG), planted)
    assert measured["r=8"].fit.grid_best == pytest.approx(1e-3) and measured["r=8"].fit.inside
    assert measured["r=8"].fit.best is None and len(measured["r=8"].lost) == 6
    found = decide(planted)["lora_rate_ten_times_full"]
    assert found.outcome == "undecided" and "diverged: r=8 at 0.00178 seed 0" in found.detail


def test_an_arm_of_which_every_rate_diverged_has_no_loss():
    measured = measure(arms(CONFIG), study(ALIKE, diverged=(("r=64", 0.0),)))
    assert measured["r=64"].at_best == {} and gap(measured["r=64"], measured[FULL]) is None
    found = decide(study(ALIKE, diverged=(("r=64", 0.0), ("full", 0.0))))
    assert found["lora_without_regret"].outcome == "undecided" and found["lora_without_regret"].value is None


def test_the_gap_is_paired_by_seed():
    measured = measure(arms(CONFIG), study(ALIKE, {"attention": 0.8}))
    attention, feed_forward = measured["attention only, r=12"], measured["feed-forward only, r=7"]
    differences = np.array([attention.at_best[seed] - feed_forward.at_best[seed] for seed in range(3)])
    assert gap(attention, feed_forward).value == pytest.approx(differences.mean())


def test_a_grid_has_a_quarter_of_a_decade_between_rates():
    np.testing.assert_allclose(rates(1e-4, 1e-3, 1.78), 1e-4 * 10 ** (np.arange(5) / 4), rtol=5e-3)
    assert rates(1e-3, 1e-4, 1.78) == (1e-3,)


def test_every_arm_is_trained_at_every_rate_and_seed_without_warm_up():
    compared = arms(CONFIG)
    assert [arm.name for arm in compared] == ["r=1", "r=8", "r=64", "full", "attention only, r=12", "feed-forward only, r=7"]
    grid = trainings(CONFIG, compared)
    assert len(grid) == len(set(map(name, grid))) == 6 * 5 * 3
    assert {(each.alpha, each.warmup, each.schedule, each.seeds) for each in grid} == {(32.0, 0.0, "constant", 1)}


def test_middle_and_compared_ranks():
    assert middle_rank(changed(r=(64, 1, 4, 16))) == 4
    assert compared_ranks(changed(r=(1, 4, 16, 256))) == (4, 256)
    assert compared_ranks(changed(r=(1, 8))) == (1, 8)
    assert compared_ranks(changed(r=(8,))) is None


def test_placements_have_as_many_parameters_as_peft_counts():
    import torch
    from peft import LoraConfig, get_peft_model

    from lab.models.loading import load_base

    for placed in of_model("embedded", 12):
        model = get_peft_model(load_base("embedded", device="cpu").model,
                               LoraConfig(r=placed.r, target_modules=placed.targets.split(",")))
        counted = sum(p.numel() for p in model.parameters() if p.requires_grad)
        assert counted == placed.parameters == 96768
        first = next(p for n, p in model.named_parameters() if "lora_A" in n)
        assert float(first.detach().abs().max()) == pytest.approx(first.shape[1] ** -0.5, rel=0.01)  # A, as it is stated
        assert not any(torch.any(p) for n, p in model.named_parameters() if "lora_B" in n)


def modules(attention=100, feed_forward=300, leaf="c_proj"):
    return [LinearModule("h.0.attn.c_proj", "c_proj", 0, "attention", attention, attention),
            LinearModule(f"h.0.mlp.{leaf}", leaf, 0, "feed_forward", feed_forward, feed_forward)]


def test_names_that_both_have_are_told_apart_and_ranks_matched():
    attention, feed_forward = matched(modules(), 12)
    assert (attention.targets, feed_forward.targets) == ("attn.c_proj", "mlp.c_proj")
    assert feed_forward.r == 4 and attention.parameters == feed_forward.parameters
    assert matched(modules(leaf="up"), 3)[1].targets == "up"


def test_ranks_that_cannot_be_matched_are_refused_with_one_that_can():
    with pytest.raises(OptionError, match=r"attention_r=4: .* r=1, differs by 25% .* type attention_r=6"):
        matched(modules(), 4)
    with pytest.raises(OptionError, match="type attention_r=none"):
        matched(modules()[:1], 4)


@pytest.mark.parametrize(("values", "message"), [
    ({"method": "full"}, "method=full"), ({"targets": "q_proj"}, "targets=q_proj"), ({"quantization": "nf4"}, "nf4"),
    ({"register": "a@b"}, "register=a@b"), ({"seeds": 2}, "seeds=2"), ({"factor": 1.0}, "factor=1"),
    ({"lr_highest": 4e-4}, r"lr_lowest=0.000316 .*1 rates.*type lr_highest=0.001"),
    ({"full_lr_lowest": 1e-3}, r"full_lr_lowest=0.001 .*1 rates"), ({"evaluate": "forgetting"}, "evaluate=forgetting"),
    ({"replay": 0.5}, "replay=0.5"), ({"attention_r": 1}, "attention_r=1")])
def test_what_cannot_be_compared_is_refused_before_a_run_is_opened(values, message, place):
    with pytest.raises(OptionError, match=message):
        lora_without_regret.run(changed(**values))


def test_a_part_is_closed_undecided_and_goes_on(place, capsys):
    from lab.tracking import rows
    from lab.tracking.lookup import find

    small = changed(r=(2,), facts=12, steps=2, attention_r=None, lr_highest=1e-3, full_lr_highest=3.2e-4, device="cpu")
    run_id = lora_without_regret.run(changed(**{**vars(small), "part": "1/9"}))
    tags = find(run_id).data.tags
    assert {tags["verdict.lora_rate_ten_times_full"], tags["verdict.lora_without_regret"]} == {"undecided"}
    said = capsys.readouterr().out
    assert "2 of 18 trained" in said and re.search(rf"lora_without_regret .*resume={run_id}", said)
    assert len(rows.table(run_id, "trials")) == 2


def test_a_finished_study_keeps_tables_figures_and_what_may_not_be_concluded(place, monkeypatch):
    from lab.tracking import rows
    from lab.tracking.lookup import find

    planted = study(ALIKE)
    monkeypatch.setattr(trials, "train", lambda *_, **__: trials.Trained(planted, []))
    monkeypatch.setattr(regret_report, "Report", lambda **given: Report(**{**given, "sources": []}))  # they never ran

    run_id = lora_without_regret.run(CONFIG)
    assert find(run_id).data.tags["verdict.lora_rate_ten_times_full"] == "supported"
    table = {line["arm"]: line for line in rows.table(run_id, "arms")}
    assert table["full"]["trainable parameters"] == 3_000_000
    assert float(table["r=8"]["best rate"]) == pytest.approx(LORA, rel=0.1)
    paper = rows.table(run_id, "paper")
    assert len(paper) == 5 and "9.8" in paper[0]["paper: number"]
    assert "alpha 32" in paper[0]["here: setup"] and "±1/sqrt(d_in)" in paper[0]["here: setup"]
    kept = rows.arrays(run_id, "best_rate_by_rank")
    np.testing.assert_allclose(kept["best"], LORA, rtol=0.1)
    assert set(rows.arrays(run_id, "placement")) >= {"attention_only_r=12.rates", "feed-forward_only_r=7.losses"}


def test_figures_say_what_is_missing():
    class Kept(dict):
        def figure(self, name, figure, arrays):
            figure.canvas.draw()
            self[name] = figure, arrays

    found = Kept()
    draw(found, measure(arms(CONFIG), study({"full": 5e-5, "r=1": 1e-4, "": 1e-3}, diverged=(("r=64", 0.0),))))
    texts = [text.get_text() for text in found["best_rate_by_rank"][0].axes[0].texts]
    assert texts == ["not inside\nits grid"] * 2
    assert np.isnan(found["best_rate_by_rank"][1]["full"]).all()
