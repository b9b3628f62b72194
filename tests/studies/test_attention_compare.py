"""Comparisons of attention, whole and small, on the embedded model with adapters trained for a few steps."""

import json
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from mlflow import MlflowClient
from safetensors import safe_open

import lab
from lab.attention.compare import compare
from lab.attention.statistics import STATISTICS
from lab.data.prompts import Prompt
from lab.data.world import CATEGORIES
from lab.errors import BaseMismatch, NoAdapter, OptionError
from lab.models.loading import load_base
from lab.models.tokenizers import tokenizer_sha256
from lab.models.tuned import open_several
from lab.studies import (
    attention,
    attention_changes,
    attention_compare,
    attention_prompts,
    attention_trained,
    finetune,
    lora_rank,
)
from lab.studies.attention_figures import _threshold
from lab.studies.attention_intervals import between, over_prompts
from lab.studies.attention_report import in_words
from lab.studies.attention_shown import choose
from lab.tracking.lookup import find

TINY = {"facts": 24, "answers": 16, "steps": 4, "batch_size": 12, "eval_every": 4, "lr": 5e-3}
SMALL = {"prompts": ("arithmetic", "copying"), "count": 3, "draws": 39, "shown": 2}
LAYERS, HEADS = 6, 6


pytestmark = pytest.mark.usefixtures("one_thread")


@contextmanager
def undrawn(*drawn: str):
    """Figures are made, but only these are drawn, which takes most of the time; the figures' own tests draw every kind."""
    draw = Figure.savefig

    def save(figure, path, **options):
        return draw(figure, path, **options) if path.stem in drawn else path.write_bytes(b"")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Figure, "savefig", save)
        yield


@pytest.fixture
def not_drawn():
    with undrawn():
        yield


@pytest.fixture(scope="module")
def sweep(place):
    """A parent with children of ranks 2 and 4."""
    with undrawn():
        return lora_rank.run(lora_rank.Config(**TINY, r=(2, 4)))


@pytest.fixture(scope="module")
def children(sweep):
    """Their ids by rank and seed, and that of rank 4 with another seed."""
    runs = lab.runs("lora_rank")
    own = runs[runs["parent_run_id"] == sweep]
    with undrawn():
        other = finetune.run(finetune.Config(**TINY, r=4, seed=1))
    return {**{(row["config.r"][0], row["config.seed"]): row["run_id"] for _, row in own.iterrows()}, (4, 1): other}


@pytest.fixture(scope="module")
def placebo(place):
    with undrawn(), pytest.MonkeyPatch.context() as patch:
        patch.setattr("lab.data.embedded.TRAIN_ROWS", 48)
        patch.setattr("lab.data.embedded.EVALUATION_ROWS", 24)
        return finetune.run(finetune.Config(**TINY, r=4, dataset="embedded:placebo"))


@pytest.fixture(scope="module")
def compared(children, placebo):
    """A comparison of one adapter with its base and a placebo, whose null is drawn from a hat."""
    whole = attention_changes._null
    with undrawn("change", "recent"), pytest.MonkeyPatch.context() as patch:
        patch.setattr(attention_changes, "_null", lambda model, one, *rest, **options: (
            made_up if one.label == "placebo" else whole)(model, one, *rest, **options))
        return attention_compare.run(attention_compare.Config(run_id=(children[4, 0],), placebo=placebo, **SMALL))


def made_up(model, one, prompts, **options) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Draws from the null that cost nothing, where a test is not about them."""
    rng = np.random.default_rng(one.rank)
    shape = (options["draws"], len(prompts), LAYERS, HEADS)
    return ({name: rng.lognormal(-9, 1, shape) for name in attention_changes.NULLS},
            {name: rng.normal(0, 1e-3, (shape[0], LAYERS, HEADS)) for name in STATISTICS})


@pytest.fixture
def quick_null(monkeypatch):
    monkeypatch.setattr(attention_changes, "_null", made_up)


def eager_divergence(one, other, text: str) -> np.ndarray:
    """Jensen-Shannon divergence of two models' eager weights in float64, [L, H]."""
    ids = torch.tensor([load_base("embedded").tokenizer(text, add_special_tokens=False)["input_ids"]])
    p, q = (eager_weights(model, ids) for model in (one, other))
    middle = (p + q) / 2
    return sum(torch.special.xlogy(x, x / middle.clamp(min=1e-300)).sum(-1).mean(-1) / 2 for x in (p, q)).numpy()


def eager_weights(model, ids: torch.Tensor) -> torch.Tensor:
    """[L, H, Q, K], float64."""
    model.set_attn_implementation("eager")
    with torch.no_grad():
        return torch.stack(model(input_ids=ids, output_attentions=True).attentions)[:, 0].double()


def files_of(place, run_id: str) -> set[str]:
    folder = next(place.glob(f"mlruns/**/{run_id}/artifacts"))
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def text_of(place, run_id: str, name: str) -> str:
    return next(place.glob(f"mlruns/**/{run_id}/artifacts/{name}")).read_text()


def test_a_comparison_keeps_figures_with_their_arrays_tables_maps_and_a_page(place, compared, children, placebo):
    files = files_of(place, compared)
    drawn = {name.removeprefix("figures/").removesuffix(".png") for name in files if name.startswith("figures/")}
    assert {"change", "layers", "categories", "distributions", "maps", "placebo", "statistics/entropy",
            "statistics/previous_token"} <= drawn
    assert {f"data/{name}.npz" for name in drawn} <= files
    assert {f"tables/{name}.json" for name in ("heads", "layers", "categories", "prompts")} <= files
    assert "attention.html" in files and any(name.endswith("maps.safetensors") for name in files)
    tags = find(compared).data.tags
    assert tags["lab.source_run_id"] == f"{children[4, 0]},{placebo}" and tags["lab.ended"] == "finished"
    assert {name for name in tags if name.startswith("verdict.")} == {
        "verdict.most_heads_unchanged", "verdict.later_layers_change_more", "verdict.change_is_concentrated",
        "verdict.more_than_placebo"}
    metrics = find(compared).data.metrics
    grid = lab.arrays(compared, "change")["divergence"]
    assert metrics["attention/divergence_mean_nats"] == pytest.approx(grid.mean())
    assert metrics["attention/heads_changed_share"] == lab.arrays(compared, "change")["changed"].mean()


def test_every_prompt_gets_its_own_numbers_whatever_batch_it_was_in(compared, children, placebo):
    opened = open_several([children[4, 0]])
    kept, rows = lab.arrays(compared, "change"), lab.table(compared, "prompts")
    assert [row["prompt"] for row in rows] == [f"{name} {i}" for name in SMALL["prompts"] for i in (1, 2, 3)]
    for index, row in enumerate(rows):
        ids = torch.tensor([opened.tokenizer(row["text"], add_special_tokens=False)["input_ids"]])
        alone = compare(opened.model, [children[4, 0]], ids)
        assert row["tokens"] == ids.shape[1]
        np.testing.assert_allclose(kept["divergence"][index], alone.divergence[0, 0], atol=1e-7)
        np.testing.assert_allclose(kept["direct"][index], alone.direct[0, 0], atol=1e-7)
        entropy = lab.arrays(compared, "statistics/entropy")
        np.testing.assert_allclose(entropy["base"][index], alone.base["entropy"][0], atol=1e-5)
        np.testing.assert_allclose(entropy["tuned"][index], alone.tuned["entropy"][0, 0], atol=1e-5)


def test_tables_say_what_the_arrays_say(compared):
    kept, heads = lab.arrays(compared, "change"), lab.table(compared, "heads")
    assert len(heads) == LAYERS * HEADS
    ratios = [row["ratio to the null"] for row in heads]
    assert ratios == sorted(ratios, reverse=True)
    first = heads[0]
    at = (slice(None), first["layer"], first["head"])
    assert first["divergence (nats)"] == pytest.approx(kept["divergence"][at].mean())
    draws = kept["null.divergence"][(slice(None), *at)].mean(1)
    assert len(draws) == 39
    assert first["null mean (nats)"] == pytest.approx(draws.mean())
    assert first["null 95th percentile (nats)"] == pytest.approx(np.percentile(draws, 95))
    assert {"direct (nats)", "inherited (nats)", "output_change (relative L2)", "entropy: base", "entropy: tuned",
            "changed"} <= set(first)
    moved = lab.arrays(compared, "statistics/recent")
    own = (moved["tuned"] - moved["base"]).mean(0)[at[1:]]
    assert moved["null"].shape == (39, LAYERS, HEADS)
    assert first["recent: tuned"] - first["recent: base"] == pytest.approx(own, abs=1e-12)
    assert first["recent: change of the null, middle 95 %"] == "{:.3g} to {:.3g}".format(
        *np.percentile(moved["null"][(slice(None), *at[1:])], [2.5, 97.5]))
    layers = lab.table(compared, "layers")
    assert layers[2]["inherited (nats)"] == pytest.approx(kept["inherited"][:, 2].mean())
    categories = lab.table(compared, "categories")
    assert categories[1]["category"] == "copying"
    assert categories[1]["divergence (nats)"] == pytest.approx(kept["divergence"][3:].mean())


def test_maps_are_those_of_the_heads_named_in_the_report(place, compared, children):
    heads = [(row["layer"], row["head"]) for row in lab.table(compared, "heads")[:2]]
    kept = lab.arrays(compared, "maps")
    assert [tuple(pair) for pair in kept["heads"]] == heads
    rows = np.tril(kept["base"]).sum(-1)
    np.testing.assert_allclose(rows, 1, atol=1e-5)
    assert np.abs(kept["tuned"] - kept["base"]).max() > 0
    file = next(place.glob(f"mlruns/**/{compared}/artifacts/maps/*/maps.safetensors"))
    with safe_open(file, "pt") as opened:
        about = opened.metadata()
    assert json.loads(about["models"]) == ["base", children[4, 0]]
    assert {(int(layer), head) for layer, some in json.loads(about["heads"]).items() for head in some} == set(heads)
    report = text_of(place, compared, "report.md")
    assert ", ".join(f"{layer}.{head}" for layer, head in heads) in report and "attention.html" in report


def test_what_a_placebo_was_trained_otherwise_is_said(place, compared, children, placebo):
    trained, control = attention_trained.fetch([children[4, 0]], placebo)
    assert attention_trained.differences(trained[0], control) == []
    assert "trained like this run in all but its data" in text_of(place, compared, "report.md")
    other, _ = attention_trained.fetch([children[2, 0]], None)
    assert attention_trained.differences(other[0], control) == ["r 4 instead of 2"]
    assert attention_trained.differences(control, other[0])[-1] == "its data are embedded:facts, not embedded:placebo"


def test_the_command_for_a_placebo_repeats_the_training(children):
    trained, _ = attention_trained.fetch([children[2, 0]], None)
    command = attention_trained.placebo_command(trained[0])
    words = command.split()
    assert words[words.index("-e") + 1] == "lora_rank"
    given = dict(word.split("=") for before, word in zip(words, words[1:], strict=False) if before == "-P")
    assert given == {"dataset": "embedded:placebo", "r": "2", "lr": "0.005", "steps": "4", "batch_size": "12"}


def test_a_sweep_and_another_seed_are_compared_as_a_whole(place, sweep, children, quick_null, not_drawn):
    found = attention_compare.run(attention_compare.Config(run_id=(children[4, 0], sweep, children[4, 1]), draws=39,
                                                           prompts=("arithmetic",), count=5))
    rows = lab.table(found, "adapters")
    assert {row["run"] for row in rows} == set(children.values())
    assert [row["adapter"] for row in rows] == ["r=4 seed=0", "r=2 seed=0", "r=4 seed=1"]
    files = files_of(place, found)
    assert {"figures/ranks.png", "figures/seeds.png", "figures/r=2_seed=0/change.png",
            "tables/r=4_seed=1/heads.json"} <= files
    ranks = lab.arrays(found, "ranks")
    assert ranks["ranks"].tolist() == [4, 2, 4] and ranks["seeds"].tolist() == [0, 0, 1]
    assert rows[1]["divergence (nats)"] == pytest.approx(ranks["divergence"][1])
    tags = find(found).data.tags
    assert {"verdict.change_grows_with_rank", "verdict.reproducible_over_seeds"} <= set(tags)
    assert lab.arrays(found, "seeds")["ratio"].shape == (2, LAYERS, HEADS)


def test_a_training_that_diverged_is_said_to_have(children):
    trained, _ = attention_trained.fetch([children[4, 0]], None)
    assert trained[0].diverged is None
    MlflowClient().set_tag(children[4, 1], "lab.diverged_at_step", 3)
    trained, _ = attention_trained.fetch([children[4, 1]], None)
    grid = np.ones((5, LAYERS, HEADS))
    found = attention_changes.Changes(trained[0], {}, {}, {}, {"divergence": grid}, {}, {}, None, list(range(LAYERS)))
    assert "diverged at step 3" in in_words(found, several=False) and "of step 4" in in_words(found, several=False)


def test_few_prompts_are_shown_and_claim_nothing(children, quick_null, not_drawn):
    found = attention_compare.run(attention_compare.Config(run_id=(children[4, 0],), prompts=("text",), text="A dog runs.",
                                                           draws=39, layers=(1, 3), heads=(0,), tokens="0:2"))
    assert lab.arrays(found, "maps")["heads"].tolist() == [[1, 0], [3, 0]]
    assert lab.arrays(found, "maps")["base"].shape == (2, 2, 2)
    assert not any(name.startswith("verdict.") for name in find(found).data.tags)


def test_by_default_a_run_is_asked_about_what_it_held_out_and_about_the_world(children):
    config, base = attention_compare.Config(run_id=(children[4, 0],), count=1), load_base("embedded")
    read = attention_prompts.read(config, base, base.tokenizer, [children[4, 0], children[2, 0]])
    samples = lab.table(children[4, 0], "samples")
    assert [prompt.text for prompt in read[:3]] == [sample["rendered"] + sample["expected"] for sample in samples[:3]]
    assert [base.tokenizer.decode(prompt.input_ids) for prompt in read[:3]] == [prompt.text for prompt in read[:3]]
    assert [prompt.category for prompt in read] == ["held_out"] * 3 + list(CATEGORIES)
    base.tokenizer.add_tokens(["something"])
    other = replace(base, tokenizer_sha256=tokenizer_sha256(base.tokenizer))
    assert {prompt.category for prompt in attention_prompts.read(config, other, base.tokenizer, [])} == {"english"}


def test_a_whole_model_is_compared_without_a_null_and_says_so(place, not_drawn):
    run_id = finetune.run(finetune.Config(**{**TINY, "lr": 1e-3}, method="full"))
    found = attention_compare.run(attention_compare.Config(run_id=(run_id,), **SMALL))
    kept = lab.arrays(found, "change")
    assert kept["divergence"].shape == (6, LAYERS, HEADS) and (kept["divergence"].mean(0) > 0).all()
    assert not any(name.startswith("null") for name in kept)
    text = lab.table(found, "prompts")[4]["text"]
    np.testing.assert_allclose(kept["divergence"][4], eager_divergence(load_base("embedded").model,
                                                                      lab.open_run(run_id).model, text), atol=1e-6)
    assert "A whole model has no null" in text_of(place, found, "report.md")
    assert not any(name.startswith("verdict.") for name in find(found).data.tags)
    maps = lab.arrays(found, "maps")
    assert np.abs(maps["base"] - maps["tuned"]).max() > 0
    with pytest.raises(OptionError, match="kept a whole model, which is compared with its base alone"):
        attention_trained.fetch([run_id, run_id + "@last", *lab.runs("lora_rank")["run_id"].tail(1)], None)
    with pytest.raises(OptionError, match="a placebo is an adapter beside an adapter"):
        attention_trained.fetch([run_id], run_id)


@pytest.mark.parametrize("changes, error, words", [
    ({"prompts": ("text",), "text": " "}, OptionError, "text is empty"),
    ({"prompts": ("text",), "text": "one two " * 800}, OptionError, "tokens; allowed are 1024"),
    ({"layers": (6,)}, OptionError, "layer 6: this model has no such layer"),
    ({"heads": (9,)}, OptionError, "head 9 of layer 0: this model has no such head"),
    ({"tokens": "5"}, OptionError, "tokens=5: allowed is first:last"),
    ({"tokens": "9:4"}, OptionError, "tokens=9:4: allowed are ranges"),
    ({"map_budget_gib": 1e-6}, OptionError, "bytes; allowed are 1,073"),
    ({"draws": 20}, OptionError, "draws=20"),
    ({"prompts": ("wrld",)}, OptionError, "world")])
def test_bad_input_is_an_error_before_anything_is_computed(children, monkeypatch, changes, error, words):
    def compute(*args, **kwargs):
        raise AssertionError("work started")

    monkeypatch.setattr("lab.studies.attention_adapters.changes", compute)
    with pytest.raises(error, match=words):
        attention_compare.run(attention_compare.Config(**{"run_id": (children[4, 0],), **SMALL, **changes}))


def test_a_run_without_adapter_is_an_error(compared):
    with pytest.raises(NoAdapter, match="keeps no adapter"):
        attention_compare.run(attention_compare.Config(run_id=(compared,)))


def test_a_placebo_has_to_be_another_run(children):
    with pytest.raises(OptionError, match="is the run that is asked about"):
        attention_compare.run(attention_compare.Config(run_id=(children[4, 0],), placebo=children[4, 0], **SMALL))


def test_an_adapter_of_another_base_is_an_error(children, place, not_drawn):
    model = load_base("embedded").model
    with torch.no_grad():
        model.model.norm.weight.mul_(1.01)
    other = place / "other"
    model.save_pretrained(other)
    load_base("embedded").tokenizer.save_pretrained(other)
    elsewhere = finetune.run(finetune.Config(**TINY, model=str(other)))
    with pytest.raises(BaseMismatch, match="were trained on different bases: .* need one base: leave one"):
        attention_compare.run(attention_compare.Config(run_id=(children[4, 0], elsewhere), **SMALL))
    with pytest.raises(BaseMismatch, match="a placebo is trained on the same base"):
        attention_trained.fetch([children[4, 0]], elsewhere)
    with pytest.raises(BaseMismatch, match="fingerprint"):
        attention_compare.run(attention_compare.Config(run_id=(children[4, 0],), model=str(other), **SMALL))


def test_held_out_rows_of_a_run_that_keeps_none_are_an_error(children, monkeypatch):
    monkeypatch.setattr("lab.studies.attention_prompts.table", lambda run_id, name: [])
    with pytest.raises(OptionError, match="keeps no held-out rows"):
        attention_compare.run(attention_compare.Config(run_id=(children[4, 0],), prompts=("held_out",)))


def test_an_unknown_source_is_answered_with_the_names_that_only_studies_know(children):
    with pytest.raises(OptionError, match="near are held_out; allowed are auto, held_out, world"):
        attention_compare.run(attention_compare.Config(run_id=(children[4, 0],), prompts=("held-out",)))


def test_a_tuned_model_can_be_looked_at_by_run_id(children, not_drawn):
    found = attention.run(attention.Config(run_id=children[4, 0], prompts=("arithmetic",), count=2, sequences=4, choices=2,
                                           copied=32, shown=0))
    assert find(found).data.tags["lab.source_run_id"] == children[4, 0]
    opened = lab.open_run(children[4, 0])
    kept = lab.arrays(found, "statistics")["entropy"]
    text = lab.table(found, "prompts")[0]["text"]
    ids = torch.tensor([opened.tokenizer(text, add_special_tokens=False)["input_ids"]])
    for model, same in ((opened.model.merge_and_unload(), True), (load_base("embedded").model, False)):
        entropy = torch.special.entr(eager_weights(model, ids)).sum(-1).mean(-1)
        assert (np.abs(kept[0] - entropy.numpy()).max() < 1e-4) == same


def test_ends_of_an_interval_are_written_where_something_varies():
    assert between(-4e-16, 0.5) == "0 to 0.5" and between(0.1, 0.25, "+.2f") == "+0.10 to +0.25"
    assert between(0.3, 0.3 + 1e-15) is None and between(np.nan, np.nan) is None


def test_an_interval_over_prompts_is_that_of_resampled_means():
    values = np.random.default_rng(0).gamma(2.0, size=(40, 2, 3))
    values[:, 1, 2] = np.nan
    values[5, 0, 0] = np.nan
    mean, low, high = over_prompts(values)
    assert mean[0, 0] == pytest.approx(np.nanmean(values[:, 0, 0])) and np.isnan([mean[1, 2], low[1, 2]]).all()
    error = values[:, 1, 1].std() / np.sqrt(40)
    assert low[1, 1] == pytest.approx(mean[1, 1] - 1.96 * error, abs=0.25 * error)
    assert high[1, 1] == pytest.approx(mean[1, 1] + 1.96 * error, abs=0.25 * error)
    assert np.isnan(over_prompts(values[:1])[1]).all()


def test_prompts_to_show_are_the_strongest_of_each_category_that_reach_into_the_tokens():
    read = [Prompt(f"{name} {i}", name, "", [0] * (5 + i), []) for name in "ab" for i in range(3)]
    strength = np.array([1.0, 5.0, 2.0, 9.0, 3.0, 1.0])
    assert choose(read, strength, None) == [3, 1, 4, 2, 0, 5]
    assert choose(read, strength, (6, 7)) == [2, 5]


def test_an_adapter_just_over_the_threshold_is_called_and_one_just_under_it_is_not():
    from types import SimpleNamespace

    from lab.evaluation.family_wise import family_wise

    rng = np.random.default_rng(0)
    null = rng.lognormal(size=(59, 2, 3))
    seen = []
    for scale in np.geomspace(0.5, 50, 200):
        test = family_wise(np.full((2, 3), scale), null)
        seen.append((test.maximum > _threshold(SimpleNamespace(test=test)), bool(test.changed.any())))
    assert all(above == called for above, called in seen) and len(set(seen)) == 2


def test_a_statistic_is_beyond_its_draws_only_outside_them_all():
    drawn = np.linspace(-1, 1, 39).reshape(39, 1, 1) * np.ones((39, 1, 4))
    own = np.array([[[1.01, 0.99, -1.01, np.nan]]])
    found = attention_changes.Changes(None, {"recent": np.zeros((1, 1, 4))}, {"recent": own}, {}, {}, {}, {"recent": drawn},
                                      None, [0])
    assert found.beyond("recent").tolist() == [[True, False, True, False]]
