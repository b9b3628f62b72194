"""Direct and inherited change, output change and what any comparison keeps to; divergence itself: test_architectures.py."""

import copy

import pytest
import torch

from lab.attention.compare import compare
from lab.attention.divergence import divergence
from lab.attention.measure import measure
from lab.attention.per_query import per_query
from lab.attention.routing import listen
from lab.errors import ModelUnsupported, OptionError
from lab.models import anatomy
from lab.models.batch import forward, inputs
from lab.models.quantization import hold_still
from tests import architectures as reference
from tests.architectures import ADAPTERS, LENGTH

ROWS = reference.prompts()
SHORT = [ROWS[0][:LENGTH - 3], ROWS[1][:23]]
TOKENS, REAL = reference.padded(SHORT, "left")


@pytest.mark.parametrize("name", ["llama", "gemma3", "gpt2", "gpt_oss", "deepseek_v3", "bloom", "falcon_alibi", "gptj"])
def test_direct_and_inherited_change_are_those_of_layers_called_apart(name):
    """Two adapters and padding: rows of the exchanged batch lie in another order than those of the usual one."""
    compared = compare(reference.tuned(name), ADAPTERS, TOKENS, REAL)
    double = reference.exactly_tuned(name)
    for index, row in enumerate(SHORT):
        for number, adapter in enumerate(ADAPTERS):
            on = {(inputs, weights): reference.crossed(double, row, inputs, weights)
                  for inputs in (None, adapter) for weights in (None, adapter)}
            for layer in range(2):
                base, direct, inherited, tuned = (on[pair][layer] for pair in (
                    (None, None), (None, adapter), (adapter, None), (adapter, adapter)))
                for found, pairs in ((compared.direct, ((base, direct), (inherited, tuned))),
                                     (compared.inherited, ((base, inherited), (direct, tuned)))):
                    expected = sum(reference.divergence(*pair) for pair in pairs) / 2
                    torch.testing.assert_close(found[number, index, layer], expected, atol=1e-6, rtol=1e-3)
    assert torch.equal(compared.inherited[:, :, 0], torch.zeros_like(compared.inherited[:, :, 0]))
    assert bool((compared.inherited[:, :, 1] > 1e-6).all() and (compared.direct > 1e-6).all())


def test_nothing_changes_by_asking_for_direct_change():
    whole, plain = (compare(reference.tuned("gemma3"), ADAPTERS, TOKENS, REAL, decompose=each) for each in (True, False))
    assert plain.direct is None
    assert plain.inherited is None
    assert torch.equal(whole.divergence, plain.divergence)
    assert torch.equal(whole.output_change, plain.output_change)


def test_the_order_and_number_of_adapters_do_not_matter():
    tuned = reference.tuned("qwen3")
    both, turned, alone = (compare(tuned, names, TOKENS, REAL) for names in (ADAPTERS, ADAPTERS[::-1], ADAPTERS[1:]))
    for name in ("divergence", "direct", "inherited", "output_change"):
        torch.testing.assert_close(getattr(both, name), getattr(turned, name).flip(0), atol=1e-9, rtol=1e-5)
        torch.testing.assert_close(getattr(both, name)[1:], getattr(alone, name), atol=1e-9, rtol=1e-5)


def test_base_rows_are_the_base_and_tuned_rows_the_merged_model():
    tuned = reference.tuned("llama")
    compared = compare(tuned, ADAPTERS, TOKENS, REAL)
    merged = copy.deepcopy(tuned)
    merged.set_adapter("strong")
    for own, other in ((compared.base, measure(reference.model("llama"), TOKENS, REAL)),
                       ({name: each[0] for name, each in compared.tuned.items()},
                        measure(merged.merge_and_unload(), TOKENS, REAL))):
        for name, each in own.items():
            torch.testing.assert_close(each, other.statistics[name], atol=1e-5, rtol=1e-5, equal_nan=True)


def test_swapping_base_and_tuned_leaves_divergence_unchanged():
    """The merged model as base, with the adapter taken off again, differs by rounding of its weights only."""
    forward = reference.with_adapters(reference.model("llama"), ("strong",))
    backward = copy.deepcopy(forward)
    backward.merge_adapter()
    merged = copy.deepcopy(backward.unload())
    other = reference.with_adapters(merged, ("strong",))
    with torch.no_grad():
        for (path, weight), source in zip(other.named_parameters(), forward.parameters(), strict=True):
            if "lora_" in path:
                weight.copy_(-source if "lora_B" in path else source)
    one, two = compare(forward, ["strong"], TOKENS, REAL), compare(other, ["strong"], TOKENS, REAL)
    torch.testing.assert_close(one.divergence, two.divergence, atol=1e-7, rtol=1e-4)
    torch.testing.assert_close(one.direct, two.direct, atol=1e-7, rtol=1e-4)
    torch.testing.assert_close(one.inherited, two.inherited, atol=1e-7, rtol=1e-4)


def test_swapping_patterns_of_a_model_leaves_divergence_exactly_unchanged():
    kept = []

    def keep(layer, pattern):
        kept.append(pattern)
        return torch.zeros(len(ROWS), LENGTH, reference.HEADS, pattern.value_width)

    for name in ("gpt_oss", "qwen3_moe"):
        model = reference.model(name)
        with listen(model, keep), torch.no_grad():
            model(ROWS, use_cache=False)
        one, two = kept[-2:]
        two = copy.copy(one).of_rows(torch.tensor([1, 0]))
        assert torch.equal(divergence(one, two), divergence(two, one))
        assert bool((divergence(one, two) > 0.01).all())


def test_output_change_is_the_relative_norm_of_the_change():
    """gpt2's heads lie side by side in what its output projection gets, which a hook can read in separate forwards."""
    tuned = reference.exactly_tuned("gpt2")
    compared = compare(reference.tuned("gpt2"), ["strong"], TOKENS, REAL)
    seen = {}
    layers = anatomy.layers(tuned)
    for adapter in (None, "strong"):
        handles = [layer.attn.c_proj.register_forward_pre_hook(
            lambda module, args, at=(adapter, index): seen.update({at: args[0].unflatten(-1, (reference.HEADS, -1))}))
            for index, layer in enumerate(layers)]
        with reference.under(tuned, adapter):
            reference.run(tuned.get_base_model(), SHORT[1])
        for handle in handles:
            handle.remove()
    for layer in range(2):
        base, other = (seen[adapter, layer][0] for adapter in (None, "strong"))
        expected = ((other - base).square().sum((0, 2)) / base.square().sum((0, 2))).sqrt()
        torch.testing.assert_close(compared.output_change[0, 1, layer], expected, atol=1e-6, rtol=1e-5)


def test_outputs_are_unknown_where_they_are_not_handed_over():
    assert compare(reference.tuned("bloom"), ["weak"], ROWS).output_change.isnan().all()


def test_one_token_and_one_prompt():
    compared = compare(reference.tuned("llama"), ["strong"], ROWS[:1, :1])
    assert torch.equal(compared.divergence, torch.zeros_like(compared.divergence))
    assert bool((compared.output_change > 0).all())


def test_afterwards_the_model_is_as_before():
    tuned = reference.tuned("gemma2")
    before = tuned(ROWS).logits
    hooks = sum(len(module._forward_pre_hooks) + len(module._forward_hooks) for module in tuned.modules())
    compare(tuned, ADAPTERS, TOKENS, REAL)
    with pytest.raises(IndexError):
        compare(tuned, ADAPTERS, ROWS + reference.VOCABULARY)
    assert torch.equal(tuned(ROWS).logits, before)
    assert hooks == sum(len(module._forward_pre_hooks) + len(module._forward_hooks) for module in tuned.modules())


def test_no_adapter():
    with pytest.raises(OptionError, match="no adapter is named; name at least one"):
        compare(reference.tuned("llama"), [], ROWS)


def test_an_adapter_that_is_not_there():
    with pytest.raises(ModelUnsupported, match="adapter other is not on this model.*strong, weak"):
        compare(reference.tuned("llama"), ["other"], ROWS)


def test_several_streams_cannot_be_exchanged_by_row():
    tuned = reference.tuned("llama")

    def spread(layer, args):
        return (args[0][None].expand(3, *args[0].shape), *args[1:])

    handle = anatomy.layers(tuned)[0].register_forward_pre_hook(spread)
    try:
        with pytest.raises(ModelUnsupported, match="takes a tensor of shape .3, 6, 40, 64. for 6 rows of 40 tokens"):
            compare(tuned, ADAPTERS, ROWS, routed=True)
    finally:
        handle.remove()


def in_nf4(folder):
    """A tiny PEFT model on a base in NF4, which bitsandbytes wants in widths of whole blocks of 64."""
    from peft import LoraConfig, get_peft_model
    from transformers import AutoConfig, AutoModelForCausalLM, BitsAndBytesConfig

    torch.manual_seed(0)
    config = AutoConfig.for_model("qwen2", **{**reference.COMMON, "intermediate_size": 128, "initializer_range": 0.2})
    AutoModelForCausalLM.from_config(config, dtype=torch.float32).save_pretrained(folder)
    base = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, quantization_config=BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=torch.float32), device_map={"": "cpu"})
    hold_still(base)
    settings = LoraConfig(r=4, target_modules="all-linear", init_lora_weights=False)
    return get_peft_model(base, settings, "one").eval()


def test_rows_on_a_base_in_nf4_equal_separate_forwards(tmp_path):
    tuned, patterns, own = in_nf4(tmp_path), [], []
    assert "4bit" in type(anatomy.layers(tuned)[0].self_attn.q_proj).__name__
    compared = compare(tuned, ["one"], TOKENS, REAL)

    def keep(layer, pattern):
        patterns.append(pattern)
        return per_query(pattern, TOKENS, 1).output

    for adapter in (None, "one"):
        with reference.under(tuned, adapter), torch.no_grad():
            own.append(measure(tuned, TOKENS, REAL).statistics)
            with listen(tuned, keep):
                forward(tuned, inputs(tuned, TOKENS, REAL), keep_logits=False)
    for name, each in own[0].items():
        torch.testing.assert_close(compared.base[name], each, atol=1e-5, rtol=1e-5, equal_nan=True)
        torch.testing.assert_close(compared.tuned[name][0], own[1][name], atol=1e-5, rtol=1e-5, equal_nan=True)
    for layer in range(2):
        expected = divergence(patterns[layer], patterns[layer + 2])
        torch.testing.assert_close(compared.divergence[0, :, layer], expected, atol=1e-7, rtol=1e-4)
    assert bool((compared.divergence > 1e-5).all() and (compared.direct > 1e-5).all())
