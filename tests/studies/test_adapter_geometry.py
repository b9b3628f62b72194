"""The study on the embedded model, with adapters trained for a few steps."""

import functools
import json
import shutil

import numpy as np
import pytest
import torch

import lab
from lab.adapters.ablation import parse
from lab.errors import BaseMismatch, ModelUnsupported, NoAdapter, OptionError, RunNotFound
from lab.models.adapters import attach, detach
from lab.models.loading import load_base
from lab.studies import (
    adapter_geometry,
    attention_trained,
    finetune,
    geometry_adapters,
    geometry_measured,
    geometry_report,
    geometry_whole,
    lora_rank,
)
from lab.studies.adapter_geometry import Config
from lab.studies.geometry_hypotheses import hypotheses
from lab.studies.geometry_losses import Ablated, Losses
from lab.studies.geometry_measured import Measured
from lab.studies.geometry_pairs import Overlaps, choose
from lab.studies.geometry_report import ablation_rows, limits
from lab.studies.geometry_texts import HELD_OUT
from lab.studies.geometry_verdicts import Evidence, Shape, verdicts
from lab.tracking.lookup import find
from lab.training.evaluate import evaluate
from tests.studies.test_attention_compare import files_of, text_of, undrawn

TINY = {"facts": 24, "answers": 16, "steps": 4, "batch_size": 12, "eval_every": 4, "lr": 5e-3}
SMALL = {"k": 5, "draws": 19, "rows": 20}
ABLATIONS = ("scale:0.5", "drop:1", "intruders:0.3")

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def sweep(place):
    """A parent with children of ranks 2 and 3 and seeds 0 and 1."""
    with undrawn():
        return lora_rank.run(lora_rank.Config(**TINY, r=(2, 3), seeds=2, targets="q_proj,down_proj"))


@pytest.fixture(scope="module")
def children(sweep):
    """Their ids by rank and seed."""
    runs = lab.runs("lora_rank")
    own = runs[runs["parent_run_id"] == sweep]
    return {(row["config.r"][0], row["config.seed"]): row["run_id"] for _, row in own.iterrows()}


@pytest.fixture(scope="module")
def whole(place):
    """A full fine-tune."""
    with undrawn():
        return finetune.run(finetune.Config(**{**TINY, "lr": 1e-3}, method="full"))


@pytest.fixture(scope="module")
def ablated(children):
    """A study of one adapter that takes parts away and keeps what is left."""
    with undrawn("shape", "ablation"):
        return adapter_geometry.run(Config(run_id=(children[3, 0],), ablate=ABLATIONS, keep=True, **SMALL))


@functools.cache
def dense(run_id):
    """The update of every module in float64, formed from the opened adapter."""
    model = lab.open_run(run_id).model
    return {name.removeprefix("base_model.model."): layer.scaling["default"] * (
        layer.lora_B["default"].weight.double() @ layer.lora_A["default"].weight.double()).detach()
        for name, layer in model.named_modules() if "default" in getattr(layer, "lora_A", {})}


def verdicts_of(place, run_id):
    return {row["name"]: row for row in json.loads(text_of(place, run_id, "verdicts.json"))}


def test_spectra_and_norms_are_those_of_the_dense_updates(place, ablated, children):
    arrays, shape = lab.arrays(ablated, "singular_values"), lab.arrays(ablated, "shape")
    model = lab.open_run(children[3, 0]).model
    for name, update in dense(children[3, 0]).items():
        parts = name.split(".")
        cell = int(parts[2]), list(arrays["modules"]).index(parts[-1])
        values = torch.linalg.svdvals(update)[:3].numpy()
        np.testing.assert_allclose(arrays["singular_values"][cell], values, rtol=1e-5, atol=1e-5 * values[0])
        weight = model.get_submodule(f"base_model.model.{name}").base_layer.weight
        assert shape["relative_frobenius"][cell] == pytest.approx(float(update.norm() / weight.double().norm()), rel=1e-6)


def test_a_study_keeps_its_figures_tables_and_verdicts(place, ablated, children):
    files = files_of(place, ablated)
    names = ("singular_values", "shape", "intruders", "along_weight", "intruders_by_threshold", "ablation")
    assert {f"figures/{name}.png" for name in names} | {f"data/{name}.npz" for name in names} <= files
    assert {"tables/modules.json", "tables/ablations.json", "report.md"} <= files
    found = verdicts_of(place, ablated)
    assert set(found) == {
        "fewer_directions_than_chance", "more_intruders_than_random", "aligned_with_weight", "exceeds_weight_along_it",
        "deeper_layers_change_more", *(f"{name}_{end}" for name in ("without_direction_1", "intruders_times_0_3")
                                       for end in ("costs_more_than_shrinking", "keeps_more_of_the_base"))}
    assert len(lab.table(ablated, "modules")) == 12
    assert find(ablated).data.tags["lab.source_run_id"] == children[3, 0]
    assert lab.arrays(ablated, "intruders")["null_intruders"].shape == (6, 2, 19)


def test_scaling_is_its_own_control_and_the_norms_are_kept(ablated, children):
    rows = {row["adapter"]: row for row in lab.table(ablated, "ablations")}
    column = f"{HELD_OUT}: loss (nats/token)"
    shrunk = rows["whole, shrunk to the norm of: whole times 0.5"]
    assert rows["whole times 0.5"][column] == pytest.approx(shrunk[column], abs=1e-5)
    assert rows["whole times 0.5"]["share of the norm"] == pytest.approx(0.5)
    whole, left = (np.sqrt(sum(float(f(update)) for update in dense(children[3, 0]).values())) for f in (
        lambda update: update.norm() ** 2, lambda update: torch.linalg.svdvals(update)[1:].norm() ** 2))
    assert rows["without direction 1"]["share of the norm"] == pytest.approx(left / whole, rel=1e-5)
    assert rows["whole"][column] < rows["none (base)"][column]


@pytest.fixture(scope="module")
def kept(ablated):
    """Runs of what is left, by what was taken away."""
    runs = lab.runs("adapter_geometry")
    return {find(run_id).data.tags["mlflow.runName"].split()[0]: run_id
            for run_id in runs[runs["parent_run_id"] == ablated]["run_id"]}


def test_what_is_left_is_kept_as_a_run_that_opens_and_says_the_same(place, ablated, kept, children):
    assert set(kept) == set(ABLATIONS)
    before = dense(children[3, 0])
    for name, update in dense(kept["drop:1"]).items():
        left, values, right = torch.linalg.svd(before[name], full_matrices=False)
        expected = left[:, 1:3] @ torch.diag(values[1:3]) @ right[1:3]
        torch.testing.assert_close(update, expected, rtol=0, atol=1e-6 * float(values[0]) + 1e-9)
    rows = {row["adapter"]: row for row in lab.table(ablated, "ablations")}
    for text, run_id in kept.items():
        opened = lab.open_run(run_id)
        facts = opened.capsule.manifest
        texts = _held_out(opened.tokenizer)
        loss = evaluate(opened.model, texts, step=0, pad_id=opened.tokenizer.pad_token_id).loss
        words = parse(text).words
        told = next(line for line in text_of(place, ablated, "report.md").splitlines() if f"- `{run_id}`: " in line)
        assert words in told and f"`{text}`" in told
        row = next(row for name, row in rows.items() if name.startswith(words))
        assert loss == pytest.approx(row[f"{HELD_OUT}: loss (nats/token)"], abs=1e-5)
        assert facts["eval_loss"] == pytest.approx(loss, abs=1e-5)
        assert facts["ablated_from"] == {"run": children[3, 0], "which": "best", "ablation": text}
        assert find(run_id).data.tags["lab.source_run_id"] == children[3, 0]


def _held_out(tokenizer):
    from lab.data.dataset import build
    from lab.training.finetune import evenly

    data = build("embedded:facts", tokenizer, max_length=512, eval_split=0.1, seed=0, facts=24, answers=16)
    return evenly(data.evaluation, SMALL["rows"])


def test_a_kept_adapter_is_measured_on_the_rows_of_the_training_it_came_from(place, kept, monkeypatch):
    monkeypatch.setattr(geometry_measured, "measured", stop)
    with undrawn(), pytest.raises(Stop):
        adapter_geometry.run(Config(run_id=(kept["drop:1"],), ablate=("keep:1",), **SMALL))
    (latest,) = [run_id for run_id in lab.runs("adapter_geometry")["run_id"]
                 if find(run_id).data.tags.get("lab.source_run_id") == kept["drop:1"]]
    assert find(latest).data.params["held_out_rows.rows"] == "20"


def test_a_sweep_compares_its_seeds_and_ranks(place, sweep, children):
    with undrawn("by_rank", "overlap_seeds", "overlap_seeds_by_depth"):
        run = adapter_geometry.run(Config(run_id=(sweep,), **SMALL))
    found = verdicts_of(place, run)
    assert {"seeds_share_top_direction", "effective_rank_grows_with_rank"} <= set(found)
    assert found["effective_rank_grows_with_rank"]["covers"] == "training seeds (n=2)"
    assert len(lab.table(run, "trainings")) == 4
    rows = lab.table(run, "overlaps")
    assert {row["one start"] for row in rows} == {"no"} and len(rows) == 4 * 4  # two pairs of seeds, two of ranks
    arrays = lab.arrays(run, "overlap_seeds")
    one, other = (dense(children[3, seed]) for seed in (0, 1))  # the larger rank is shown
    name = "model.layers.1.self_attn.q_proj"
    tops = [torch.linalg.svd(each[name])[0][:, 0] for each in (one, other)]
    column = list(arrays["modules"]).index("q_proj")
    assert arrays["writes"][1, column, 0, 0] == pytest.approx(float((tops[0] @ tops[1]) ** 2), abs=1e-6)
    assert files_of(place, run) >= {"figures/by_rank.png", "figures/overlap_seeds.png", "figures/r=2_seed=0/shape.png"}


def test_factors_begin_alike_only_with_one_seed_and_one_shape():
    base = load_base("embedded", dtype="float32")

    def first(rank, seed):
        model = attach(base, r=rank, alpha=32, targets="q_proj,down_proj", dropout=0.0, seed=seed)
        found = {name: layer.lora_A["default"].weight.detach().clone() for name, layer in model.named_modules()
                 if "default" in getattr(layer, "lora_A", {})}
        detach(model)
        return found

    def overlap(one, other):
        bases = [torch.linalg.qr(each.double().T)[0] for each in (one, other)]
        return float((bases[0].T @ bases[1]).square().sum() / min(len(one), len(other)))

    one = first(2, 0)
    means = {}
    for rank, seed in ((2, 0), (2, 1), (8, 0)):
        other = first(rank, seed)
        means[rank, seed] = np.mean([overlap(each, other[name]) for name, each in one.items()])
        (*pairs,) = choose([trained("a", 2, 0), trained("b", rank, seed, lr=2)])
        assert [pair.same_start for pair in pairs] == [means[rank, seed] > 0.5]
    assert means[2, 0] == pytest.approx(1) and means[8, 0] < 3 * 8 / 192


def test_one_start_is_said_to_fake_an_overlap():
    found = [Measured(trained("a", 2, 0), {})] * 2
    for rank, seed, more, expected in ((2, 0, {"lr": 2}, True), (2, 1, {}, False), (4, 0, {}, False), (4, 1, {}, False),
                                       (2, 0, {"targets": ["q_proj"]}, False)):
        (pair,) = choose([trained("a", 2, 0), trained("b", rank, seed, **more)])
        assert pair.same_start == expected
        told = limits(found, [Overlaps(pair, {}, {}, {}, [])], ablated=False)
        assert any("is mostly their common start" in each for each in told) == expected


def test_a_full_fine_tune_is_its_difference_from_the_base(place, whole, monkeypatch):
    every = geometry_whole.pairs
    monkeypatch.setattr(geometry_whole, "pairs", lambda *folders: [
        pair for pair in every(*folders) if pair.name.endswith(("q_proj", "down_proj"))])
    with undrawn():
        run = adapter_geometry.run(Config(run_id=(whole,), **SMALL))
    tuned = lab.open_run(whole, dtype="float32").model
    origin = load_base("embedded", dtype="float32").model
    arrays = lab.arrays(run, "singular_values")
    for layer, leaf in ((0, "self_attn.q_proj"), (5, "mlp.down_proj")):
        path = f"model.layers.{layer}.{leaf}.weight"
        difference = tuned.get_parameter(path).double() - origin.get_parameter(path).double()
        cell = arrays["singular_values"][layer, list(arrays["modules"]).index(leaf.rpartition(".")[2])]
        np.testing.assert_allclose(cell, torch.linalg.svdvals(difference.detach()), rtol=1e-5, atol=1e-5 * cell[0])
    assert "Gaussian matrix" in text_of(place, run, "report.md")


def test_the_tour_takes_parts_away():
    assert adapter_geometry.tour("1234").ablate and adapter_geometry.tour("1234").run_id == ("1234",)


class Stop(Exception):
    """Work would begin."""


def stop(*args, **options):
    raise Stop


@pytest.fixture
def no_work(monkeypatch):
    monkeypatch.setattr(geometry_measured, "measured", stop)


@pytest.mark.parametrize("given, complaint", [
    ({"ablate": ("shrink:1",)}, "ablate=shrink:1: no such ablation"),
    ({"ablate": ("layers:0", "1")}, r"ablate=1: no such ablation \(several layers are joined by \+"),
    ({"ablate": ("drop:1", "drop:1")}, "ablate=drop:1,drop:1: one is given twice"),
    ({"ablate": tuple(f"scale:0.{n}" for n in range(1, 7))}, "ablate names 6 ablations; at most 5 fit into one report"),
    ({"keep": True}, "keep=true without ablate"),
    ({"ablate": ("layers:6",)}, "the adapter has no layers 6; it changes 0, 1, 2, 3, 4, 5"),
    ({"ablate": ("modules:v_proj",)}, "the adapter has no modules v_proj; it changes q_proj, down_proj"),
    ({"ablate": ("drop:3",)}, "has 3 directions in a module, of which drop takes at most 2"),
    ({"k": 193}, "is 192 × 192 and has 192 directions; type k=10"),
    ({"ablate": ("drop:1",), "dataset": "english"}, "dataset=english: held-out rows are of a dataset as in finetune"),
])
def test_what_cannot_be_done_is_refused_before_work_starts(no_work, children, given, complaint):
    with pytest.raises(OptionError, match=complaint):
        adapter_geometry.run(Config(**{**SMALL, **given}, run_id=(children[3, 0],)))


def test_parts_are_taken_from_one_adapter_only(no_work, sweep, whole):
    with pytest.raises(OptionError, match="ablate=drop:1 with 4 adapters: parts are taken away from one; type run_id="):
        adapter_geometry.run(Config(run_id=(sweep,), ablate=("drop:1",), **SMALL))
    with pytest.raises(OptionError, match="kept a whole model; parts are taken away from adapters only"):
        adapter_geometry.run(Config(run_id=(whole,), ablate=("drop:1",), **SMALL))
    with pytest.raises(OptionError, match=r"k=97: .* is .*96.* and has 96 directions"):
        adapter_geometry.run(Config(run_id=(whole,), **{**SMALL, "k": 97}))


def test_runs_that_cannot_be_read_together_are_refused(no_work, place, ablated, children, whole):
    with pytest.raises(RunNotFound):
        adapter_geometry.run(Config(run_id=("deadbeef",), **SMALL))
    with pytest.raises(OptionError, match="kept a whole model, which is compared with its base alone"):
        adapter_geometry.run(Config(run_id=(children[3, 0], whole), **SMALL))
    other = other_base(place, children[3, 1])
    with pytest.raises(BaseMismatch, match="were trained on different bases: .* need one base: leave one"):
        adapter_geometry.run(Config(run_id=(children[3, 0], other), **SMALL))


def other_base(place, run_id):
    """A run whose adapter says that it stands on other weights."""
    from lab.tracking import capsule, sealing
    from lab.tracking.run import open_run

    with open_run("adopt", Config(run_id=(run_id,)), name="elsewhere") as run:
        run.state([])
        folder = place / "elsewhere"
        shutil.copytree(capsule.fetch(run_id).folder, folder)
        facts = json.loads((folder / sealing.MANIFEST).read_text())
        facts = {key: value for key, value in facts.items() if key not in ("files", "kind", "format_version")}
        (folder / sealing.MANIFEST).unlink()
        sealing.seal(folder, "adapter", {**facts, "base_fingerprint": "sha256:other"})
        capsule.keep(run, folder, "adapter", "best")
        return run.id


def test_a_run_without_an_adapter_is_refused(no_work, place, children):
    from lab.tracking.run import open_run

    with open_run("ask", Config(run_id=("1234",)), name="nothing kept") as run:
        run.state([])
    with pytest.raises(NoAdapter, match="keeps no adapter or model"):
        adapter_geometry.run(Config(run_id=(run.id,), **SMALL))


def test_an_adapter_on_modules_that_the_base_lacks_is_refused(no_work, place, children):
    from safetensors.torch import load_file, save_file

    from lab.tracking import capsule, sealing
    from lab.tracking.run import open_run

    with open_run("adopt", Config(run_id=("1234",)), name="other modules") as run:
        run.state([])
        folder = place / "lacking"
        shutil.copytree(capsule.fetch(children[3, 1]).folder, folder)
        config = json.loads((folder / "adapter_config.json").read_text())
        (folder / "adapter_config.json").write_text(json.dumps({**config, "target_modules": ["q_proj", "fc_out"]}))
        tensors = load_file(folder / "adapter_model.safetensors")
        save_file({name.replace("down_proj", "fc_out"): each for name, each in tensors.items()},
                  folder / "adapter_model.safetensors")
        facts = json.loads((folder / sealing.MANIFEST).read_text())
        (folder / sealing.MANIFEST).unlink()
        sealing.seal(folder, "adapter", {k: v for k, v in facts.items() if k not in ("files", "kind", "format_version")})
        capsule.keep(run, folder, "adapter", "best")
    with pytest.raises(ModelUnsupported, match="does not fit this model"):
        adapter_geometry.run(Config(run_id=(run.id,), **SMALL))


def shape_of(rng, *, intruders=0.0, along=1.0, slope=0.0, effective=4.0, layers=8, modules=3, draws=20, **given):
    grid = (layers, modules)
    depth = np.linspace(0, 1, layers)
    return Shape(
        effective_rank=np.full(grid, effective) * rng.lognormal(0, 0.01, grid),
        null_effective_rank=8 * rng.lognormal(0, 0.01, (*grid, draws)), intruders=intruders + rng.normal(2, 0.1, grid),
        null_intruders=rng.normal(2, 0.1, (*grid, draws)), along=along * rng.lognormal(0, 0.05, grid),
        null_along=rng.lognormal(0, 0.05, (*grid, draws)), strength=np.full(grid, 2.0),
        norm=2 ** (slope * depth[:, None]) * rng.lognormal(0, 0.01, grid), weight_norm=np.ones(grid), depth=depth, **given)


@pytest.mark.parametrize("planted, outcomes", [
    ({"intruders": 1.0, "along": 1.5, "slope": 1.0, "effective": 4.0},
     ("supported", "supported", "supported", "supported", "supported")),
    ({"intruders": -1.0, "along": 0.6, "slope": -1.0, "effective": 12.0},
     ("refuted", "refuted", "refuted", "supported", "refuted")),
    ({"effective": 8.0}, ("undecided", "undecided", "undecided", "supported", "undecided"))])
def test_planted_shapes_are_called_what_they_are(planted, outcomes):
    stated = hypotheses(layers=8, ranks=[8])
    found = verdicts(stated, Evidence([shape_of(np.random.default_rng(0), **planted)]))
    assert tuple(verdict.outcome for verdict in found) == outcomes


def test_overlap_and_ranks_are_judged_over_seeds():
    rng = np.random.default_rng(0)
    stated = [each for each in hypotheses(layers=8, ranks=[2, 8], seeds=2, pairs=1)
              if each.name in ("seeds_share_top_direction", "effective_rank_grows_with_rank")]
    evidence = Evidence(
        [shape_of(rng, rank=2), shape_of(rng, rank=8)], overlap=rng.uniform(0.4, 0.6, (1, 8, 3)),
        null_overlap=rng.uniform(0, 0.05, (1, 8, 3, 20)),
        by_seed={seed: {2: np.full((8, 3), 1.9 + seed / 10), 8: np.full((8, 3), 5.0)} for seed in (0, 1)})
    overlap, ranks = verdicts(stated, evidence)
    assert overlap.outcome == "supported" and ranks.outcome == "supported"
    assert ranks.value == pytest.approx(np.mean([np.log2(5 / low) / 2 for low in (1.9, 2.0)]))
    alone = verdicts(stated[1:], Evidence([shape_of(rng)], by_seed={}))[0]
    assert alone.outcome == "undecided" and "no two of the trainings" in alone.detail


def test_few_layers_are_asked_nothing_about_modules():
    assert hypotheses(layers=2, ranks=[8]) == []
    assert [each.name for each in hypotheses(layers=2, ranks=[8], ablations=[parse("drop:1")], held_out=True)] == [
        "without_direction_1_costs_more_than_shrinking"]
    assert "fewer_directions_than_chance" not in {each.name for each in hypotheses(layers=6, ranks=[1])}


def test_differences_of_losses_are_per_token_and_paired():
    losses = Losses(np.full(30, 4), np.zeros(30), np.zeros(30), {}, {})
    own = np.random.default_rng(0).uniform(0, 10, 30)
    found = losses.difference(own + 2.0, own)
    assert (found.value, found.low, found.high) == pytest.approx((0.5, 0.5, 0.5))


def trained(label, rank, seed, **config):
    from lab.tracking.capsule import Capsule

    capsule = Capsule(label, "adapter", "best", None, {"lora": {"r": rank, "targets": config.get("targets", ["v_proj"])}})
    config = {"steps": 3, "lr": 1, "r": rank, "seed": seed, **config}
    return attention_trained.Trained(capsule, label, config, "finetune", label)


def test_pairs_are_seeds_of_one_recipe_and_the_outermost_ranks_of_different_seeds():
    runs = [trained(f"{rank} {seed}", rank, seed) for rank in (1, 4, 16) for seed in (0, 1)]
    found = [(pair.one.label, pair.other.label, pair.kind, pair.same_start) for pair in choose(runs)]
    assert found == [("1 0", "1 1", "seeds", False), ("4 0", "4 1", "seeds", False), ("16 0", "16 1", "seeds", False),
                     ("4 0", "16 1", "ranks", False), ("4 1", "16 0", "ranks", False)]
    assert [pair.kind for pair in choose([trained("a", 1, 0), trained("b", 4, 0)])] == ["ranks"]
    assert [pair.kind for pair in choose([trained("a", 4, 0), trained("b", 4, 0, lr=2)])] == ["runs"]
    assert choose(runs[:1]) == []


def test_a_kept_folder_has_its_sources_facts_and_its_own_settings(kept):
    from lab.tracking import capsule

    source = capsule.fetch(kept["scale:0.5"])
    assert source.manifest["training"] == "ablated" and source.manifest["eval_rows"] == 20
    assert source.manifest["lora"]["r"] == source.manifest["lora"]["alpha"]
    assert set(source.manifest["files"]) >= {"adapter_config.json", "adapter_model.safetensors", "tokenizer.json"}


def test_an_amplification_that_random_directions_have_as_well_is_said_to_be_one_of_size():
    stated = [each for each in hypotheses(layers=8, ranks=[8]) if each.name == "exceeds_weight_along_it"]
    (large,) = verdicts(stated, Evidence([shape_of(np.random.default_rng(0), along=1.2)]))
    assert large.outcome == "supported" and "larger than the weight in random directions too" in large.detail
    assert "in random directions +0.996" in large.null
    (stronger,) = verdicts(stated, Evidence([shape_of(np.random.default_rng(0), along=3.0)]))
    assert stronger.outcome == "refuted" and "smaller only along its own directions" in stronger.detail


def test_intruders_that_are_not_there_get_no_verdict_and_no_suggestion():
    stated = hypotheses(layers=2, ranks=[8], ablations=[parse("intruders:0.5")], held_out=True)
    reason = "no intruder at ε = 0.5, nothing was changed"
    (found,) = verdicts(stated, Evidence([], losses={stated[0].name: (None, reason)}))
    assert found.outcome == "undecided" and found.value is None and found.detail == reason
    arms = [{"intruders:0.5": np.ones(20)}] * 2
    losses = Losses(np.full(20, 4), np.zeros(20), np.zeros(20), *arms)
    ablated = Ablated({HELD_OUT: losses}, {"intruders:0.5": 1.0}, {"intruders:0.5": 8},
                      {"intruders:0.5": "intruders times 0.5"}, {"intruders:0.5": reason})
    assert geometry_adapters._differences(ablated, [parse("intruders:0.5")]) == {stated[0].name: (None, reason)}
    assert ablation_rows(ablated)[2]["adapter"] == f"intruders times 0.5 ({reason})"
    for has in (True, False):
        told = geometry_adapters._next([trained("a", 8, 0)], [], {}, intruders=has)[0]
        assert ("intruders:0.5" in told) == has and "drop:1" in told


def test_an_ablation_of_intruders_below_every_cosine_changes_nothing(place, children):
    with undrawn():
        run = adapter_geometry.run(Config(run_id=(children[2, 0],), ablate=("intruders:0.5",), epsilon=1e-6, **SMALL))
    found = verdicts_of(place, run)["intruders_times_0_5_costs_more_than_shrinking"]
    assert found["value"] is None and found["detail"] == "no intruder at ε = 1e-06, nothing was changed"


def test_an_excess_of_intruders_above_the_threshold_is_said_in_words():
    class Counts:
        def __init__(self, own, null):
            self.own, self.null = own, null

        def intruders(self, thresholds):
            return np.broadcast_to(self.own * (thresholds >= 0.8), (6, 2, len(thresholds)))

        def null_intruders(self, thresholds):
            return np.broadcast_to(self.null * (thresholds >= 0.8), (6, 2, 19, len(thresholds)))

    assert "at ε = 0.8: 1.2 per module, of random directions 0.7" in geometry_report._further(Counts(1.2, 0.7), 0.5)
    assert geometry_report._further(Counts(0.7, 0.7), 0.5) == "" == geometry_report._further(Counts(1.2, 0.7), 0.8)
