"""The study on the embedded model with trainings of a few steps, and its parts on planted trainings."""

import json
from dataclasses import replace
from math import log
from types import SimpleNamespace

import numpy as np
import pytest

import lab
from lab.errors import DataError, ModelUnsupported, OptionError, TrackingError
from lab.studies import illusion_arms as arms
from lab.studies import illusion_effects as effects
from lab.studies import illusion_measured, illusion_report, illusion_scores, lora_illusion
from lab.studies.illusion_scaling import INTRUDERS, NEIGHBOURS, SHRUNK, Scaled, Scored
from lab.studies.lora_illusion import Config, check_config
from lab.tracking.lookup import find
from tests.studies.learns_less_trials import trial as planted
from tests.studies.test_attention_compare import files_of, text_of, undrawn

TINY = {"r": (1, 2), "lr": (1e-2,), "full_lr": (1e-3,), "facts": 40, "steps": 8, "batch_size": 20, "evaluate_items": 8}
FIGURES = ("intruders_and_forgetting", "intruders_scaled")

pytestmark = pytest.mark.usefixtures("one_thread")


def trial(r, learned, **about):
    return replace(planted(r, learned=learned, lost=5.0, spread=0, **about), config=SimpleNamespace(steps=40))


@pytest.fixture(scope="module")
def study(place):
    """Two adapters that learn too fast, so that they have intruders, and a whole model."""
    with undrawn(*FIGURES):
        return lora_illusion.run(Config(**TINY, epsilon=0.6, factors=(0.5,)))


def test_every_claim_has_a_verdict_and_every_table_and_figure_is_kept(place, study):
    verdicts = {row["name"]: row for row in json.loads(text_of(place, study, "verdicts.json"))}
    assert len(verdicts) == 9
    assert verdicts["more_intruders_more_forgetting"]["outcome"] == "undecided"  # two adapters
    assert np.isfinite(verdicts["scaling_intruders_saves_more_than_shrinking"]["value"])
    files = files_of(place, study)
    assert {f"figures/{name}.png" for name in FIGURES} <= files
    assert {f"tables/{name}.json" for name in ("trials", "matched", "thresholds", "scaling", "paper")} <= files
    assert "33.2 % of forgetting gone" in text_of(place, study, "report.md")


def test_whole_adapters_score_again_what_they_did_in_training(place, study):
    """Or the arms would not be comparable with what the training recorded."""
    told = text_of(place, study, "report.md").split("by at most ")[1].split(" bits")[0]
    assert float(told) < 1e-6


def test_counts_are_those_that_the_geometry_of_the_same_run_has(place, study):
    """A second way to the same number: an ordinary PEFT model, dense weights, and a dense decomposition."""
    import torch

    row = next(row for row in lab.table(study, "trials") if row["arm"] == "r=2")
    model = lab.open_run(f"{row['run']}@last").model
    found = []
    for _, layer in model.named_modules():
        if "default" in getattr(layer, "lora_A", {}):
            base = layer.get_base_layer().weight.detach().double()
            tuned = base + layer.get_delta_weight("default").detach().double()
            left, values = torch.linalg.svd(base, full_matrices=False)[0], torch.linalg.svd(tuned, full_matrices=False)
            found.append(int(((left.T @ values[0][:, :10]).abs().max(0).values < 0.6).sum()))
    assert row["intruders per weight"] == pytest.approx(np.mean(found)) and np.mean(found) > 0


def test_metrics_say_what_the_tables_say(study):
    rows = [row for row in lab.table(study, "scaling") if row["adapters"] == "all"]
    assert [row["arm"] for row in rows] == ["intruders scaled", "whole update, shrunk to that norm", "neighbours scaled"]
    assert rows[0]["‖Δ‖, share of the whole"] == pytest.approx(rows[1]["‖Δ‖, share of the whole"], rel=1e-9)
    metrics = find(study).data.metrics
    assert metrics["forgetting/intruders_times_0.5_saved_bits_per_byte"] == pytest.approx(
        rows[0]["text saved (bits/byte)"], rel=1e-6)


def test_the_grid_has_every_arm_at_every_rate_and_some_of_each_in_a_part():
    grid = arms.grid(Config(r=(8, 1), lr=(1e-3, 3e-3), full_lr=(1e-4,), seeds=2))
    assert [(one.method, one.r if one.method == "lora" else None, one.lr, one.seed) for one in grid[:5]] == [
        ("lora", 1, 1e-3, 0), ("lora", 8, 1e-3, 0), ("full", None, 1e-4, 0), ("lora", 1, 3e-3, 0), ("lora", 8, 3e-3, 0)]
    assert len(grid) == 10 and {one.seeds for one in grid} == {1} and {one.evaluate for one in grid} == {"forgetting"}
    assert arms.name(grid[2]) == "lora_illusion full lr=1e-4 seed=0"


def test_matched_are_the_nearest_losses_of_those_that_learned():
    trials = [trial(8, 4.0, lr=1e-3), trial(8, 3.0, lr=3e-3), trial(8, 0.1, lr=1e-4), trial(1, 2.0, lr=1e-3),
              trial(None, 4.1, lr=1e-3), trial(None, 3.4, lr=3e-4), trial(None, 0.1, lr=1e-5)]
    found = {one.lora.r: one for one in arms.matches(trials)}
    assert set(found) == {8}  # of rank 1 nothing learned half of the best
    assert (found[8].lora.lr, found[8].full.lr) == (1e-3, 1e-3) and found[8].near
    assert (found[8].gap.value, found[8].gap.low) == pytest.approx((0.1, 0.1))  # of every row
    far = arms.matches([trial(8, 3.0), trial(None, 4.0)])[0]
    assert not far.near and far.gap.value == pytest.approx(1.0)
    assert not arms.matches([trial(8, 3.0)])


def test_for_scaling_are_those_with_most_intruders_that_learned():
    trials = [trial(8, 4.0, lr=1e-3), trial(8, 3.0, lr=3e-3), trial(8, 1.0, lr=1e-2), trial(1, 4.0), trial(None, 4.0)]
    counts = {one.run_id: number for one, number in zip(trials, (1.0, 2.0, 5.0, 0.0, 9.0), strict=True)}
    assert [(one.r, one.lr) for one in arms.for_scaling(trials, counts)] == [(8, 3e-3)]  # rank 1 has none


def test_only_trainings_that_ran_to_their_end_are_looked_at():
    ended = arms.whole([trial(None, 4.0), trial(8, 4.0), trial(1, 4.0, diverged_at=12)])
    assert [one.r for one in ended] == [8, None]


def scaled(saved, *, cost=0.0, share=1.0):
    """An adapter whose documents cost `saved` bits per byte less, and whose rows cost more, after scaling."""
    one = trial(8, 4.0)
    whole = Scored(one.row_nll[-1], one.text_nll[-1], {suite: each[-1] for suite, each in one.correct.items()})
    arms_ = {}
    for arm, times in ((INTRUDERS, 1.0), (SHRUNK, 0.5), (NEIGHBOURS, -1.0)):
        noise = np.random.default_rng(4).normal(0, 0.01, len(one.text_bytes))
        text = whole.text_nll - log(2) * one.text_bytes * (times * saved + noise)
        arms_[0.7, arm] = Scored(whole.row_nll + times * cost, text, {suite: one.correct[suite][0] for suite in one.correct})
    return Scaled(one, whole, 3, 2, arms_, dict.fromkeys(arms_, share))


def test_what_scaling_did_is_told_on_the_same_documents_and_rows():
    found, at = [scaled(0.05, cost=0.2), scaled(0.03, cost=0.1)], (0.7, INTRUDERS)
    noise = np.random.default_rng(4).normal(0, 0.01, 30).mean()
    saved = effects.text_saved(found, at)
    assert saved.value == pytest.approx(0.04 + noise) and saved.low < saved.value < saved.high
    assert "of 2 adapters" in saved.covers
    beside = effects.text_saved(found, at, (0.7, SHRUNK))
    assert beside.value == pytest.approx(0.02) and beside.high - beside.low < 1e-9  # paired: what both share cancels
    assert effects.forgetting_saved(found, at).value == pytest.approx((0.04 + noise) / 0.1)
    assert effects.learning_loss(found, at).value == pytest.approx(0.15)
    assert effects.learning_lost(found, at).value == pytest.approx(0.15 / 4.0, rel=0.01)
    points = effects.points_saved(found, at)
    assert points.value == pytest.approx(5.0) and points.low < 5 < points.high


def test_shares_of_nothing_are_not_told():
    one = scaled(0.01)
    nothing = replace(one, whole=replace(one.whole, text_nll=one.trial.text_nll[0], row_nll=one.trial.row_nll[0]))
    assert effects.forgetting_saved([nothing], (0.7, INTRUDERS)) is None
    assert effects.learning_lost([nothing], (0.7, INTRUDERS)) is None


@pytest.mark.parametrize("given, complaint", [
    ({"method": "full"}, "method=full: this study trains adapters and the whole model"),
    ({"quantization": "nf4"}, "quantization=nf4 backend=transformers: the whole model is trained too"),
    ({"register": "a@b"}, "register=a@b: this study trains several models"),
    ({"replay": 0.2}, "replay=0.2: rows of the base would hide what is forgotten"),
    ({"factors": (0.7, 0.7)}, "factors=0.7,0.7: each once, and below 1"),
    ({"factors": (1.0,)}, "factors=1.0: each once, and below 1"),
    ({"evaluate": "none"}, "evaluate"),
])
def test_what_contradicts_the_arms_is_refused(given, complaint):
    with pytest.raises(OptionError, match=complaint):
        check_config(Config(**given))


def test_a_study_whose_trainings_all_diverged_says_so():
    with pytest.raises(ModelUnsupported, match="all 1 trainings diverged.*lr=0.0001"):
        illusion_report.conclude(None, Config(), [], [trial(8, 1.0, diverged_at=3)], question="")


def test_weights_of_another_step_than_the_forgetting_are_refused(monkeypatch):
    monkeypatch.setattr(illusion_measured.capsule, "fetch", lambda name: SimpleNamespace(manifest={"step": 30}))
    with pytest.raises(TrackingError, match="keeps the weights of step 30, and its forgetting was measured at step 40"):
        illusion_measured.fetch([trial(8, 4.0)])


def test_items_that_changed_are_refused():
    one = trial(8, 4.0)
    with pytest.raises(DataError, match="no longer those that run run-8-0.003-0 was measured on"):
        illusion_scores._check(one, one.row_tokens[:-1], None)
