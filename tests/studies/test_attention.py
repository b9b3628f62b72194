"""Attention of one model, whole and small, on the embedded model and on one that cannot copy."""

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure

import lab
from lab.attention.copying import Copying, InductionAblation
from lab.errors import OptionError
from lab.models.loading import load_base
from lab.studies import attention, attention_copying, attention_roles
from lab.tracking.lookup import find

SMALL = {"prompts": ("arithmetic", "copying"), "count": 3, "sequences": 4, "choices": 3, "copied": 32}


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def not_drawn(monkeypatch):
    """Figures are made but not drawn, which takes most of the time; one look here and the figures' own tests draw."""
    monkeypatch.setattr(Figure, "savefig", lambda figure, path, **options: path.write_bytes(b""))


def test_a_look_at_the_embedded_model_keeps_roles_statistics_and_what_copying_rests_on(store, tmp_path):
    run_id = attention.run(attention.Config(**SMALL, queries=(4,), top_k=2))
    tags = find(run_id).data.tags
    assert {name for name in tags if name.startswith("verdict.")} == {
        "verdict.first_token_is_a_sink", "verdict.previous_token_heads_exist", "verdict.copies_random_tokens",
        "verdict.induction_heads_copy"}
    kept = lab.arrays(run_id, "statistics")
    roles = lab.table(run_id, "roles")
    for role, name in (("previous token", "previous_token"), ("sink", "first_token")):
        best = next(row for row in roles if row["role"] == role and row["rank"] == 1)
        assert best["share"] == pytest.approx(kept[name].mean(0).max())
    induction = lab.arrays(run_id, "induction")
    assert induction["scores"].shape == (2, 6, 6) and induction["tokens"].shape == (4, 64)
    top = [tuple(pair) for pair in induction["top_heads"].tolist()]
    assert top[0] == np.unravel_index(induction["scores"].mean(0).argmax(), (6, 6))
    model = load_base("embedded").model
    model.set_attn_implementation("eager")
    row = lab.table(run_id, "prompts")[0]
    with torch.no_grad():
        ids = torch.tensor([load_base("embedded").tokenizer(row["text"], add_special_tokens=False)["input_ids"]])
        weights = torch.stack(model(input_ids=ids, output_attentions=True).attentions)[:, 0].double()
    np.testing.assert_allclose(kept["first_token"][0], weights[:, :, 1:, 0].mean(-1), atol=1e-5)
    for found in (row for row in lab.table(run_id, "top_keys") if row["prompt"] == "arithmetic 1"):
        assert found["share"] == pytest.approx(float(weights[found["layer"], found["head"], 4, found["key"]]), abs=1e-5)
    assert sum(row["prompt"] == "arithmetic 1" for row in lab.table(run_id, "top_keys")) == 2 * 4


def test_a_long_text_is_read_whole(store, not_drawn):
    text = " ".join(f"Word {n} of many." for n in range(80))
    run_id = attention.run(attention.Config(prompts=("text",), text=text, sequences=4, choices=2, copied=32, shown=1))
    (row,) = lab.table(run_id, "prompts")
    assert row["tokens"] > 850
    assert lab.arrays(run_id, "statistics")["entropy"].shape == (1, 6, 6)
    assert "verdict.first_token_is_a_sink" not in find(run_id).data.tags


def test_a_model_that_does_not_copy_is_not_said_to_have_heads_that_do(store, tmp_path, not_drawn):
    base = load_base("embedded")
    with torch.no_grad():
        for layer in base.model.model.layers:
            layer.self_attn.o_proj.weight.zero_()
    base.model.save_pretrained(tmp_path / "deaf")
    base.tokenizer.save_pretrained(tmp_path / "deaf")
    run_id = attention.run(attention.Config(model=str(tmp_path / "deaf"), **SMALL, shown=0))
    tags = find(run_id).data.tags
    assert tags["verdict.copies_random_tokens"] == "refuted" and tags["verdict.induction_heads_copy"] == "undecided"


def copied(intact: list[float], top: list[float], random: list[list[float]]) -> attention_copying.Copied:
    def nats(values: list[float]) -> Copying:
        return Copying(torch.tensor(values, dtype=torch.float64), torch.zeros(len(values)))

    lost = InductionAblation(nats(intact), nats(top), tuple(map(nats, random)), ((1, 0),), ({1: (1,)},) * len(random), 0)
    return attention_copying.Copied(np.zeros((2, 4)), 1000, np.zeros((1, 2, 2)), lost)


@pytest.mark.parametrize("top, outcome", [([6.0] * 8, "supported"), ([1.0] * 8, "refuted"), ([2.2] * 8, "undecided")])
def test_heads_are_needed_for_copying_only_beyond_random_heads_of_every_choice(top, outcome):
    random = [[2.0 + 0.5 * choice] * 8 for choice in (-1, 0, 1, 1)]
    verdict = attention_copying.verdicts(copied([0.5] * 8, top, random))[1]
    assert verdict.outcome == outcome and verdict.value == pytest.approx(top[0] - np.mean(random))


def test_heads_ablated_by_default_score_half_as_high_as_the_best():
    scores = torch.zeros(5, 10)
    scores[1, :3] = torch.tensor([0.9, 0.5, 0.4])
    assert attention_copying._strong(scores) == 2
    scores[2] = 0.8
    assert attention_copying._strong(scores) == 5


def roles(first: float, previous: float) -> list:
    prompts = 8
    noise = np.random.default_rng(0).uniform(-0.01, 0.01, (prompts, 2, 2))
    share = np.full((prompts, 2, 2), 0.1) + noise
    share[:, 1, 0] = previous
    values = {"first_token": first + noise, "previous_token": share}
    return attention_roles.verdicts(attention_roles.Measured(values, {name: np.full((prompts, 2), 0.1) for name in values}))


@pytest.mark.parametrize("first, previous, outcomes", [
    (0.5, 0.9, ["supported", "supported"]), (0.1, 0.2, ["refuted", "refuted"]), (0.3, 0.9, ["undecided", "supported"])])
def test_sinks_and_previous_token_heads_are_judged_by_their_intervals(first, previous, outcomes):
    assert [verdict.outcome for verdict in roles(first, previous)] == outcomes


@pytest.mark.parametrize("changes, words", [
    ({"copied": 600}, "copied=600: 1200 tokens are more than this model's 1024 positions; type copied=512"),
    ({"ablated": 37}, "ablated=37: this model has 36 heads"),
    ({"queries": (500,)}, "queries=500: no prompt has such a position"),
    ({"layers": (7,)}, "layer 7: this model has no such layer"),
    ({"prompts": ("held_out",)}, r"run \(none given\) keeps no held-out rows"),
    ({"copied": 10}, "copied=10")])
def test_bad_input_is_an_error_before_anything_is_measured(store, monkeypatch, changes, words):
    def compute(*args, **kwargs):
        raise AssertionError("work started")

    monkeypatch.setattr("lab.studies.attention_rows.measured", compute)
    with pytest.raises(OptionError, match=words):
        attention.run(attention.Config(**{**SMALL, **changes}))


def test_more_different_tokens_than_the_model_has_are_an_error(store, monkeypatch):
    monkeypatch.setattr(attention_copying, "ordinary_tokens", lambda tokenizer: np.arange(40))
    with pytest.raises(OptionError, match="copied=50: this model has 40 different ordinary tokens; type copied=40"):
        attention.run(attention.Config())
