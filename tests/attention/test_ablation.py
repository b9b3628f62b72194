"""Ablated heads are gone and nothing else is: what is left equals the model with those heads replaced by hand."""

import copy

import pytest
import torch
from transformers.pytorch_utils import Conv1D

from lab.attention.ablation import ablated, mean_outputs
from lab.attention.named_heads import spans
from lab.attention.per_query import per_query
from lab.attention.routing import listen
from lab.errors import ModelUnsupported, OptionError
from lab.models import anatomy
from lab.models.anatomy import output_projection
from tests import architectures as reference

TOKENS = reference.prompts()


@torch.no_grad()
def logits(model, tokens=TOKENS, **changes):
    return model(input_ids=tokens, use_cache=False, **changes).logits


def without(name, layer, heads):
    """A copy of the model whose output projection does not read some heads."""
    model = copy.deepcopy(reference.model(name))
    projection = output_projection(model, layer)
    inputs_first = projection.weight if isinstance(projection, Conv1D) else projection.weight.T
    with torch.no_grad():
        inputs_first.unflatten(0, (reference.HEADS, -1))[heads] = 0
    return model


@pytest.mark.parametrize("name", reference.ROUTED)
def test_what_a_projection_gets_are_the_heads_side_by_side(name):
    model, got, outputs = reference.model(name), {}, {}

    def take(layer, pattern):
        outputs[layer] = per_query(pattern, TOKENS, 1).output
        return outputs[layer]

    handles = [output_projection(model, layer).register_forward_pre_hook(
        lambda module, args, layer=layer: got.update({layer: args[0]})) for layer in range(2)]
    with listen(model, take):
        logits(model)
    for handle in handles:
        handle.remove()
    assert all(torch.equal(got[layer], outputs[layer].flatten(2)) for layer in range(2))


@pytest.mark.parametrize("name", ["llama", "qwen3", "gpt2", "gpt_neox", "phi", "gpt_oss", "deepseek_v3", "bloom", "falcon",
                                  "gptj", "gpt_neo", "mpt", "codegen"])
def test_zero_ablation_is_an_output_projection_that_does_not_read_the_heads(name):
    model = reference.model(name)
    before = logits(model)
    with ablated(model, {1: [2, 0], 0: []}):
        found = logits(model)
    torch.testing.assert_close(found, logits(without(name, 1, [0, 2])), atol=2e-5, rtol=1e-5)
    assert (found - before).abs().max() > 1e-3
    assert torch.equal(logits(model), before)


@pytest.mark.parametrize("name", ["llama", "deepseek_v3", "gpt2"])
def test_mean_ablation_puts_the_reference_mean_in_place(name):
    model, seen = reference.model(name), []
    tokens, real = reference.padded([TOKENS[0], TOKENS[1, :9]], "right")
    means = mean_outputs(model, tokens, real)
    handle = output_projection(model, 0).register_forward_pre_hook(lambda module, args: seen.append(args[0].double()))
    alone = [logits(model, row[None])[0] for row in (TOKENS[0], TOKENS[1, :9])]
    handle.remove()
    expected = torch.cat([part[0] for part in seen]).mean(0).view(reference.HEADS, -1)
    assert len(alone) == 2
    torch.testing.assert_close(means[0], expected, atol=1e-6, rtol=1e-5)
    bias = expected.clone()
    bias[[0, 2, 3]] = 0
    projection = output_projection(model, 0)
    shift = projection(bias.float().flatten()[None]) - projection(torch.zeros(1, bias.numel()))

    def hook(module, args, output):
        return output + shift

    with ablated(model, {0: [1]}, means=means):
        found = logits(model)
    with ablated(model, {0: [1]}):
        handle = projection.register_forward_hook(hook)
        shifted = logits(model)
        handle.remove()
    torch.testing.assert_close(found, shifted, atol=2e-5, rtol=1e-5)


def test_nothing_named_changes_nothing():
    model = reference.model("llama")
    before = logits(model)
    with ablated(model, {}):
        assert torch.equal(logits(model), before)


def test_an_adapters_share_of_the_head_is_ablated_too():
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(0)
    model = get_peft_model(copy.deepcopy(reference.model("llama")), LoraConfig(r=4, target_modules=["o_proj", "q_proj"],
                                                                             init_lora_weights=False)).eval()
    merged = copy.deepcopy(model).merge_and_unload()
    with ablated(model, {0: [3], 1: [0, 1]}), ablated(merged, {0: [3], 1: [0, 1]}):
        found, expected = logits(model), logits(merged)
    torch.testing.assert_close(found, expected, atol=2e-5, rtol=1e-5)
    assert (found - logits(model)).abs().max() > 1e-3


def test_four_bit_projections_are_found():
    bitsandbytes = pytest.importorskip("bitsandbytes")
    model = copy.deepcopy(reference.model("llama"))
    attention = anatomy.attention(anatomy.layers(model)[0])
    attention.o_proj = bitsandbytes.nn.Linear4bit(64, 64, bias=False)
    assert output_projection(model, 0) is attention.o_proj


@pytest.mark.parametrize(("heads", "message"), [
    ({2: [0]}, "layer 2: this model has no such layer; layers with softmax attention are 0-1"),
    ({-1: [0]}, "layer -1: this model has no such layer"),
    ({0: [4]}, "head 4 of layer 0: this model has no such head; there are 0-3"),
    ({0: [1, 1]}, "layer 0: a head is named twice in 1, 1"),
    ({0: []}, "no head is named; name at least one of layers 0-1 and heads 0-3"),
])
def test_heads_that_do_not_exist_are_refused(heads, message):
    with pytest.raises(OptionError, match=message), ablated(reference.model("llama"), heads):
        pass


def test_a_layer_without_softmax_attention_is_refused():
    with (pytest.raises(OptionError, match="layer 0: this model has no softmax attention; layers with .* are 1"),
          ablated(reference.model("lfm2"), {0: [0]})):
        pass


def test_means_have_to_fit():
    model = reference.model("llama")
    for means, found in (({}, "none"), ({0: torch.zeros(3, 16)}, r"\(3, 16\)")):
        with (pytest.raises(OptionError, match=f"means of layer 0: {found} given; needed is a value for each of 4 heads"),
              ablated(model, {0: [0]}, means=means)):
            pass


def test_an_output_projection_of_another_name_or_width_is_not_guessed():
    model = copy.deepcopy(reference.model("llama"))
    attention = anatomy.attention(anatomy.layers(model)[0])
    attention.o_proj = torch.nn.Linear(63, 64)
    with pytest.raises(ModelUnsupported, match=r"heads of LlamaAttention cannot .* 64 inputs.*found: o_proj with 63"):
        output_projection(model, 0)
    del attention.o_proj
    with pytest.raises(ModelUnsupported, match="found: none"):
        output_projection(model, 0)


def test_runs_of_numbers_are_drawn_together():
    assert spans([0, 1, 2, 3, 5, 7, 8]) == "0-3, 5, 7-8"
    assert spans([4]) == "4"
