"""A probing study, whole and small, on the embedded model, on a file, and on adapter and whole model beside their base."""

import csv
from dataclasses import replace
from pathlib import Path

import mlflow
import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from peft import LoraConfig, get_peft_model

import lab
from lab.data.labelled import ROWS
from lab.data.labels_attribute import KINDS, PLACES
from lab.data.labels_tasks import build
from lab.errors import DataError, OptionError
from lab.models.loading import load_base
from lab.models.rows import BASE as BASE_ROWS
from lab.probing.decomposition import decompose
from lab.probing.linear_measure import Readout, disjoint_part
from lab.probing.linear_null import null
from lab.studies import finetune, linear_probe, linear_probe_features, linear_probe_next, linear_probe_verdicts
from lab.studies.linear_probe_features import Place, places
from lab.studies.linear_probe_measured import BASE, TUNED, UNTRAINED, Asked, Found, ask
from lab.tracking.lookup import find

SMALL = {"tasks": ("carry",), "layers": (0, 2, 4), "count": 200, "permutations": 99, "controls": 2, "untrained": False}
TRAINING = {"facts": 24, "answers": 16, "steps": 4, "batch_size": 12, "eval_every": 4, "lr": 5e-3}
NAMES = ("Anna", "Ben", "Carl", "Dora", "Emil", "Fred", "Gina", "Hans", "Ida", "Jon", "Karl", "Lena", "Max", "Nora", "Olaf",
         "Pia")

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def not_drawn(monkeypatch):
    """Figures are made but not drawn, which takes most of the time; the figures' own tests draw. Gives their titles."""
    titles = []

    def kept(figure, path, **options):
        titles.append(figure.get_suptitle())
        path.write_bytes(b"")

    monkeypatch.setattr(Figure, "savefig", kept)
    return titles


def at(rows: list[dict], **wanted) -> dict:
    (row,) = [row for row in rows if all(row[name] == value for name, value in wanted.items())]
    return row


def test_a_probe_of_the_embedded_model_keeps_every_score_with_its_null(store):
    run_id = linear_probe.run(linear_probe.Config(**{**SMALL, "untrained": True, "count": 300}))
    tags = find(run_id).data.tags
    assert {name for name in tags if name.startswith("verdict.")} == {
        "verdict.readable_before_last_layer_carry_last", "verdict.training_makes_readable"}
    rows = lab.table(run_id, "places")
    assert len(rows) == 2 * 7  # two models; the embedding, and two sites of three layers
    arrays = lab.arrays(run_id, "accuracy/carry_last")
    late, embedding = at(rows, model=BASE, site="post_ffn", layer=4), at(rows, model=BASE, site="embedding")
    number = list(arrays["places"]).index("post_ffn of layer 4")
    assert late["accuracy, types never seen (share)"] == pytest.approx(arrays["disjoint.base.hits"][number].mean())
    assert late["selectivity (share)"] == pytest.approx(
        arrays["shared.base.hits"][number].mean() - arrays["shared.base.control"][number].mean())
    assert late["accuracy, types never seen (share)"] > late["permutation band, high"] and late["adjusted p"] == 0.01
    # the token read is the same in every prompt: before the first layer there is nothing to tell sums apart by
    assert embedding["p"] == 1 and embedding["gain (bits)"] == pytest.approx(0, abs=0.05)
    assert arrays["disjoint.base.permuted"].shape == (99, 7) and arrays["shared.untrained.control"].shape[1] == 0
    assert tags["verdict.readable_before_last_layer_carry_last"] == "supported"
    assert at(lab.table(run_id, "tasks"), task="carry@last")["types"] == 100
    assert "of layer 4: accuracy" in find(run_id).data.tags["mlflow.note.content"]  # layer 5 is the last, probed or not


def test_activations_are_those_of_hidden_states_at_the_labelled_tokens():
    base = load_base("embedded")
    task = build("bracket_depth", base.tokenizer, count=100)  # several rows of one prompt
    asked = places(("post_ffn",), (0, 3))
    found = linear_probe_features.features(base.model, decompose(base.model), task, asked)[0]
    assert asked == [Place("embedding", -1), Place("post_ffn", 0), Place("post_ffn", 3)]
    for row in (0, 7, 55):
        ids = torch.tensor([task.prompts[task.prompt[row]].input_ids])
        with torch.no_grad():
            states = base.model(ids, output_hidden_states=True).hidden_states
        for number, place in enumerate(asked):
            torch.testing.assert_close(found[number, row], states[place.layer + 1][0, task.position[row]], atol=2e-5, rtol=0)


def test_base_and_adapter_are_told_apart_in_one_forward_pass():
    base = load_base("embedded")
    task = build("carry", base.tokenizer, count=200)
    task = replace(task, **{name: getattr(task, name)[:40] for name in ROWS})
    asked, parts = places(("post_ffn",), (2,)), decompose(base.model)
    alone = linear_probe_features.features(base.model, parts, task, asked)[0]
    torch.manual_seed(0)
    model = get_peft_model(base.model, LoraConfig(r=2, target_modules=["q_proj"], init_lora_weights=False)).eval()
    tuned = linear_probe_features.features(model, parts, task, asked)[0]
    both = linear_probe_features.features(model, parts, task, asked, [BASE_ROWS, "default"])
    for found, expected in zip(both, (alone, tuned), strict=True):
        torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)
    assert float((tuned - alone)[1].abs().max()) > 0.01


def test_bits_of_the_next_token_are_those_of_the_models_distribution():
    base = load_base("embedded")
    prompts = build("carry", base.tokenizer, count=200).prompts[:3]
    prompt, position = np.array([2, 0, 2]), np.array([3, 1, 0])
    found = linear_probe_features.entropy(base.model)(prompts, prompt, position)
    for row in range(3):
        with torch.no_grad():
            logits = base.model(torch.tensor([prompts[prompt[row]].input_ids])).logits[0, position[row]]
        expected = torch.distributions.Categorical(logits=logits.double()).entropy() / np.log(2)
        assert found[row] == pytest.approx(float(expected), abs=1e-4)


def test_a_tuned_model_is_read_on_the_bases_rows(store, not_drawn):
    trained = finetune.run(finetune.Config(**TRAINING))
    run_id = linear_probe.run(linear_probe.Config(**{**SMALL, "layers": (1, 3)}, run_id=trained))
    tags = find(run_id).data.tags
    assert {"verdict.training_keeps_what_is_readable", "verdict.directions_stay"} <= set(tags)
    assert any(title.startswith("Selectivity of the base:") for title in not_drawn)
    assert "| base: accuracy, types never seen |" in report(run_id) and "| base: selectivity |" in report(run_id)
    assert tags["lab.source_run_id"] == trained
    changes = lab.table(run_id, "changes")
    own = lab.arrays(run_id, "accuracy/carry_last")
    assert (own["disjoint.base.hits"][0] == own["disjoint.tuned.hits"][0]).all()  # an adapter leaves the embedding alone
    assert at(changes, site="embedding")["tuned − base, the base's probes (share)"] == 0
    for row, hits in zip(changes, own["disjoint.tuned.hits"] - own["disjoint.base.hits"], strict=True):
        assert row["tuned − base, probes fitted anew (share)"] == pytest.approx(hits.mean())


def test_a_whole_tuned_model_comes_after_its_base(store, not_drawn):
    trained = finetune.run(finetune.Config(**{**TRAINING, "lr": 1e-3}, method="full"))
    run_id = linear_probe.run(linear_probe.Config(**{**SMALL, "layers": (3,)}, run_id=trained))
    hits = lab.arrays(run_id, "accuracy/carry_last")
    assert hits["disjoint.tuned.hits"].shape == hits["disjoint.base.hits"].shape
    assert "verdict.directions_stay" in find(run_id).data.tags


def write(path, rows: list[tuple]) -> str:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([("text", "label", "word", "kind"), *rows])
    return str(path)


def test_a_labelled_file_is_a_task_and_a_large_probe_is_held_beside_the_linear_one(store, tmp_path, not_drawn):
    rows = [(f"We met {name} there, {number} of us.", "warm" if i % 2 else "cold", name, name)
            for i, name in enumerate(NAMES)
            for number in range(7)]
    file = write(tmp_path / "names.csv", rows)
    run_id = linear_probe.run(linear_probe.Config(**{**SMALL, "tasks": ("auto",), "layers": (1, 4)}, file=file,
                                                  word_column="word", type_column="kind", hidden=16))
    kept = lab.table(run_id, "places")
    assert {row["task"] for row in kept} == {"names.csv"} and len(kept) == 5
    assert all("selectivity of the too large probe (share)" in row and row["cues alone (share)"] is not None for row in kept)
    text = report(run_id)
    assert "### The linear and the too large probe" in text and "| hidden layer of 16 |" in text
    assert "their difference is the selectivity" in text
    assert f"file={file} -P word_column=word -P type_column=kind" in text.rpartition("### Next")[2]


def report(run_id: str) -> str:
    return Path(mlflow.artifacts.download_artifacts(run_id=run_id, artifact_path="report.md")).read_text()


def test_a_report_explains_no_score_that_it_lacks(store, tmp_path, not_drawn):
    rows = [(f"We met {name} there, {number} of us.", "warm" if i % 2 else "cold", name, name)
            for i, name in enumerate(NAMES) for number in range(7)]
    file = write(tmp_path / "names.csv", rows)
    text = report(linear_probe.run(linear_probe.Config(**{**SMALL, "tasks": ("auto",), "layers": (1,)}, file=file)))
    assert "`accuracy, types never seen` is to be held against" in text and "`cues`" in text
    assert not any(word in text for word in ("types seen`", "`control`", "electivity", "`untrained`", "untrained network"))
    assert f"file={file}" in text and "hidden=" not in text and "-P sites=delta_attn,delta_ffn" in text


@pytest.mark.parametrize("given, words", [
    ({}, "-e linear_probe -P hidden=64 -P tasks=carry --env"),
    ({"tasks": ("order", "carry"), "seed": 2}, "-e linear_probe -P tasks=order -P seed=2 -P hidden=64 --env"),
    ({"tasks": ("carry",), "hidden": 64}, "-P tasks=carry -P hidden=64 -P sites=delta_attn,delta_ffn"),
    ({"hidden": 64, "sites": ("delta_attn", "delta_ffn")}, "-P seed=1 "),
    ({"file": "a.csv", "label_column": "y"}, "-P file=a.csv -P label_column=y -P sites=delta_attn,delta_ffn --env"),
    ({"file": "a.csv", "type_column": "t"}, "-P file=a.csv -P type_column=t -P hidden=64")])
def test_the_next_command_is_a_new_one_about_the_same_texts(store, given, words):
    assert words in linear_probe_next.commands(linear_probe.Config(**given))[0]


@pytest.mark.parametrize("changes, error, words", [
    ({"tasks": ("cary",)}, OptionError, "task cary is unknown, did you mean carry"),
    ({"tasks": ("carry", "carry@last")}, OptionError, "a task is named twice"),
    ({"tasks": ("auto", *(f"attribute:{kind}@{place}" for kind in KINDS[2:] for place in PLACES))}, OptionError,
     "15 tasks; allowed are 9 in one run"),
    ({"sites": ("post_atn",)}, OptionError, "sites=post_atn: unknown post_atn"),
    ({"layers": (6,)}, OptionError, "there is no layer 6; this model has layers 0 to 5"),
    ({"count": 50}, OptionError, "count=50"),
    ({"word_column": "word"}, OptionError, "word_column=word is given without a file"),
    ({"file": "/nowhere/x.csv", "hidden": 8}, OptionError, "hidden=8 with file=/nowhere/x.csv: .*give type_column=<column"),
    ({"file": "/nowhere/x.csv"}, DataError, "/nowhere/x.csv: there is no such file")])
def test_bad_input_is_an_error_before_anything_is_measured(store, monkeypatch, changes, error, words):
    def compute(*args, **kwargs):
        raise AssertionError("work started")

    monkeypatch.setattr("lab.studies.linear_probe_look.features", compute)
    with pytest.raises(error, match=words):
        linear_probe.run(linear_probe.Config(**{**SMALL, **changes}))


@pytest.mark.parametrize("rows, words", [
    ([("a b", "x", "a", "1")] * 30, "a probe needs two classes"),
    ([(f"a b {i}", f"{i}", "a", "1") for i in range(30)], "has another label in each of the 30 rows"),
    ([(f"a b {i}", f"{i % 2}", "a", f"{i}") for i in range(12)],
     "/f.csv: a split of its 12 rows .*20 test rows.*: about 67 rows, and there are only 12; give more rows$"),
    ([(f"a b {i}", f"{i % 2}", "a", f"{i}") for i in range(54)],
     "a split of its 54 rows leaves 16 test rows.*about 68 rows")])
def test_a_file_that_no_probe_can_be_fitted_to_is_refused(store, tmp_path, monkeypatch, rows, words):
    monkeypatch.setattr("lab.studies.linear_probe_look.features", lambda *args: 1 / 0)
    with pytest.raises(DataError, match=words):
        linear_probe.run(linear_probe.Config(**{**SMALL, "tasks": ("auto",)}, file=write(tmp_path / "f.csv", rows)))


def test_a_file_without_the_column_is_refused(store, tmp_path):
    file = write(tmp_path / "f.csv", [("a b", "x", "a", "1")] * 30)
    with pytest.raises(DataError, match="has no column 'lable'.*did you mean 'label'"):
        linear_probe.run(linear_probe.Config(**{**SMALL, "tasks": ("auto",)}, file=file, label_column="lable"))


def test_a_model_of_another_world_needs_a_task(store, tmp_path):
    base = load_base("embedded")
    base.tokenizer.add_tokens(["<one more>"])
    base.model.resize_token_embeddings(len(base.tokenizer))
    base.model.save_pretrained(tmp_path / "other")
    base.tokenizer.save_pretrained(tmp_path / "other")
    with pytest.raises(OptionError, match="tasks=auto: this model was not made for the micro-world"):
        linear_probe.run(linear_probe.Config(model=str(tmp_path / "other")))


def found(base: list[float], tuned: list[float], wired: list[float], *, cue: float | None = None,
          name: str = "attribute:home@name") -> Found:
    """Accuracies by place: the embedding and four layers; groups of four rows, right together; training prefers layer 2."""
    rng = np.random.default_rng(0)
    task = type("Task", (), {"name": name, "label": np.arange(400) // 4 % 2, "type": np.arange(400) // 2,
                             "group": np.arange(400) // 4, "classes": ("no", "yes"), "question": "?"})()
    part = disjoint_part(task, seed=0)
    groups, n = np.unique(part.groups, return_inverse=True)[1], len(part.groups)

    def readout(accuracies: list[float]) -> Readout:
        order = [rng.permutation(groups.max() + 1) / (groups.max() + 1) for _ in accuracies]
        hits = np.stack([one[groups] < accuracy for one, accuracy in zip(order, accuracies, strict=True)]).astype(float)
        said = np.where(hits > 0, part.tested[0], 1 - part.tested[0])
        return Readout(hits, np.zeros_like(hits), np.zeros((len(hits), 0, n)), said, np.array([0, 1, 2, 3, 1.0])[:len(hits)],
                       np.ones(len(hits)))

    read = {model: readout(each) for model, each in ((BASE, base), (TUNED, tuned), (UNTRAINED, wired))}
    nulls = {model: null(one.predicted, part.tested[0], part.groups, draws=99) for model, one in read.items()}
    cues = {} if cue is None else {"disjoint": replace(readout([cue]), hits=readout([cue]).hits[:1])}
    return Found(Asked(task, None, part), [Place("embedding", -1), *(Place("post_ffn", layer) for layer in range(4))], 3, {},
                 read, nulls, cues, None, readout(tuned).hits)


def outcomes(one: Found) -> dict[str, str]:
    stated = linear_probe_verdicts.hypotheses([one.asked], tuned=True, untrained=True)
    return {verdict.name: verdict.outcome for verdict in linear_probe_verdicts.verdicts([one], stated)}


@pytest.mark.parametrize("base, tuned, wired, cue, expected", [
    ([0.5, 0.6, 0.7, 0.95, 0.5], [0.5, 0.6, 0.7, 0.95, 0.5], [0.5] * 5, None,
     {"readable_before_last_layer_attribute_home_name": "supported", "attribute_more_readable_in_middle_layers": "supported",
      "training_makes_readable": "supported"}),
    ([0.5, 0.6, 0.7, 0.95, 0.5], [0.1] * 5, [0.5] * 5, 0.97,
     {"readable_before_last_layer_attribute_home_name": "undecided", "training_keeps_what_is_readable": "refuted",
      "directions_stay": "refuted"}),
    ([0.95, 0.5, 0.5, 0.2, 0.9], [0.99] * 5, [0.97] * 5, None,
     {"readable_before_last_layer_attribute_home_name": "refuted", "attribute_more_readable_in_middle_layers": "refuted",
      "training_makes_readable": "refuted", "training_keeps_what_is_readable": "supported",
      "directions_stay": "supported"})])
def test_verdicts_come_out_either_way(base, tuned, wired, cue, expected):
    said = outcomes(found(base, tuned, wired, cue=cue))
    assert len(said) == 5 and {name: said[name] for name in expected} == expected


def test_the_place_is_chosen_by_training_alone_and_before_the_last_layer():
    one = found([0.5, 0.6, 0.7, 0.5, 0.99], [0.5] * 5, [0.5] * 5)
    assert replace(one, last=2).early().tolist() == [0, 1, 2] and one.early().tolist() == [0, 1, 2, 3]
    assert one.best(BASE, one.early()) == 3  # not the best on the test part
    assert one.best(BASE, [0, 4]) == 4


def test_what_only_the_last_layer_reads_is_said_beside_what_the_layers_before_it_do():
    one = found([0.5, 0.5, 0.5, 0.5, 1.0], [0.5] * 5, [0.5] * 5, name="order@last")
    told = replace(one.disjoint[BASE], held_out_bits=np.array([0, 0, 0, 1.0, 2.0]))
    one = replace(one, disjoint={**one.disjoint, BASE: told})
    stated = linear_probe_verdicts.hypotheses([one.asked], tuned=False, untrained=False)
    verdict, = linear_probe_verdicts.verdicts([one], stated)
    assert verdict.name == "readable_before_last_layer_order_last" and verdict.outcome != "supported"
    assert verdict.detail.endswith("chosen among all layers post_ffn of layer 3: accuracy 1.00")
    assert "before the last one" in stated[0].statement and verdict.unit == "of accuracy above permuted labels"


def test_a_difference_that_is_the_same_in_every_group_leaves_a_doubt():
    one = found([0.5] * 5, [0.5] * 5, [0.5] * 5)
    same = replace(one, moved=one.disjoint[BASE].hits, disjoint={**one.disjoint, TUNED: one.disjoint[BASE]})
    stated = linear_probe_verdicts.hypotheses([same.asked], tuned=True, untrained=False)
    for verdict in linear_probe_verdicts.verdicts([same], stated)[-2:]:
        assert verdict.value == 0 and verdict.interval[0] == -verdict.interval[1] < -0.05
        assert verdict.outcome == "undecided"  # so few groups decide nothing


def test_what_moved_to_another_layer_is_not_lost_and_tasks_nobody_reads_do_not_hide_one_that_was():
    one = found([0.5, 0.5, 0.5, 0.95, 0.5], [0.5, 0.5, 0.5, 0.1, 0.95], [0.5] * 5)
    tuned = replace(one.disjoint[TUNED], held_out_bits=np.array([0, 0, 0, 0, 1.0]))
    said = outcomes(replace(one, disjoint={**one.disjoint, TUNED: tuned}))
    assert said["training_keeps_what_is_readable"] != "refuted" and said["directions_stay"] == "refuted"
    assert outcomes(one)["training_keeps_what_is_readable"] == "refuted"  # though four of its five places lose nothing


def test_many_tasks_leave_their_details_to_the_table():
    many = [found([0.5, 0.6, 0.7, 0.95, 0.5], [0.5] * 5, [0.5] * 5, name=f"attribute:{n}@last") for n in range(8)]
    stated = linear_probe_verdicts.hypotheses([one.asked for one in many], tuned=True, untrained=True)
    assert {one.detail for one in linear_probe_verdicts.verdicts(many, stated)} == {linear_probe_verdicts.IN_TABLE}
    few = linear_probe_verdicts.hypotheses([one.asked for one in many[:7]], tuned=True, untrained=True)
    assert all("0." in one.detail for one in linear_probe_verdicts.verdicts(many[:7], few))


def test_a_task_that_cannot_be_split_is_refused():
    base = load_base("embedded")
    task = replace(build("carry", base.tokenizer, count=200), no_shared="no types recur", no_disjoint="one type only")
    with pytest.raises(DataError, match="carry@last: no types recur; and one type only; so there is nothing to test on"):
        ask([task], linear_probe.Config())


def test_too_few_layers_have_no_middle():
    one = found([0.5, 0.9], [0.5] * 2, [0.5] * 2)
    one = replace(one, places=one.places[:2])
    assert outcomes(one)["attribute_more_readable_in_middle_layers"] == "undecided"
