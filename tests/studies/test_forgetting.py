"""The study of forgetting, whole and small: against itself, against lm-eval in a process of its own, and with bad input."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

import lab
from lab.data import suites
from lab.errors import BaseMismatch, NoAdapter, OptionError, RunNotFound
from lab.evaluation import harness, tasks
from lab.evaluation.intervals import Estimate
from lab.evaluation.scores import Greedy, Ranked, Scores, TextScores
from lab.models.loading import load_base
from lab.studies import ask, finetune, forgetting, forgetting_tables, forgetting_tasks
from lab.studies.forgetting_compared import compared
from lab.studies.forgetting_verdicts import form_change, outcome, verdicts
from lab.tracking.lookup import find

pytestmark = pytest.mark.usefixtures("one_thread")
TINY = {"facts": 24, "answers": 16, "steps": 6, "batch_size": 12, "eval_every": 6, "lr": 5e-3}
SMALL = {"items": 12, "documents": 6}
TABLES = ("suites", "kinds", "answers", "texts", "items", "documents", "calibration", "drift")

# what anyone has who has lm-eval and the files of a run; of the lab it takes the questions alone
ALONE = """
import json, sys
from lm_eval import simple_evaluate
from lab.data import suites
from lab.evaluation import tasks
base, adapter = sys.argv[1:]
items = {name: suites.build(name, "world", count=12, seed=0) for name in ("math", "reasoning", "code", "knowledge")}
configs = [tasks.ranked(name, rows, chat=True) for name, rows in items.items()]
configs += [tasks.greedy(name, rows, chat=True) for name, rows in items.items()]
configs.append(tasks.rolling("text", suites.texts("world", count=6, seed=0)))
found = simple_evaluate(model="hf", model_args={"pretrained": base, "peft": adapter, "dtype": "float32",
                        "softmax_dtype": "float32"}, tasks=configs, batch_size=32, device="cpu", apply_chat_template=True,
                        bootstrap_iters=0)
rows = {name: [sample["filtered_resps"] for sample in sorted(samples, key=lambda sample: sample["doc_id"])]
        for name, samples in found["samples"].items()}
print("RESULT " + json.dumps(rows))
"""


@pytest.fixture(scope="module")
def place(place):
    """The store's folder; figures are made and not drawn, which their own tests do."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Figure, "savefig", lambda figure, path, **options: path.write_bytes(b""))
        yield place


@pytest.fixture(scope="module")
def trained(place):
    return finetune.run(finetune.Config(**TINY, r=4))


@pytest.fixture(scope="module")
def measured(trained):
    return forgetting.run(forgetting.Config(run_id=trained, **SMALL))


def test_a_training_is_held_against_its_base_item_by_item(trained, measured):
    run = find(measured)
    rows = {row["suite"]: row for row in lab.table(measured, "suites")}
    items = lab.table(measured, "items")
    assert list(rows) == ["math", "reasoning", "code", "knowledge"] and len(items) == 4 * SMALL["items"]
    for name, row in rows.items():
        own = [item for item in items if item["suite"] == name]
        right = [sum(item[f"{model}: right"] for item in own) for model in ("base", "tuned")]
        assert [row["base (%)"], row["tuned (%)"]] == pytest.approx([100 * n / len(own) for n in right], abs=0.01)
        assert row["right→wrong"] - row["wrong→right"] == right[0] - right[1]
        assert run.data.metrics[f"forgetting/{name}_lost_points"] == pytest.approx(row["lost (points)"], abs=1e-3)
    assert run.data.tags["lab.source_run_id"] == trained
    stated = {name.removeprefix("verdict.") for name in run.data.tags if name.startswith("verdict.")}
    assert stated == {*(f"keeps_{name}" for name in (*rows, "text", "format"))}
    assert {"accuracy", "flips", "answers", "calibration", "drift"} <= {
        Path(each.path).stem for each in lab.tracking.store.client().list_artifacts(measured, "figures")}


def test_twice_gives_identical_tables(trained, measured):
    again = forgetting.run(forgetting.Config(run_id=trained, **SMALL))
    for name in TABLES:
        assert lab.table(again, name) == lab.table(measured, name), name


def test_scores_agree_to_the_last_digit_with_lm_eval_in_a_process_of_its_own(trained, measured):
    kept = lab.fetch(trained)
    base = Path(lab.__file__).parent / "models" / "embedded"
    said = subprocess.run([sys.executable, "-c", ALONE, str(base), str(kept.folder)], capture_output=True, text=True,
                          check=True, env={**__import__("os").environ, "OMP_NUM_THREADS": "1"})
    alone = json.loads(next(line for line in said.stdout.splitlines() if line.startswith("RESULT "))[7:])
    items = lab.table(measured, "items")
    for name in forgetting_tasks.SUITES:
        own = [item for item in items if item["suite"] == name]
        assert [item["tuned: log-likelihoods (nats)"] for item in own] == [
            [nats for nats, _ in row] for row in alone[f"lab_{name}"]]
        assert [item["tuned: said"] for item in own] == [row[0].strip() for row in alone[f"lab_{name}_greedy"]]
    assert [row["tuned (nats)"] for row in lab.table(measured, "documents")] == [-row[0] for row in alone["lab_text"]]


def test_a_base_against_itself_changes_in_nothing(place):
    run_id = forgetting.run(forgetting.Config(model="embedded", **SMALL))
    assert find(run_id).data.tags["verdict.repeats"] == "supported"
    for row in lab.table(run_id, "suites"):
        assert row["lost (points)"] == row["right→wrong"] == row["wrong→right"] == 0
    for item in lab.table(run_id, "items"):
        assert item["base: log-likelihoods (nats)"] == item["tuned: log-likelihoods (nats)"]
    assert all(row["KL (nats/token)"] == 0 for row in lab.table(run_id, "drift"))
    assert all(row["rise (bits/byte)"] == 0 for row in lab.table(run_id, "texts"))


def test_whole_models_are_compared_one_after_the_other(place):
    whole = finetune.run(finetune.Config(**{**TINY, "lr": 1e-3}, method="full"))
    run_id = forgetting.run(forgetting.Config(run_id=whole, **SMALL, greedy=False))
    base = {item["item"]: item["base: log-likelihoods (nats)"] for item in lab.table(run_id, "items")}
    expected = forgetting.run(forgetting.Config(model="embedded", **SMALL, greedy=False))
    assert base == {item["item"]: item["base: log-likelihoods (nats)"] for item in lab.table(expected, "items")}
    assert any(row["KL (nats/token)"] > 0 for row in lab.table(run_id, "drift"))
    assert lab.table(run_id, "answers") == []


def test_tasks_of_the_harness_stand_beside_the_suites(trained, monkeypatch):
    from tests.evaluation.test_harness import foreign

    monkeypatch.setattr(harness, "named", lambda names: {"sums": [foreign("sums", 20)]} if names == ["sums"] else {})
    run_id = forgetting.run(forgetting.Config(run_id=trained, tasks=("math", "sums"), **SMALL, greedy=False))
    rows = {row["suite"]: row for row in lab.table(run_id, "suites")}
    assert set(rows) == {"math", "sums"} and rows["sums"]["items"] == SMALL["items"]
    assert find(run_id).data.tags["verdict.keeps_sums"] in ("supported", "refuted", "undecided")


@pytest.mark.parametrize("wrong, error, message", [
    ({}, OptionError, "run_id=none: say which training"),
    ({"run_id": "0" * 32}, RunNotFound, "0" * 32),
    ({"tasks": ("maths",)}, OptionError, "tasks=maths is unknown; did you mean math"),
    ({"tasks": ("arc_esy",)}, OptionError, "tasks=arc_esy is unknown; did you mean arc_easy"),
    ({"items": 0}, OptionError, "items=0"),
    ({"language": "english", "tasks": ("knowledge",)}, OptionError, "tasks=knowledge: english has no facts"),
])
def test_bad_input_is_refused_before_anything_is_scored(trained, wrong, error, message, monkeypatch):
    monkeypatch.setattr(harness, "score", lambda *args, **kwargs: pytest.fail("something was scored"))
    given = wrong if not wrong or "run_id" in wrong else {"run_id": trained, **wrong}
    with pytest.raises(error, match=message):
        forgetting.run(forgetting.Config(**given))


def test_a_run_without_an_adapter_and_another_base_are_refused(trained, tmp_path):
    asked = ask.run(ask.Config(run_ids=(trained,), max_new_tokens=4))
    with pytest.raises(NoAdapter, match=asked):
        forgetting.run(forgetting.Config(run_id=asked))
    base = load_base("embedded", device="cpu")
    base.model.save_pretrained(tmp_path)
    base.tokenizer.save_pretrained(tmp_path)
    weights = base.model.model.norm.weight
    weights.data.add_(1e-3)
    base.model.save_pretrained(tmp_path)
    with pytest.raises(BaseMismatch, match=trained):
        forgetting.run(forgetting.Config(run_id=trained, model=str(tmp_path)))


def test_chat_can_be_asked_for_only_where_there_is_a_template():
    plain = type("Tokenizer", (), {"chat_template": None})()
    with pytest.raises(OptionError, match="chat=true: the tokenizer has no chat template"):
        forgetting_tasks._chat("true", plain)
    assert forgetting_tasks._chat("auto", plain) is False


def test_a_loss_is_excluded_seen_or_neither():
    assert outcome(Estimate(0.5, -0.5, 1.9, ""), 0.5, 2.0) == "supported"
    assert outcome(Estimate(1.0, 0.2, 1.9, ""), 0.001, 2.0) == "supported"  # significant, and surely small
    assert outcome(Estimate(9.0, 5.0, 13.0, ""), 0.001, 2.0) == "refuted"
    assert outcome(Estimate(9.0, 5.0, 13.0, ""), 0.06, 2.0) == "undecided"
    assert outcome(Estimate(3.0, -1.0, 7.0, ""), 0.2, 2.0) == "undecided"
    assert outcome(Estimate(-9.0, -13.0, -5.0, ""), 0.001, 2.0) == "supported"


def planted(right, misformatted, nll):
    """Scores of 200 independent questions, of which some are wrong, some in another form, and of 40 texts."""
    numbers = np.arange(200)
    logs = np.where((numbers < right)[:, None], [-0.1, -3.0], [-3.0, -0.1])
    names = [f"math/{n}" for n in numbers]
    ranked = Ranked(names, ["sum"] * 200, names, np.zeros(200, int), logs)
    other = numbers < misformatted
    greedy = Greedy(names, ["It is 4." if each else "4" for each in other], ~other, other)
    losses = nll + np.random.default_rng(0).normal(0, 0.1, 40)
    return Scores({"math": ranked}, {"math": greedy}, {"text": TextScores(names[:40], ["a"] * 40, losses, np.full(40, 50))})


@pytest.mark.parametrize("tuned, expected", [
    ((200, 0, 30.0), {"keeps_math": "supported", "keeps_text": "supported", "keeps_format": "supported"}),
    ((150, 0, 33.0), {"keeps_math": "refuted", "keeps_text": "refuted", "keeps_format": "supported"}),
    ((200, 150, 30.0), {"keeps_math": "supported", "keeps_text": "supported", "keeps_format": "refuted"}),
    ((197, 3, 30.0), {"keeps_math": "undecided", "keeps_text": "supported", "keeps_format": "undecided"}),
])
def test_every_claim_can_come_out_either_way(tuned, expected):
    found = compared(planted(200, 0, 30.0), planted(*tuned))
    assert {one.name: one.outcome for one in verdicts(found, forgetting.Config(run_id="x"))} == expected
    changed = form_change(found)
    assert changed is not None and changed.lost == tuned[1]
    said = forgetting_tables.suite_rows(found)[0]["reading"].split(",")[0]
    assert said == {"supported": "not lost", "refuted": "lost", "undecided": "cannot tell"}[expected["keeps_math"]]
    flipped = forgetting_tables.flipped(found.questions[0], None)
    assert len(flipped) == min(8, 200 - tuned[0])


def test_without_a_template_the_configs_ask_in_plain_text():
    items = suites.build("math", "world", count=3, seed=0)
    assert tasks.ranked("math", items, chat=False)["doc_to_text"].endswith("Answer:")
    assert tasks.ranked("math", items, chat=True)["doc_to_text"] == "{{question}}"
