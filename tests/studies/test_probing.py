"""The residual stream of one model, of base and tuned, and of a whole tuned model, on the embedded model."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from mlflow.artifacts import download_artifacts

import lab
from lab.data.questions import read
from lab.errors import DataError, ModelUnsupported, OptionError, RunNotFound
from lab.models.loading import load_base
from lab.models.rows import BASE
from lab.models.tuned import open_run
from lab.probing import shards
from lab.probing.decomposition import decompose
from lab.probing.final import find_final
from lab.studies import finetune, probing, probing_activations, probing_questions, probing_readable, probing_shown
from lab.studies.probing_lenses import LOGIT, OF_BASE, OF_ITS_OWN
from lab.studies.probing_measure import as_prompt, measure
from lab.tracking.lookup import find

TINY = {"facts": 24, "answers": 16, "steps": 4, "batch_size": 12, "eval_every": 4, "lr": 5e-3}
SMALL = {"prompts": ("knowledge", "arithmetic"), "count": 6, "readable": "none", "shown": 1}

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def place(place):
    """The store's folder; figures are made and not drawn, which their own tests do."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Figure, "savefig", lambda figure, path, **options: path.write_bytes(b""))
        yield place


@pytest.fixture(scope="module")
def trained(place):
    return finetune.run(finetune.Config(**TINY))


@pytest.fixture(scope="module")
def embedded():
    return load_base("embedded", device="cpu")


def logits(model, question):
    with torch.no_grad():
        return model(input_ids=torch.tensor([question.input_ids])).logits[0, -1].double()


def test_one_model_is_what_its_own_forward_pass_says(place, embedded):
    run_id = probing.run(probing.Config(**SMALL))
    questions = read(embedded.tokenizer, SMALL["prompts"], count=6)
    parts, lens = lab.arrays(run_id, "attribution")["this model"], lab.arrays(run_id, "lens_difference")["this model"]
    for row, question in enumerate(questions):
        own = logits(embedded.model, question)
        lead = float(own[question.answer_id] - own[question.foil_id])
        assert parts[row].sum() == pytest.approx(lead, abs=1e-3) and lens[row, -1] == pytest.approx(lead, abs=1e-3)
    won = lab.arrays(run_id, "lens_won")["this model"]
    answered = [int(logits(embedded.model, question).argmax()) == question.answer_id for question in questions]
    assert np.isfinite(won).tolist() == answered
    rows = lab.table(run_id, "questions")
    assert [row["this model: answered"] for row in rows] == answered
    metrics = find(run_id).data.metrics
    assert metrics["probing/logit_difference_nats"] == pytest.approx(parts.sum(1).mean(), abs=1e-3)
    assert metrics["probing/answered_share"] == pytest.approx(np.mean(answered))
    assert len(lab.table(run_id, "layers")) == 6 and len(lab.table(run_id, "parts")) == 14
    assert {name for name in find(run_id).data.tags if name.startswith("verdict.")} == {
        f"verdict.{name}" for name in ("norms_grow_with_depth", "norms_grow_more_than_untrained", "feed_forward_writes_more",
                                       "feed_forward_attributes_more", "answer_appears_late")}


def test_base_and_tuned_as_rows_of_one_batch_are_what_each_is_alone(place, trained, embedded):
    run_id = probing.run(replace(probing.tour(trained), prompts=("held_out", "knowledge"), count=4, untrained=False))
    assert find(run_id).data.tags["lab.source_run_id"] == trained
    kept, tuned = lab.arrays(run_id, "attribution"), open_run(trained, device="cpu", merge=True).model
    questions = probing_questions.read(probing.Config(prompts=("held_out", "knowledge"), count=4), embedded,
                                       embedded.tokenizer, trained)
    assert {question.category for question in questions} == {"held_out", "knowledge"}
    for row, question in enumerate(questions):
        for name, model in (("base", embedded.model), ("tuned", tuned)):
            own = logits(model, question)
            assert kept[name][row].sum() == pytest.approx(float(own[question.answer_id] - own[question.foil_id]), abs=2e-3)
    change = lab.arrays(run_id, "lens_change")["change"]
    np.testing.assert_allclose(change[:, -1], (kept["tuned"] - kept["base"]).sum(1), atol=2e-3)
    assert {row["model"] for row in lab.table(run_id, "layers")} == {"base", "tuned", "tuned − base"}
    assert "verdict.training_raised_the_answer" in find(run_id).data.tags
    metrics = find(run_id).data.metrics
    assert metrics["probing/tuned_logit_difference_nats"] == pytest.approx(kept["tuned"].sum(1).mean(), abs=1e-3)


def test_a_whole_tuned_model_is_measured_after_its_base(place, embedded):
    whole = finetune.run(finetune.Config(**{**TINY, "lr": 1e-4}, method="full"))
    run_id = probing.run(probing.Config(run_id=whole, **{**SMALL, "count": 2}, untrained=False))
    report = Path(download_artifacts(run_id=run_id, artifact_path="report.md")).read_text()
    assert "-e patching" not in report and "-e linear_probe" in report  # which refuses a whole model
    kept, tuned = lab.arrays(run_id, "attribution"), open_run(whole, device="cpu").model
    for row, question in enumerate(read(embedded.tokenizer, SMALL["prompts"], count=2)):
        for name, model in (("base", embedded.model), ("tuned", tuned)):
            own = logits(model, question)
            assert kept[name][row].sum() == pytest.approx(float(own[question.answer_id] - own[question.foil_id]), abs=2e-3)


def test_tuned_lenses_are_nearer_to_the_output_than_the_logit_lens(place, trained, monkeypatch):
    monkeypatch.setattr("lab.studies.probing_lenses.EVALUATED", 24)
    run_id = probing.run(probing.Config(run_id=trained, lens="tuned", steps=8, untrained=False, **SMALL))
    rows = lab.table(run_id, "lenses")
    mean = {which: np.mean([row["divergence (bits)"] for row in rows if (row["model"], row["lens"]) == which])
            for which in {(row["model"], row["lens"]) for row in rows}}
    assert set(mean) == {("base", LOGIT), ("base", OF_BASE), ("tuned", LOGIT), ("tuned", OF_BASE), ("tuned", OF_ITS_OWN)}
    assert mean["base", OF_BASE] < mean["base", LOGIT] and mean["tuned", OF_ITS_OWN] < mean["tuned", LOGIT]
    assert lab.arrays(run_id, "tuned_lens_difference")["tuned"].shape == (12, 6)
    report = Path(download_artifacts(run_id=run_id, artifact_path="report.md")).read_text()
    first = next(row for row in rows if (row["model"], row["lens"], row["layer"]) == ("tuned", OF_ITS_OWN, 0))
    section = report.partition("Tuned lens")[2]
    for words in ("8 steps of 128 tokens on 32 texts", "24 other texts", "restricted to that evaluation side",
                  f"{OF_ITS_OWN}: KL (bits)", f"{OF_BASE}: marginal bias (bits)", f"{first['divergence (bits)']:.4g}"):
        assert words in section, words
    last = [lab.arrays(run_id, f"{name}difference")["tuned"][:, -1] for name in ("lens_", "tuned_lens_")]
    np.testing.assert_allclose(*last)  # the last layer has no map


def test_probe_and_lens_choose_among_the_same_candidates_for_the_same_people(embedded, monkeypatch):
    monkeypatch.setattr(probing_readable, "ROWS", 360)
    model = embedded.model
    told = probing_readable.measure(model, embedded.tokenizer, decompose(model), find_final(model), "home", seed=0)
    assert told.probe["last"].shape == told.probe["name"].shape == told.lens.shape == (6, len(told.groups))
    first = probing_readable.first_tokens(embedded.tokenizer, told.task)
    assert len(set(first)) == len(first) == len(told.candidates)
    asked = [told.task.prompts[p] for p in told.task.prompt]
    right = [logits(model, prompt)[first].argmax() == label for prompt, label in zip(asked, told.task.label, strict=True)]
    assert np.mean(right) == pytest.approx(told.lens[-1].mean(), abs=0.05) and told.lens[-1].mean() > 0.9
    assert told.lens[0].mean() < 0.4 and told.probe["last"][-1].mean() > 0.9


def test_rows_of_a_batch_keep_the_order_of_the_questions(embedded, trained):
    questions = read(embedded.tokenizer, ("knowledge", "copying"), count=4)
    tuned = open_run(trained, device="cpu").model
    parts, final = decompose(tuned), find_final(tuned)
    whole = measure(tuned, questions, parts, final, adapters=[BASE, "default"])
    back = measure(tuned, questions[::-1], parts, final, adapters=["default", BASE])
    np.testing.assert_allclose(whole[0].parts["total"], back[1].parts["total"][::-1], atol=1e-4)
    np.testing.assert_allclose(whole[1].lens["difference"], back[0].lens["difference"][::-1], atol=1e-3)
    assert np.abs(whole[0].parts["total"] - whole[1].parts["total"]).max() > 1e-3
    assert as_prompt(questions[0]).input_ids == questions[0].input_ids


def test_activations_of_base_and_tuned_are_kept_for_other_tools(place, trained, embedded):
    run_id = probing.run(probing.Config(run_id=trained, activations="post_ffn@3", untrained=False, **SMALL))
    folder = Path(download_artifacts(run_id=run_id, artifact_path="activations"))
    shard, = shards.read(folder)
    tuned = open_run(trained, device="cpu", merge=True).model
    questions = lab.table(run_id, "questions")
    assert len(shard["token"]) == sum(row["tokens"] for row in questions) == shards.about(folder)["tokens"]
    for prompt in (0, len(questions) - 1):
        at = shard["prompt"] == prompt
        order = shard["position"][at].argsort()
        ids = embedded.tokenizer(questions[prompt]["text"], add_special_tokens=False)["input_ids"]
        assert shard["token"][at][order].tolist() == ids
        for name, model in (("base", embedded.model), ("tuned", tuned)):
            with torch.no_grad():
                expected = model(torch.tensor([ids]), output_hidden_states=True).hidden_states[4][0]
            torch.testing.assert_close(shard[name][at][order], expected, atol=1e-3, rtol=1e-4)
    report = Path(download_artifacts(run_id=run_id, artifact_path="report.md")).read_text()
    assert f'download_artifacts(run_id="{run_id}", artifact_path="activations")' in report and "Virtual" not in report


def test_activations_where_nothing_reads_them_are_said_to_be_virtual():
    index = {"tokens": 9, "width": 4, "dtype": "float32", "shards": [{}]}
    text = probing_activations._words("abc", probing_activations.Place("post_attn", 1), index, virtual=True)
    assert "**Virtual**: layer 1 is a parallel block, in which nothing reads post_attn" in text


def test_activations_of_a_whole_model_are_refused():
    kept = SimpleNamespace(kind="model", run_id="abc")
    with pytest.raises(ModelUnsupported, match="activations=post_ffn@1: run abc kept a whole model"):
        probing_activations.check(probing_activations.Place("post_ffn", 1), kept, 6)


REFUSED = {
    "source": ({"prompts": ("knowlege",)}, OptionError, "near are knowledge"),
    "allowed": ({"prompts": ("nonsense",)}, OptionError, r"english, a file ending in \.jsonl"),
    "file": ({"prompts": ("./none.jsonl",)}, DataError, "no such file"),
    "held out": ({"prompts": ("held_out",)}, OptionError, "no run is given"),
    "attribute": ({"readable": "hom"}, OptionError, "no such attribute of people; allowed are auto, none, home"),
    "tokens": ({"tokens": "0-4"}, OptionError, "first:last"),
    "token": ({**SMALL, "tokens": "0:999"}, OptionError, "question knowledge 1 has tokens 0 to"),
    "layer": ({**SMALL, "layers": (6,)}, OptionError, "there is no layer 6"),
    "site of activations": ({"activations": "post_fn@3"}, OptionError, "unknown post_fn; allowed are pre_attn"),
    "no layer of activations": ({"activations": "post_ffn"}, OptionError, "needed is a site and the number of a layer"),
    "activations alone": ({"activations": "post_ffn@3"}, OptionError, "base and tuned model side by side, and no run"),
    "run": ({"run_id": "0123456789abcdef"}, RunNotFound, "0123456789abcdef"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_bad_input_is_refused_before_work(place, case, monkeypatch):
    given, error, words = REFUSED[case]
    monkeypatch.setattr("lab.studies.probing_look.measure", lambda *a, **k: pytest.fail("work began"))
    with pytest.raises(error, match=words):
        probing.run(probing.Config(**given))


def test_activations_of_a_layer_that_there_is_not_are_refused_before_work(place, trained, monkeypatch):
    monkeypatch.setattr("lab.probing.shards.write_pairs", lambda *a, **k: pytest.fail("work began"))
    with pytest.raises(OptionError, match="there is no layer 6; this model has layers 0 to 5"):
        probing.run(probing.Config(run_id=trained, activations="post_ffn@6", **SMALL))


def test_a_run_without_held_out_rows_is_said_to_have_none(embedded, monkeypatch):
    monkeypatch.setattr(probing_questions, "table", lambda run_id, name: [])
    config = probing.Config(prompts=("held_out",))
    with pytest.raises(OptionError, match="run abc keeps no held-out rows"):
        probing_questions.read(config, embedded, embedded.tokenizer, "abc")
    auto = probing_questions.read(replace(config, prompts=("auto",), count=2), embedded, embedded.tokenizer, "abc")
    assert "held_out" not in {question.category for question in auto}


def test_a_model_of_other_words_is_asked_no_attribute():
    assert probing_readable.attribute(probing.Config(), knows=False) is None
    assert probing_readable.attribute(probing.Config(), knows=True) == "home"
    with pytest.raises(OptionError, match="readable=job asks about people of the micro-world"):
        probing_readable.attribute(probing.Config(readable="job"), knows=False)


def test_candidates_need_tokens_of_their_own(embedded):
    task = probing_readable.build("attribute:home@last", embedded.tokenizer, count=100, seed=0)
    with pytest.raises(OptionError, match="does not begin 'Oslo' with a token of its own"):
        probing_readable.first_tokens(lambda text, **options: {"input_ids": [1, 2]}, task)


def test_too_few_tokens_for_a_tuned_lens_are_refused(place, tmp_path):
    (tmp_path / "short.txt").write_text("One.\n\nTwo.")
    with pytest.raises(OptionError, match=r"they hold \d+ tokens to train a lens on, and 128 are needed"):
        probing.run(probing.Config(**SMALL, lens="tuned", texts=(str(tmp_path / "short.txt"),)))


def test_drawn_questions_are_of_all_categories_in_turn(embedded):
    questions = read(embedded.tokenizer, ("knowledge", "arithmetic", "copying"), count=4)
    assert [questions[i].name for i in probing_shown.choose(questions, 5)] == [
        "knowledge 1", "arithmetic 1", "copying 1", "knowledge 2", "arithmetic 2"]
    assert len(probing_shown.choose(questions, 99)) == 12 and probing_shown.choose(questions, 0) == []
