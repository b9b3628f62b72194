"""Patching studies, whole and small, on the embedded model; and an edit that only patching finds."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure

import lab
from lab.data.questions import from_rows
from lab.errors import DataError, ModelUnsupported, OptionError
from lab.models.loading import load_base
from lab.models.rows import BASE
from lab.models.tuned import open_several
from lab.probing.decomposition import decompose
from lab.probing.patching import Place
from lab.probing.patching_effects import Cell, Contrast
from lab.probing.patching_trials import Reading, Trial, differences, said
from lab.studies import finetune, patching, patching_cells, patching_ranking, patching_verdicts, probing_questions
from lab.studies.patching_contrasts import (
    AFTER,
    BEFORE,
    LAST,
    ROLES,
    SUBJECT,
    Candidate,
    choose,
    of_pairs,
    of_training,
    read,
)
from lab.studies.patching_intervals import ratio, shares
from lab.tracking.lookup import find

pytestmark = pytest.mark.usefixtures("one_thread")
TINY = {"facts": 24, "answers": 16, "steps": 6, "batch_size": 12, "eval_every": 6, "lr": 5e-3}
SMALL = {"count": 6, "draws": 1, "layers": (1, 5), "heads": (0,), "shown": 1, "top": 2}
EDITED, DECOY = (3, LAST), (5, BEFORE)


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
def patched(trained):
    return patching.run(patching.Config(run_id=trained, **SMALL))


@pytest.fixture(scope="module")
def opened(trained):
    return open_several([trained])


def asked(opened, run_id):
    return from_rows(opened.tokenizer, lab.table(run_id, "samples"), seed=0)


def test_a_study_of_a_training_keeps_what_patches_of_its_prompts_do(place, patched, trained, opened):
    kept, rows = lab.arrays(patched, "places_necessity"), lab.table(patched, "prompts")
    used = [index for index, row in enumerate(rows) if not row["left out"]]
    assert kept["effect"].shape == (len(used), 3, 2, 4) and kept["columns"].tolist() == list(ROLES)
    question = asked(opened, trained)[used[0]]
    tuned, base = (Reading(tuple(question.input_ids), name) for name in (trained, BASE))
    with torch.no_grad(), opened.model.disable_adapter():
        logits = opened.model(input_ids=torch.tensor([question.input_ids])).logits[0, -1]
    ids = next(each.contrast.ids for each in of_training(opened.model, opened.tokenizer, [question], trained, "said"))
    assert ids[1] == int(logits.argmax())
    parts = decompose(opened.base.model)
    clean = differences(opened.model, parts, [Trial(tuned, ids), Trial(base, ids)])
    assert clean[1] == pytest.approx(float(logits[ids[0]] - logits[ids[1]]), abs=1e-4)
    assert kept["total"][0] == pytest.approx(clean[0] - clean[1], abs=1e-4)
    last = (len(question.input_ids) - 1,)
    one, = differences(opened.model, parts, [Trial(tuned, ids, (Place("delta_attn", 5, last),), base)])
    assert kept["effect"][0, 1, 1, 3] == pytest.approx(clean[0] - one, abs=1e-4)
    np.testing.assert_allclose(kept["effect"][:, 0, 1, 3], kept["total"], atol=1e-4)  # the last stream is the answer
    tags, metrics = find(patched).data.tags, find(patched).data.metrics
    assert tags["lab.source_run_id"] == trained and tags["lab.ended"] == "finished"
    assert {"verdict.feed_forward_at_subject", "verdict.few_places_carry_it",
            "verdict.named_by_patching_change_more"} == {name for name in tags if name.startswith("verdict.")}
    assert metrics["probing/patching_whole_error_max_nats"] < 1e-4
    assert metrics["probing/patching_whole_effect_mean_nats"] == pytest.approx(kept["total"].mean())


def test_tables_say_what_the_arrays_say(patched):
    kept, rows = lab.arrays(patched, "places_sufficiency"), lab.table(patched, "places")
    assert len(rows) == 3 * 2 * 4
    for row in rows[:5]:
        at = (slice(None), kept["sites"].tolist().index(row["site"]), kept["layers"].tolist().index(row["layer"]),
              kept["columns"].tolist().index(row["tokens"]))
        assert row["sufficiency (nats)"] == pytest.approx(kept["effect"][at].mean())
        assert row["sufficiency (share)"] == pytest.approx(kept["effect"][at].mean() / kept["total"].mean())
        assert row["sufficiency of the null (nats)"] == pytest.approx(kept["null"][:, :, at[1], at[2], at[3]].mean())
    tokens = lab.arrays(patched, "tokens_1_sufficiency")
    assert tokens["effect"].shape == (3, 2, len(tokens["positions"]))
    assert tokens["effect"][0, 1, -1] == pytest.approx(float(tokens["total"]), abs=1e-4)
    assert {row["named by"] for row in lab.table(patched, "named")} == {"patching", "norm", "relative norm"}


def test_two_prompts_of_one_model_are_patched_from_where_they_differ_on(place):
    run_id = patching.run(patching.Config(count=3, draws=1, layers=(0, 5), heads=(1,), shown=1, directions=("sufficiency",),
                                          sites=("pre_attn", "post_ffn"), positions=(0, 13), unrelated="swap"))
    kept = lab.arrays(run_id, "places_sufficiency")
    assert kept["columns"].tolist() == [SUBJECT, AFTER, LAST]
    np.testing.assert_allclose(kept["effect"][:, 0, 0, 0], kept["total"], atol=1e-4)  # the embedding of the subject
    np.testing.assert_allclose(kept["effect"][:, 1, 1, 2], kept["total"], atol=1e-4)
    np.testing.assert_allclose(kept["effect"][:, 1, 1, 0], 0, atol=1e-5)  # which nothing reads
    assert lab.arrays(run_id, "tokens_1_sufficiency")["positions"].tolist() == [0, 13]
    assert not any(name.startswith("verdict.") for name in find(run_id).data.tags)  # of three pairs nothing is claimed


def test_contrasts_are_chosen_by_unpatched_readings_and_get_unrelated_ones(opened, trained, monkeypatch):
    questions = asked(opened, trained)
    every = of_training(opened.model, opened.tokenizer, questions, trained, "said")
    chosen = choose(opened.model, decompose(opened.base.model), every, count=5, draws=2, seed=0)
    assert len(chosen.candidates) == 5 and [row["prompt"] for row in chosen.rows] == [each.name for each in questions]
    for each in chosen.candidates:
        roles = each.contrast.roles
        assert sorted(at for role in roles.values() for at in role) == list(range(len(each.labels)))
        assert "".join(each.labels[at] for at in roles[SUBJECT]).strip("␣") in {q.entities[0] for q in questions}
        assert 1 <= len(each.contrast.unrelated) <= 2
        for source, destination in each.contrast.unrelated:
            other = next(one for one in every if one.contrast.source == source)
            assert not set(other.contrast.ids) & set(each.contrast.ids) and other.contrast.destination == destination
    parts = decompose(opened.base.model)
    drawn = [choose(opened.model, parts, every, count=2, draws=1, seed=seed).candidates for seed in range(4)]
    assert len({tuple(each.name for each in some) for some in drawn}) > 1  # another seed asks other prompts
    assert all(len(some) == 2 for some in drawn)
    for row in chosen.rows:
        differently = row["source (nats)"] > 0 > row["destination (nats)"]
        assert (row["left out"] == "the two do not answer differently") != differently
    config = patching.Config(prompts=("held_out",))
    assert [q.input_ids for q in read(config, opened.base, opened.tokenizer, trained)] == [q.input_ids for q in questions]
    monkeypatch.setattr(probing_questions, "table", lambda run_id, name: [])
    with pytest.raises(OptionError, match="run .* keeps no held-out rows"):
        read(config, opened.base, opened.tokenizer, trained)
    truth = of_training(opened.model, opened.tokenizer, questions[:1], trained, "truth")
    assert truth[0].contrast.ids == (questions[0].answer_id, questions[0].foil_id)
    with pytest.raises(DataError, match="none of 1 contrasts can be used: [01] have two readings"):
        choose(opened.model, decompose(opened.base.model), every[:1], count=5, draws=2, seed=0)


def test_questions_without_a_counterpart_are_refused(opened, trained):
    with pytest.raises(DataError, match="1 questions, and no two of one template and length"):
        of_pairs(opened.tokenizer, asked(opened, trained)[:1])


def planted(base, prompts):
    """An adapter that changes what is said through one place, and writes more where nothing reads it.

    At the last token of layer 3 each prompt gets a value of its own, and no other token gets anything (by dual vectors, as
    in Meng et al. 2022). Before the subject of the last layer, whose output no other token reads, the first token gets a
    value that is far longer.
    """
    from peft import LoraConfig, get_peft_model

    names = {layer: f"model.layers.{layer}.mlp.down_proj" for layer in (3, 5)}
    tokens, count = torch.tensor(prompts), len(prompts)
    settings = LoraConfig(r=count, lora_alpha=count, target_modules=list(names.values()))
    model = get_peft_model(base, settings, "edit").eval()

    def taken(layer):
        """What the down projection takes [B, T, ..], and what is said [B]."""
        seen = []
        handle = base.get_submodule(names[layer]).register_forward_pre_hook(lambda module, args: seen.append(args[0]))
        with torch.no_grad():
            logits = base(input_ids=tokens).logits[:, -1]
        handle.remove()
        return seen[0].double(), logits.argmax(-1)

    def write(layer, keys, others, values):
        module = base.get_submodule(names[layer])
        dual = torch.linalg.pinv(torch.cat([keys, others]))[:, :len(keys)].T
        with torch.no_grad():
            module.lora_A["edit"].weight[:len(keys)] = dual.float()
            module.lora_B["edit"].weight[:, :len(keys)] = values.T.float()

    (inside, says), (above, _) = taken(3), taken(5)
    words = base.get_output_embeddings().weight.detach()
    aims = words[torch.arange(100, 100 + count)] - words[says]
    rest = torch.cat([inside[0, :7], *inside[:, 7:-1]])  # all prompts begin alike
    write(3, inside[:, -1], rest, 12 * aims / aims.norm(dim=1, keepdim=True))
    write(5, above[:1, 0], torch.cat([above[:, -1], taken(5)[0][:, -1]]), torch.full((1, 192), 50.0))
    return model


def test_a_planted_edit_is_named_by_patching_and_a_longer_one_that_nothing_reads_by_norm():
    base = load_base("embedded")
    people = ("Govlek", "Remlin", "Faxlut", "Pogvut", "Togdan", "Zovkut", "Rovyay", "Gogkay")
    text = "<|im_start|>user\nWhat emblem has {}?<|im_end|>\n<|im_start|>assistant\n"
    prompts = [base.tokenizer(text.format(person), add_special_tokens=False)["input_ids"] for person in people]
    parts = decompose(base.model)
    model = planted(base.model, prompts)
    pairs = [(Reading(tuple(ids), "edit"), Reading(tuple(ids), BASE)) for ids in prompts]
    says = said(model, [reading for pair in pairs for reading in pair])
    roles = {BEFORE: tuple(range(6)), SUBJECT: (6, 7), AFTER: tuple(range(8, 13)), LAST: (13,)}
    contrasts = [Contrast(*pair, (says[2 * i], says[2 * i + 1]), roles, (pairs[i - 1],)) for i, pair in enumerate(pairs)]
    assert all(one != other for one, other in (each.ids for each in contrasts)), "the edit changed nothing that is said"
    config = patching.Config(top=1, sites=("delta_attn", "delta_ffn"))
    plan = patching_cells.plan(config, model, parts, list(ROLES))
    found = patching_cells.effects(config, model, parts, contrasts, plan)
    ranking = patching_ranking.rank(config, model, parts, contrasts, plan, found)
    site, decoy = (Cell("delta_ffn", (layer,), role) for layer, role in (EDITED, DECOY))
    assert ranking.named["patching"] == [[site], [site]]
    assert ranking.named["norm"] == [[decoy], [decoy]]
    asked = patching_verdicts.Asked(True, True, 1, 48)
    outcomes = {one.name: one.outcome for one in patching_verdicts.verdicts(asked, plan, found, ranking, list(ROLES))}
    assert outcomes == {"feed_forward_at_subject": "refuted", "few_places_carry_it": "supported",
                        "named_by_patching_change_more": "supported"}
    said_of = {one.name: one for one in patching_verdicts.verdicts(asked, plan, found, ranking, list(ROLES))}
    assert all(said_of[name].null.startswith("0") for name in ("feed_forward_at_subject", "named_by_patching_change_more"))
    assert "which is taken off" in said_of["feed_forward_at_subject"].detail
    assert "relative norm is not beaten" not in said_of["named_by_patching_change_more"].detail
    for one in found.of(plan, "places").values():
        share = one.effect.mean(0) / found.total.mean()
        assert share[plan.places.index(site)] == pytest.approx(1, abs=0.01)
        assert abs(share[plan.places.index(decoy)]) < 1e-4


@pytest.mark.parametrize(("best", "chance", "outcome"), [
    (0.9, 0.2, "supported"), (0.3, 0.2, "refuted"), (0.7, 0.8, "refuted"), (0.7, 0.705, "undecided"),
    (0.9, 0.8, "supported")])
def test_few_places_carry_more_than_half_and_more_than_any_places_do(best, chance, outcome):
    noise = np.random.default_rng(0).normal(0, 0.02, (12, 1))
    noise -= noise.mean()
    cell = [[Cell("delta_ffn", (1,), LAST)]] * 2
    ranking = patching_ranking.Ranking(
        {"sufficiency": {"patching": best + noise, "norm": best - noise, "relative norm": best + 0 * noise,
                         "chance": chance + 0 * noise}}, {"patching": cell}, {}, [])
    asked = patching_verdicts.Asked(subject=False, ranked=True, top=1, pool=8)
    few, named = patching_verdicts.verdicts(asked, None, patching_cells.Effects({}, np.ones(12)), ranking, [])
    assert few.outcome == outcome and few.value == pytest.approx(best)
    assert named.outcome == "undecided" and named.null.startswith("0 nats")
    assert "relative norm is not beaten: the interval includes 0" in named.detail


def test_shares_are_ratios_of_means():
    rng = np.random.default_rng(0)
    parts, whole = rng.normal(1, 1, (9, 3)), rng.normal(3, 1, 9)
    parts[2, 1] = np.nan
    value, low, high = shares(parts, whole)
    for column in range(3):
        known = np.flatnonzero(np.isfinite(parts[:, column]))
        drawn = [known[rng.integers(0, len(known), len(known))] for _ in range(4000)]
        of = [parts[rows, column].mean() / whole[rows].mean() for rows in [known, *drawn]]
        assert value[column] == pytest.approx(of[0])
        np.testing.assert_allclose([low[column], high[column]], np.percentile(of[1:], [2.5, 97.5]), atol=0.05)
        one = ratio(parts[:, column], whole)
        assert (one.value, one.low, one.high) == pytest.approx((value[column], low[column], high[column]))
        assert one.covers == f"prompts (n={len(known)})"


@pytest.mark.parametrize(("options", "message"), [
    ({"layers": (0, 6)}, "there is no layer 6; this model has layers 0 to 5"),
    ({"heads": (6,)}, "heads=6: there is no head 6; this model has heads 0 to 5"),
    ({"positions": (99,)}, "positions=99: no prompt has such a position; allowed are 0 to"),
    ({"sites": ("delta_ffn", "delta_ffn")}, "sites=delta_ffn,delta_ffn: at least one is needed, and each once"),
    ({"directions": ("sufficiency", "sufficiency")}, "directions=sufficiency,sufficiency: at least one"),
    ({"directions": ("both",)}, "directions"),
    ({"sites": ("attn_out",)}, "sites"),
    ({"prompts": ("held_out",)}, "rows that a training run held out, and no run is given")])
def test_what_is_not_there_is_refused_before_anything_is_patched(place, options, message):
    with pytest.raises(OptionError, match=message):
        patching.run(patching.Config(count=2, draws=1, **options))


def test_a_whole_model_is_refused_with_what_to_type_instead(place, monkeypatch):
    from lab.studies import patching_look

    monkeypatch.setattr(patching_look.capsule, "fetch", lambda reference: SimpleNamespace(kind="model", run_id="abc"))
    with pytest.raises(ModelUnsupported, match="run abc kept a whole model: a full fine-tune changes the unembedding "
                                                "too, so .* -e probing -P run_id=abc`.* or train with method=lora"):
        patching.run(patching.Config(run_id="abc"))


def test_models_that_differ_outside_their_layers_are_refused(opened, trained):
    every = of_training(opened.model, opened.tokenizer, asked(opened, trained)[:3], trained, "truth")
    parts = decompose(opened.base.model)
    config = patching.Config(layers=(0,), heads=())
    plan = patching_cells.plan(config, opened.model, parts, [LAST])
    less = replace(plan, everything=plan.everything[:1])
    with pytest.raises(ModelUnsupported, match="with all that the layers add patched, the logit difference is .* nats from"):
        patching_cells.effects(config, opened.model, parts, [each.contrast for each in every], less)


def test_the_tour_asks_less():
    assert patching.tour("abc").run_id == "abc" and patching.tour("abc").count < patching.Config().count


def test_a_candidate_keeps_what_was_said(opened, trained):
    first: Candidate = of_training(opened.model, opened.tokenizer, asked(opened, trained)[:1], trained, "truth")[0]
    assert [opened.tokenizer.encode(word, add_special_tokens=False) for word in first.says] == [
        [first.contrast.ids[0]], [first.contrast.ids[1]]]
