"""The study of remedies, whole and tiny, on the embedded model."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

import lab
from lab.errors import NoAdapter, OptionError, RunNotFound
from lab.options import as_json
from lab.studies import finetune, lora_rank, mitigation, mitigation_measured, mitigation_source, mitigation_trainings, trials
from lab.studies.geometry_losses import shrunk
from lab.studies.mitigation import Config
from lab.studies.mitigation_arms import Arm
from lab.studies.mitigation_recommendation import Recommendation
from lab.studies.mitigation_report import command, commands, limits
from lab.studies.mitigation_source import Source
from lab.studies.mitigation_trainings import Trainings
from lab.tracking.capsule import Capsule
from lab.tracking.lookup import find
from lab.training.evaluate import evaluate
from tests.studies.test_attention_compare import files_of, text_of, undrawn

TINY = {"facts": 24, "answers": 16, "steps": 4, "batch_size": 12, "eval_every": 4, "lr": 5e-3}
SMALL = {"evaluate_items": 20, "checkpoints": 2, "scales": (0.5,), "replay": (0.5,)}
REMEDIES = ["base", "as trained", "replay 50 %", "scaled by 0.5", "stopped at step 2"]

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def source(place):
    """A training of the lab; the child of a sweep is one too."""
    with undrawn():
        return lora_rank.run(lora_rank.Config(**TINY, r=(3,)))


@pytest.fixture(scope="module")
def parts(source):
    """The study in two parts: the second goes on with what the first left."""
    with undrawn("remedies"):
        first = mitigation.run(Config(run_id=source, part="1/2", **SMALL))
        return first, mitigation.run(Config(run_id=source, resume=(first,), **SMALL))


def test_a_part_says_how_to_go_on_and_decides_nothing(place, parts):
    first, second = parts
    report = text_of(place, first, "report.md")
    assert "Only 1 of 2 trained" in report and f"-P resume={first}" in report and "-P part=2/2" in report
    assert {row["outcome"] for row in json.loads(text_of(place, first, "verdicts.json"))} == {"undecided"}
    assert len(find(second).data.tags["lab.source_run_id"]) == 32
    trained = lab.runs("finetune")
    assert sorted(trained["parent_run_id"]) == sorted(parts)


def test_the_study_keeps_what_it_says(place, source, parts):
    run = parts[1]
    assert [row["model"] for row in lab.table(run, "remedies")] == REMEDIES
    assert {"figures/remedies.png", "data/remedies.npz", "tables/suites.json", "report.md"} <= files_of(place, run)
    arrays = lab.arrays(run, "remedies")
    assert list(arrays["labels"]) == REMEDIES and arrays["lost"].shape == (5, 3)
    report = text_of(place, run, "report.md")
    assert "it has the same weights to the last digit" in report and "The rule, stated before" in report
    names = {row["name"] for row in json.loads(text_of(place, run, "verdicts.json"))}
    assert "replay_forgets_less_than_stopping_at_equal_learning" in names and len(names) == 9
    assert find(run).data.tags["lab.source_run_id"] == source
    assert find(run).data.metrics["forgetting/trained_learned_nats"] == pytest.approx(arrays["learned"][1, 0])


def test_the_run_as_trained_and_its_checkpoints_are_measured_as_training_measured_them(source, parts):
    again = trials.read(next(run for run in lab.runs("finetune")["run_id"] if trials.read(run).correct))
    rows = {row["model"]: row for row in lab.table(parts[1], "remedies")}
    assert rows["as trained"]["learned (nats/token)"] == pytest.approx(again.learned[-1], abs=1e-5)
    assert rows["as trained"]["lost (points)"] == pytest.approx(again.lost_points[-1])
    assert rows["stopped at step 2"]["lost (points)"] == pytest.approx(again.lost_points[1])
    assert rows["as trained"]["documents (bits per byte more)"] == pytest.approx(again.text_lost[-1], abs=1e-5)
    trained = lab.open_run(source)
    own = evaluate(trained.model, trial_rows(trained), step=0, pad_id=trained.tokenizer.pad_token_id)
    assert rows["as trained"]["loss on the task (nats/token)"] == pytest.approx(own.loss, abs=1e-6)


def trial_rows(trained):
    from lab.studies.training_run import read_data

    return read_data(finetune.Config(**TINY, r=3), trained.base).evaluation


def test_a_scaled_adapter_computes_what_the_dense_weights_do(source):
    tuned = lab.open_run(source)
    model, ids = tuned.model.double(), torch.arange(5, 45).reshape(2, 20)
    base = model.get_base_model()
    for factor in (0.5, 0.25):
        with torch.no_grad(), shrunk(model, "default", factor):
            found = model(input_ids=ids).logits
        added = {}
        for name, layer in base.named_modules():
            if "default" in getattr(layer, "lora_A", {}):
                added[name] = factor * layer.scaling["default"] * (
                    layer.lora_B["default"].weight @ layer.lora_A["default"].weight).detach()
        with torch.no_grad(), model.disable_adapter():
            for name, update in added.items():
                base.get_submodule(name).base_layer.weight += update
            expected = model(input_ids=ids).logits
            for name, update in added.items():
                base.get_submodule(name).base_layer.weight -= update
        torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10)
        assert added and not torch.allclose(found, model(input_ids=ids).logits, atol=1e-6)


def test_a_whole_model_is_measured_beside_its_own_checkpoints(place):
    with undrawn():
        whole = finetune.run(finetune.Config(**{**TINY, "lr": 1e-3}, method="full", evaluate="forgetting", evaluate_items=20,
                                             checkpoints=2))
        with pytest.raises(OptionError, match="scales=0.75,0.5,0.25: run .* kept a whole model .* type scales=none"):
            mitigation.run(Config(run_id=whole, replay=None))
        run = mitigation.run(Config(run_id=whole, **{**SMALL, "scales": None, "replay": None}))
    rows = {row["model"]: row for row in lab.table(run, "remedies")}
    trial = trials.read(whole)
    assert list(rows) == ["base", "as trained", "stopped at step 2"]
    assert rows["as trained"]["learned (nats/token)"] == pytest.approx(trial.learned[-1], abs=1e-5)
    assert rows["as trained"]["lost (points)"] == pytest.approx(trial.lost_points[-1])


@pytest.fixture
def no_work(monkeypatch):
    """Nothing may be trained or opened."""
    def refused(*args, **options):
        raise AssertionError("work began")

    monkeypatch.setattr(trials, "train", refused)
    monkeypatch.setattr(mitigation_measured, "open_several", refused)


def another(monkeypatch, run_id, *, tags=None, values=None, kind="adapter"):
    """The run with another record."""
    run, kept = find(run_id), mitigation_source.capsule.fetch(run_id)
    changed = {**run.data.tags, **(tags or {})}
    monkeypatch.setattr(mitigation_source, "find", lambda _: type("Run", (), {"data": type("Data", (), {"tags": changed})}))
    monkeypatch.setattr(mitigation_source.capsule, "fetch", lambda _: replace(kept, kind=kind))
    recorded = values if values is not None else mitigation_source.rows.config_of(run)
    monkeypatch.setattr(mitigation_source.rows, "config_of", lambda _: recorded)


@pytest.mark.parametrize("given, record, words", [
    ({}, {"values": {"adapter": "folder"}, "tags": {"lab.study": "adopt"}},
     r"was trained elsewhere \(its study is adopt\): .* cannot be trained again.*adapter_geometry -P run_id="),
    ({}, {"tags": {"lab.training": "ablated", "lab.source_run_id": "abcd"}}, "what an analysis left .* run_id=abcd"),
    ({}, {"values": {**as_json(finetune.Config()), "replay": 0.25}}, "was trained with replay=0.25 already"),
    ({"scales": None, "replay": None, "stops": False}, {}, "leave nothing to try; type for example scales=0.5"),
    ({"replay": None, "replay_data": "rows.jsonl"}, {}, "replay_data=rows.jsonl with replay=none: .* replay=0.25")])
def test_what_cannot_be_tried_is_refused_before_work_starts(no_work, monkeypatch, source, given, record, words):
    another(monkeypatch, source, **record)
    with pytest.raises(OptionError, match=words):
        mitigation.run(Config(run_id=source, **given))


@pytest.mark.parametrize("given, error, words", [
    ({"run_id": None}, OptionError, "run_id=none: has to be given"),
    ({"run_id": "deadbeef"}, RunNotFound, "no run deadbeef"),
    ({"scales": (1.0,)}, OptionError, r"scales=1: allowed: a number above 0 and at most 0.99"),
    ({"replay": (0.0,)}, OptionError, r"replay=0.0: allowed: a number above 0 and at most 0.95"),
    ({"keep": 1.5}, OptionError, "keep=1.5"), ({"evaluate_items": 0}, OptionError, "evaluate_items=0"),
    ({"part": "3/2"}, OptionError, "part=3/2"), ({"resume": ("deadbeef",)}, RunNotFound, "no run deadbeef")])
def test_bad_values_are_refused_before_work_starts(no_work, source, given, error, words):
    with pytest.raises(error, match=words):
        mitigation.run(Config(**{"run_id": source, **given}))


def test_a_run_without_an_adapter_is_refused(no_work, parts):
    with pytest.raises(NoAdapter, match="keeps no adapter or model"):
        mitigation.run(Config(run_id=parts[1]))


PLAIN = finetune.Config(steps=300, warmup=0.1, lr=2e-3, schedule="cosine")
OF = Source(Capsule("abcd", "adapter", "best", None, {}), PLAIN)


def test_the_trainings_differ_from_the_run_in_one_thing_each():
    config = Config(run_id="abcd", replay=(0.25, 0.5), rates=(0.5,))
    again, quarter, half, slower = mitigation_trainings.grid(config, OF)
    assert again == replace(PLAIN, evaluate="forgetting")
    assert quarter == replace(PLAIN, replay=0.25) and half.replay == 0.5 and slower == replace(PLAIN, lr=1e-3)
    names = [mitigation_trainings.name(each) for each in (again, quarter, slower)]
    assert names == ["as trained lr=2e-3 steps=300 seed=0", "replay=0.25 lr=2e-3 steps=300 seed=0",
                     "as trained lr=1e-3 steps=300 seed=0"]


def test_longer_replay_sees_as_much_of_the_task_with_the_same_warm_up():
    (longer,) = mitigation_trainings.grid(Config(run_id="abcd", replay=(0.25,), longer=True, stops=False), OF)
    assert longer.steps == 400 and longer.steps * 0.75 == PLAIN.steps
    assert longer.warmup * longer.steps == pytest.approx(PLAIN.warmup * PLAIN.steps)
    stopped = mitigation_trainings.stopped_at(PLAIN, 20)
    assert stopped.steps == 20 and stopped.warmup == 1.0


def test_a_run_that_measured_the_same_questions_is_not_trained_again():
    measured = replace(OF, training=replace(PLAIN, evaluate="forgetting", evaluate_items=50, checkpoints=4))
    same = Config(run_id="abcd", replay=None, evaluate_items=50, checkpoints=4)
    assert mitigation_trainings.grid(same, measured) == []
    assert len(mitigation_trainings.grid(replace(same, evaluate_items=60), measured)) == 1
    assert len(mitigation_trainings.grid(same, replace(measured, finished=False))) == 1
    (replayed,) = mitigation_trainings.grid(replace(same, replay=(0.5,)), measured)
    assert replayed.evaluate == "none"


def trial(**given):
    return trials.Trial(**{
        "run_id": "x", "config": PLAIN, "method": "lora", "r": 8, "lr": 2e-3, "seed": 0, "replay": 0.0, "parameters": 1,
        "diverged_at": None, "steps": np.arange(3), "loss": np.zeros(3), "row_nll": np.zeros((3, 1)),
        "row_tokens": np.ones(1), "correct": {}, "clusters": {}, "gold_nll": {}, "text_nll": np.zeros((3, 0)),
        "text_bytes": np.zeros(0), **given})


def test_trainings_that_came_apart_are_no_remedy_and_are_named():
    config = Config(run_id="abcd", replay=(0.25, 0.5), rates=(0.5,))
    done = [trial(), trial(replay=0.25), trial(replay=0.5, diverged_at=7, run_id="apart"), trial(lr=1e-3)]
    found = mitigation_trainings.sort(config, OF, done)
    assert found.again is done[0] and found.replay == {0.25: done[1]} and found.rates == {1e-3: done[3]}
    assert [each[:2] for each in found.remedies] == [("replay", 0.25), ("rate", 1e-3)]
    said = limits(config, OF, found)
    assert "Trainings that came apart and are no remedy: apart at step 7." in said
    assert any("rate falls towards its end" in one for one in said)
    assert found.run_ids == ["x", "x", "x", "apart"]


def arm(kind, value):
    return Arm(kind, value, "tried", np.zeros(0), {}, np.zeros(0))


@pytest.mark.parametrize("one, words", [
    (arm("scale", 0.5), "-e adapter_geometry -P run_id=abcd -P ablate=scale:0.5 -P keep=true"),
    (arm("replay", 0.25), "-e finetune -P schedule=cosine -P warmup=0.1 -P steps=300 -P replay=0.25 -P lr=0.002"),
    (arm("rate", 1e-3), "-e finetune -P schedule=cosine -P warmup=0.1 -P steps=300 --env"),
    (arm("stop", 120), "-e finetune -P schedule=cosine -P warmup=0.25 -P steps=120 -P lr=0.002")])
def test_commands_act_on_a_remedy(store, one, words):
    assert words in command(Config(run_id="abcd"), OF, one)
    measured = replace(OF, training=replace(PLAIN, evaluate="forgetting", evaluate_items=50, checkpoints=4))
    assert command(Config(run_id="abcd"), measured, one) == command(Config(run_id="abcd"), OF, one)


def test_what_is_next_follows_from_the_recommendation(store):
    config = Config(run_id="abcd")
    acting = commands("own", config, OF, Recommendation("recommended", (arm("replay", 0.25),), ""))
    assert "replay=0.25" in acting[0] and "ask -P run_ids=abcd,tried" in acting[1] and len(acting) == 2
    doubtful = commands("own", config, OF, Recommendation("none stands out", (arm("scale", 0.5), arm("scale", 0.25)), ""))
    assert len(doubtful) == 3 and "-P evaluate_items=800" in doubtful[2] and "-P resume=own" in doubtful[2]
    nothing = commands("own", config, OF, Recommendation("nothing to mend", (), ""))
    assert "-e forgetting -P run_id=abcd" in nothing[0]


def test_weights_that_are_not_the_same_are_said_to_be_others(monkeypatch):
    from lab.tracking import capsule

    kept = Capsule("again", "adapter", "best", None, {"files": {"a.safetensors": "1"}, "eval_loss": 0.5})
    monkeypatch.setattr(capsule, "fetch", lambda _: kept)
    own = replace(OF, capsule=replace(kept, run_id="abcd", manifest={"files": {"a.safetensors": "2"}, "eval_loss": 0.25}))
    said = mitigation_measured.repeated(own, Trainings(trial(), {}, {}))
    assert "other weights: held-out loss 0.5000 after 0.2500" in said
    assert mitigation_measured.repeated(own, Trainings(None, {}, {})) == ""
