"""Effects of patches on logit differences: batches, both directions, the null, and a planted edit that has to be found."""

import copy

import numpy as np
import pytest
import torch

from lab.errors import OptionError
from lab.models.batch import inputs
from lab.models.rows import BASE
from lab.probing.capture import capture
from lab.probing.decomposition import decompose
from lab.probing.patching import Place
from lab.probing.patching_effects import NECESSITY, SUFFICIENCY, SWAP, Cell, Contrast, measure
from lab.probing.patching_norms import norms
from lab.probing.patching_null import beyond_unrelated
from lab.probing.patching_trials import Reading, Trial, differences, kept_readings, said
from tests import architectures
from tests.probing.test_patching import multiplied

pytestmark = pytest.mark.usefixtures("one_thread")
IDS = (7, 11)
BLOCKS = ("delta_attn", "delta_ffn")
CELLS = [[Cell(site, (layer,), role)] for site in BLOCKS for layer in (0, 1) for role in ("early", "late")]
ROLES = {"early": (0, 1, 2), "late": (5,), "none": ()}


def readings(count, length=6, seed=0, model=None):
    return [Reading(tuple(row.tolist()), model) for row in architectures.prompts(count, length, seed)]


def contrasts(count=4, draws=2):
    """Base and tuned readings of the same prompts, each with the next ones as unrelated."""
    pairs = [(Reading(each.tokens, "strong"), each) for each in readings(count, model=BASE)]
    return [Contrast(*pairs[i], IDS, ROLES, tuple(pairs[(i + n) % count] for n in range(1, draws + 1)))
            for i in range(count)]


def adapted():
    model = architectures.tuned("llama")
    return model, decompose(model.get_base_model())


def alone(model, reading):
    """Logit difference of one clean reading, by the model's own call."""
    with torch.no_grad(), architectures.under(model, None if reading.model == BASE else reading.model):
        logits = model.get_base_model()(input_ids=torch.tensor([reading.tokens])).logits[0, -1].double()
    return float(logits[IDS[0]] - logits[IDS[1]])


def test_trials_of_several_lengths_give_the_same_whatever_shares_their_batch():
    model, parts = adapted()
    short, long = readings(2, 5, model=BASE), readings(2, 8, model="strong")
    trials = [Trial(short[0], IDS), Trial(long[0], IDS),
              Trial(short[0], IDS, (Place("delta_attn", 0, (4,)),), short[1]),
              Trial(long[1], IDS, (Place("post_ffn", 1),), long[0]), Trial(long[1], IDS),
              Trial(short[1], IDS, (Place("head", 1, None, 2),), Reading(short[1].tokens, "weak"))]
    together = differences(model, parts, trials)
    np.testing.assert_allclose(together[[0, 1, 4]], [alone(model, each) for each in (short[0], long[0], long[1])], atol=1e-5)
    assert together[3] == pytest.approx(together[1], abs=1e-5) and together[2] != pytest.approx(together[0], abs=1e-3)
    for size in (1, 17, 40):
        np.testing.assert_allclose(differences(model, parts, trials, tokens_at_once=size), together, atol=1e-5)


def test_forward_passes_are_as_few_as_the_budget_allows():
    model, parts = adapted()
    shapes = []
    handle = model.get_base_model().model.register_forward_pre_hook(
        lambda module, args, kwargs: shapes.append(tuple(kwargs["input_ids"].shape)), with_kwargs=True)
    one, other = readings(2, 6, model=BASE)
    trials = [Trial(one, IDS), *(Trial(one, IDS, (Place("delta_ffn", 0, (at,)),), other) for at in range(6))]
    differences(model, parts, trials)
    assert shapes == [(8, 6)]  # both clean readings and six patched rows
    shapes.clear()
    differences(model, parts, trials, tokens_at_once=24)
    handle.remove()
    assert [rows for rows, _ in shapes] == [4, 4, 2] and all(rows * length <= 24 for rows, length in shapes)


def test_effects_are_what_patched_readings_gain_or_lose_and_everything_is_the_whole():
    model, parts = adapted()
    some = contrasts()
    whole = [Cell("pre_attn", (0,)), *(Cell(site, (0, 1)) for site in BLOCKS)]
    one, other = (measure(model, parts, some, [whole, *CELLS], direction) for direction in (SUFFICIENCY, NECESSITY))
    base, tuned = ([alone(model, each) for each in side] for side in zip(*((c.destination, c.source) for c in some),
                                                                        strict=True))
    np.testing.assert_allclose(one.clean, base, atol=1e-5)
    np.testing.assert_allclose(other.clean, tuned, atol=1e-5)
    total = np.subtract(tuned, base)
    np.testing.assert_allclose(one.effect[:, 0], total, atol=1e-5)
    np.testing.assert_allclose(other.effect[:, 0], total, atol=1e-5)
    place = Place("delta_ffn", 1, (5,))
    at = 1 + CELLS.index([Cell("delta_ffn", (1,), "late")])
    expected = differences(model, parts, [Trial(some[1].destination, IDS, (place,), some[1].source),
                                          Trial(some[1].source, IDS, (place,), some[1].destination)])
    assert one.effect[1, at] == pytest.approx(expected[0] - base[1], abs=1e-5)
    assert other.effect[1, at] == pytest.approx(tuned[1] - expected[1], abs=1e-5)


def test_the_null_is_the_patch_of_an_unrelated_contrast_as_change_or_as_swap():
    model, parts = adapted()
    some = contrasts()
    place, at = Place("delta_attn", 0, (5,)), [[Cell("delta_attn", (0,), "late")], [Cell("delta_attn", (0,), "none")]]
    unrelated = some[0].unrelated[1]
    for null, beside in (("change", unrelated[1]), (SWAP, None)):
        found = measure(model, parts, some, at, SUFFICIENCY, null=null)
        expected = differences(model, parts, [Trial(some[0].destination, IDS, (place,), unrelated[0], beside)])
        assert found.null[0, 1, 0] == pytest.approx(expected[0] - found.clean[0], abs=1e-5)
        assert np.isnan(found.effect[:, 1]).all() and np.isnan(found.null[..., 1]).all()
    expected = differences(model, parts, [Trial(some[0].source, IDS, (place,), unrelated[1], unrelated[0])])
    found = measure(model, parts, some, at, NECESSITY)
    assert found.null[0, 1, 0] == pytest.approx(found.clean[0] - expected[0], abs=1e-5)


def test_an_edited_block_of_one_layer_is_found_and_named_first():
    """Planted control: two whole models that differ in one down projection of one layer."""
    base = architectures.model("llama")
    parts, prompts = decompose(base), readings(3)
    keys = []
    handle = base.model.layers[0].mlp.down_proj.register_forward_pre_hook(lambda module, args: keys.append(args[0]))
    with torch.no_grad():
        base(input_ids=torch.tensor([each.tokens for each in prompts]))
    handle.remove()
    edited = copy.deepcopy(base)
    key, aim = keys[0][:, 5].mean(0), base.lm_head.weight[IDS[0]] - base.lm_head.weight[IDS[1]]
    with torch.no_grad():
        edited.model.layers[0].mlp.down_proj.weight.add_(4 * torch.outer(aim, key) / key.pow(2).sum())
    tuned = [Reading(each.tokens, "edited") for each in prompts]
    some = [Contrast(source, destination, IDS, ROLES) for source, destination in zip(tuned, prompts, strict=True)]
    sites = [(layer, site) for layer in (0, 1) for site in BLOCKS]
    plain = kept_readings(edited, parts, [Reading(each.tokens) for each in prompts], sites)
    of_edited = {Reading(each.tokens, "edited"): kept for each, kept in plain.items()}
    of_base = kept_readings(base, parts, prompts, sites)
    cells = [[Cell(site, (layer,))] for layer in (0, 1) for site in BLOCKS] + CELLS
    forth = measure(base, parts, some, cells, SUFFICIENCY, kept=of_edited)
    swapped = [Contrast(Reading(c.source.tokens), Reading(c.source.tokens, "base"), IDS, ROLES) for c in some]
    back = measure(edited, parts, swapped, cells, NECESSITY,
                   kept={Reading(each.tokens, "base"): kept for each, kept in of_base.items()})
    total = back.clean - forth.clean
    assert (total > 1).all()
    whole = cells.index([Cell("delta_ffn", (0,))])
    for found in (forth, back):
        share = found.effect.mean(0) / total.mean()
        assert share[whole] == pytest.approx(1, abs=1e-5)
        assert np.argmax(share[:4]) == whole and np.delete(share[:4], whole).max() < 0.9
        assert CELLS[int(np.argmax(share[4:]))] == [Cell("delta_ffn", (0,), "late")]


def test_norms_are_those_of_captured_activations():
    model = multiplied()
    parts, (one, other) = decompose(model), readings(2)
    given = inputs(model, torch.tensor([one.tokens, other.tokens]))
    values = capture(model, given, parts).values
    kept = kept_readings(model, parts, [one, other], [(layer, site) for layer in (0, 1) for site in BLOCKS])
    absolute, relative = norms(parts, [Contrast(one, other, IDS, ROLES)], [cell for cell, in CELLS], kept)
    for c, (cell,) in enumerate(CELLS):
        source, destination = values[cell.site][cell.layers[0]][:, list(ROLES[cell.role])]
        change = (source - destination).norm(dim=-1)
        assert absolute[0, c] == pytest.approx(float(change.mean()), rel=1e-5)
        assert relative[0, c] == pytest.approx(float((change / destination.norm(dim=-1)).mean()), rel=1e-5)


def test_what_is_said_is_the_likeliest_token():
    model, _ = adapted()
    some = [*readings(2, 5, model=BASE), *readings(1, 7, model="strong")]
    for reading, token in zip(some, said(model, some, tokens_at_once=1), strict=True):
        with torch.no_grad(), architectures.under(model, None if reading.model == BASE else reading.model):
            assert token == int(model.get_base_model()(input_ids=torch.tensor([reading.tokens])).logits[0, -1].argmax())


def test_carrying_cells_are_told_from_unrelated_patches_and_nothing_is_called_too_often():
    rng = np.random.default_rng(0)
    called = []
    for seed in range(200):
        effect, null = rng.lognormal(size=(10, 30)), rng.lognormal(size=(10, 2, 30))
        called.append((beyond_unrelated(effect, null, seed=seed) < 0.05).any())
    assert 0.01 < np.mean(called) < 0.1  # any of 30 cells, where none carries: 5 %
    effect[:, 3] += 8
    effect[:2, 4], null[:2, :, 4] = np.nan, np.nan
    effect[:, 5], null[:, :, 5] = 0, 0
    p = beyond_unrelated(effect, null)
    assert p[3] < 0.01 and np.delete(p, 3).min() > 0.01 and p[5] == 1


def test_a_clean_reading_is_run_by_this_model_even_if_another_ones_was_kept():
    model, other = architectures.model("llama"), architectures.model("mistral")
    parts, (one,) = decompose(model), readings(1)
    kept = kept_readings(other, decompose(other), [one], [(0, "pre_attn")])
    assert differences(model, parts, [Trial(one, IDS)], kept=kept) == differences(model, parts, [Trial(one, IDS)])


def test_what_cannot_be_tried_is_refused():
    model, parts = adapted()
    (one,), (other,) = readings(1, 5, model=BASE), readings(1, 6, model=BASE)
    with pytest.raises(OptionError, match="a source of 6 tokens for a destination of 5"):
        differences(model, parts, [Trial(one, IDS, (Place("pre_attn", 0),), other)])
    with pytest.raises(OptionError, match="trial 0 has places and no source, so that nothing would be patched"):
        differences(model, parts, [Trial(one, IDS, (Place("pre_attn", 0),))])
    with pytest.raises(OptionError, match="tokens_at_once=0: allowed is 1 or more"):
        differences(model, parts, [Trial(one, IDS)], tokens_at_once=0)
