"""Captured activations are the model's own: they add up, are not overwritten, and only what was asked for is kept."""

import gc
import weakref

import pytest
import torch

from lab.errors import ModelUnsupported, OptionError
from lab.models import anatomy
from lab.models.batch import inputs
from lab.models.rows import BASE, adapter_rows
from lab.probing.capture import capture, capturing
from lab.probing.decomposition import decompose
from lab.probing.sites import SITES, check_layers, check_sites
from tests import architectures
from tests.probing import toy

pytestmark = pytest.mark.usefixtures("one_thread")


def taken(model, tokens, real=None, **more):
    return capture(model, inputs(model, tokens, real), decompose(model), **more)


@pytest.mark.parametrize("name", ["llama", "gemma2", "falcon", "bloom", "gpt2"])
def test_sites_are_where_they_say(name):
    model, tokens = architectures.model(name), toy.some_tokens()
    found = taken(model, tokens)
    hidden = model(tokens, output_hidden_states=True).hidden_states
    assert torch.equal(found.values["pre_attn"][0], hidden[0]) and torch.equal(found.values["post_ffn"][0], hidden[1])
    last = found.values["post_ffn"][anatomy.n_layers(model) - 1]
    assert not torch.allclose(last, hidden[-1])  # Transformers gives the last one after the final norm
    assert found.stack("post_attn").shape == (2, anatomy.n_layers(model), toy.TOKENS, anatomy.width(model))


@pytest.mark.parametrize("rule", [toy.writes_into_output, toy.writes_into_input])
def test_writing_in_place_does_not_reach_what_was_captured(rule):
    model, tokens = toy.toy(rule, toy.sequential), toy.some_tokens()
    found = taken(model, tokens)
    layer = model.model.layers[0]
    normed = layer.input_norm(model.model.embed_tokens(tokens))
    assert torch.equal(found.values["pre_attn"][0], model.model.embed_tokens(tokens))
    assert torch.equal(found.values["delta_attn"][0], layer.self_attn(normed))


@pytest.mark.parametrize(("before", "after", "words"), [
    (toy.parallel, toy.writes_into_output, "layer 0 wrote into mlp's output after it was captured"),
    (toy.sequential, toy.writes_into_input, "layer 0 does not close")])
def test_a_layer_that_begins_to_write_in_place_is_refused(before, after, words):
    model, tokens = toy.toy(before), toy.some_tokens()
    found = decompose(model)
    model.model.layers[0].rule = after
    with pytest.raises(ModelUnsupported, match=words):
        capture(model, inputs(model, tokens), found)
    assert not any(module._forward_hooks for module in model.modules())


def test_the_sum_is_checked_in_every_forward_pass():
    model, tokens = toy.toy(toy.sequential, toy.sequential), toy.some_tokens()
    found = decompose(model)
    model.model.layers[1].rule = toy.scaled
    with pytest.raises(ModelUnsupported, match="LlamaForCausalLM: layer 1 does not close"):
        capture(model, inputs(model, tokens), found, layers=[1], sites=["pre_attn"])


def test_a_module_that_no_longer_runs_or_runs_twice():
    model, tokens = toy.toy(toy.sequential), toy.some_tokens()
    found = decompose(model)
    model.model.layers[0].rule = toy.only_mixes
    with pytest.raises(ModelUnsupported, match="layer 0 did not run mlp, which adds to the stream"):
        capture(model, inputs(model, tokens), found)
    model.model.layers[0].rule = lambda layer, x: toy.only_feeds(layer, toy.sequential(layer, x))
    with pytest.raises(ModelUnsupported, match="layer 0 ran mlp twice in one forward pass"):
        capture(model, inputs(model, tokens), found)


def test_many_forward_passes_on_one_set_of_hooks():
    model = architectures.model("gemma2")
    found = decompose(model)
    with capturing(model, found, sites=["delta_attn"]) as take:
        first, second = (take(inputs(model, tokens)) for tokens in (toy.some_tokens(1), toy.some_tokens(3, 9)))
    assert first.stack("delta_attn").shape[:3] == (1, 2, 12) and second.stack("delta_attn").shape[:3] == (3, 2, 9)
    alone = capture(model, inputs(model, toy.some_tokens(3, 9)), found, sites=["delta_attn"])
    assert torch.equal(second.stack("delta_attn"), alone.stack("delta_attn"))


def test_only_asked_for_sites_layers_and_positions_are_kept():
    model, tokens = architectures.model("qwen3"), toy.some_tokens(3)
    whole = taken(model, tokens)
    places = torch.tensor([[0, 5], [3, 3], [11, 1]])
    some = taken(model, tokens, sites=["post_attn", "attn_out"], layers=[1], positions=places)
    assert list(some.values) == ["post_attn", "attn_out"] and list(some.values["post_attn"]) == [1]
    for row, (first, second) in enumerate(places.tolist()):
        for column, position in enumerate((first, second)):
            assert torch.equal(some.values["post_attn"][1][row, column], whole.values["post_attn"][1][row, position])
    same = taken(model, tokens, sites=["post_ffn"], positions=torch.tensor([4]))
    assert torch.equal(same.stack("post_ffn")[:, :, 0], whole.stack("post_ffn")[:, :, 4])


def test_a_reduction_keeps_what_it_returns_and_nothing_else():
    model, tokens = architectures.model("qwen3"), toy.some_tokens()
    whole = taken(model, tokens)
    found = taken(model, tokens, sites=["post_ffn", "delta_ffn"],
                  reduce=lambda layer, at: {"norm": at["post_ffn"].norm(dim=-1), f"only_{layer}": at["delta_ffn"][:, :1, 0]})
    assert torch.equal(found.stack("norm"), whole.stack("post_ffn").norm(dim=-1))
    assert set(found.values) == {"norm", "only_0", "only_1"} and list(found.values["only_1"]) == [1]


def test_rows_of_base_and_adapters_are_what_each_is_alone():
    tuned, tokens = architectures.tuned("gemma2"), toy.some_tokens(1)
    found = decompose(tuned)
    with adapter_rows(tuned, [BASE, "strong"]):
        both = capture(tuned, inputs(tuned, tokens.expand(2, -1)), found, keep_logits=True)
    with tuned.disable_adapter():
        alone = capture(tuned, inputs(tuned, tokens), found)
    for site in SITES:
        torch.testing.assert_close(both.stack(site)[:1], alone.stack(site), atol=1e-5, rtol=1e-5)
    assert (both.stack("delta_attn")[1] - both.stack("delta_attn")[0]).abs().max() > 1e-3
    assert both.logits.shape == (2, toy.TOKENS, architectures.VOCABULARY)


def test_left_padding_changes_nothing_of_real_tokens():
    model, tokens = architectures.model("gpt2"), toy.some_tokens(1)
    padded = torch.cat([torch.zeros(1, 3, dtype=torch.long), tokens], 1)
    real = torch.cat([torch.zeros(1, 3), torch.ones(1, toy.TOKENS)], 1)
    found, expected = taken(model, padded, real).stack("post_ffn"), taken(model, tokens).stack("post_ffn")
    torch.testing.assert_close(found[:, :, 3:], expected, atol=1e-5, rtol=1e-5)


def test_in_inference_mode_too():
    model, tokens = architectures.model("falcon"), toy.some_tokens()
    expected = taken(model, tokens).stack("delta_ffn")
    with torch.inference_mode():
        torch.testing.assert_close(taken(model, tokens).stack("delta_ffn"), expected)


def test_in_bfloat16():
    model = toy.toy(toy.sequential, toy.parallel, dtype=torch.bfloat16)
    found = taken(model, toy.some_tokens())
    assert found.values["post_attn"][1].dtype == torch.bfloat16


def test_names_that_are_not_there():
    model, tokens = architectures.model("gpt_neox"), toy.some_tokens()
    with pytest.raises(OptionError, match=r"sites=post_atn: unknown post_atn; allowed are pre_attn, .*ffn_out"):
        taken(model, tokens, sites=["post_atn"])
    with pytest.raises(OptionError, match="sites=: none is named"):
        check_sites([])
    with pytest.raises(OptionError, match="one is named twice"):
        check_sites(["pre_attn", "pre_attn"])
    with pytest.raises(OptionError, match="layers=9: there is no layer 9; this model has layers 0 to 1"):
        taken(model, tokens, layers=[9])
    with pytest.raises(OptionError, match="none is named"):
        check_layers([], 2)
    with pytest.raises(OptionError, match="one is named twice"):
        check_layers([1, 1], 2)
    with pytest.raises(OptionError, match="position 12: the text has positions 0 to 11"):
        taken(model, tokens, positions=torch.tensor([12]))
    with pytest.raises(OptionError, match="position -1"):
        taken(model, tokens, positions=torch.tensor([-1]))
    with pytest.raises(OptionError, match=r"positions of shape \(3, 1\)"):
        taken(model, tokens, positions=torch.zeros(3, 1))


def test_a_raw_site_that_no_one_module_gives():
    with pytest.raises(ModelUnsupported, match=r"site ffn_out: layers \[0\] have no one module"):
        taken(toy.toy(toy.two_branches), toy.some_tokens(), sites=["ffn_out"])


def test_a_reduction_lets_go_of_each_layer_as_it_ends():
    model, tokens = toy.toy(*[toy.sequential] * 3), toy.some_tokens()
    alive: list = []

    def reduce(layer, at):
        assert not any(each() is not None for each in alive), "activations of the layer before are still held"
        alive[:] = [weakref.ref(at["delta_attn"]), weakref.ref(at["delta_ffn"])]
        return {"length": at["delta_ffn"].norm(dim=-1)}

    taken(model, tokens, sites=["delta_attn", "delta_ffn"], reduce=reduce)
    gc.collect()
    assert not any(each() is not None for each in alive)
