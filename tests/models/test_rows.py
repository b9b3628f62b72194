"""Adapters switched per row against separate forwards, and what cannot be switched refused by name."""

import copy

import pytest
import torch
from peft import LoraConfig, get_peft_model

from lab.errors import ModelUnsupported
from lab.models.rows import BASE, adapter_rows
from tests.models.conftest import tiny_model

TOKENS = torch.randint(0, 250, (3, 7), generator=torch.Generator().manual_seed(0))
TARGETS = ["q_proj", "v_proj", "o_proj", "down_proj"]


def filled(model):
    """The model with random numbers in every adapter."""
    generator = torch.Generator().manual_seed(1)
    for path, weight in model.named_parameters():
        if "lora_" in path:
            weight.data = torch.randn(weight.shape, generator=generator) * 0.2
    return model.eval()


def adapted(base=None, *, second=None, **settings):
    """A PEFT model with the adapters `one` and `two`."""
    usual = {"r": 2, "target_modules": TARGETS}
    model = get_peft_model(tiny_model().float() if base is None else base, LoraConfig(**{**usual, **settings}), "one")
    model.add_adapter("two", LoraConfig(**{**usual, **(settings if second is None else second)}))
    return filled(model)


def mixture(**changes):
    """A tiny mixture of experts."""
    from transformers import Qwen3MoeConfig, Qwen3MoeForCausalLM

    torch.manual_seed(0)
    return Qwen3MoeForCausalLM(Qwen3MoeConfig(**{
        "vocab_size": 260, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
        "num_key_value_heads": 2, "head_dim": 8, "num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 16,
        **changes}))


@torch.no_grad()
@pytest.mark.parametrize("call", [lambda model: model, lambda model: model.get_base_model()], ids=["peft", "plain"])
@pytest.mark.parametrize("base", [None, mixture()], ids=["qwen3", "experts left out"])
def test_rows_equal_separate_forwards(base, call):
    model = adapted(None if base is None else copy.deepcopy(base), target_modules=TARGETS[:3])
    with adapter_rows(model, ["one", BASE, "two"]):
        mixed = call(model)(TOKENS).logits
    with model.disable_adapter():
        expected = [model(TOKENS).logits]
    for name in ("one", "two"):
        model.set_adapter(name)
        expected.append(model(TOKENS).logits)
    for row, place in enumerate((1, 0, 2)):
        torch.testing.assert_close(mixed[row], expected[place][row], atol=1e-5, rtol=1e-5)
        assert float((mixed[row] - expected[place - 1][row]).abs().max()) > 0.01


@torch.no_grad()
def test_names_may_change_between_layers():
    model = adapted()
    layers = model.get_base_model().model.layers
    with adapter_rows(model, ["one"] * 3) as rows:
        handle = layers[1].register_forward_pre_hook(lambda *_: setattr(rows, "names", ["two"] * 3))
        mixed = model(TOKENS).logits
        handle.remove()
    model.set_adapter("one")
    for path, module in layers[1].named_modules():
        if path.endswith(("q_proj", "v_proj", "o_proj", "down_proj")):
            module.set_adapter("two")
    torch.testing.assert_close(mixed, model(TOKENS).logits, atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_a_layer_that_sees_tokens_without_rows_gets_each_rows_adapter():
    model = adapted(mixture(), target_modules=["q_proj"])
    layer = model.get_base_model().model.layers[0].self_attn.q_proj
    hidden = torch.randn(3, 7, 32)
    with adapter_rows(model, ["one", BASE, "two"]):
        flat, whole = layer(hidden.flatten(0, 1)), layer(hidden)
    assert torch.equal(flat.unflatten(0, (3, 7)), whole)


@torch.no_grad()
def test_afterwards_adapters_are_as_before():
    model = adapted()
    before = model(TOKENS).logits
    with pytest.raises(KeyError, match="on purpose"), adapter_rows(model, ["two"] * 3):
        raise KeyError("on purpose")
    assert torch.equal(model(TOKENS).logits, before)


def test_rows_that_are_none_of_the_batch():
    model = adapted()
    with pytest.raises(ModelUnsupported, match="Linear gets 3 rows of a batch of 2: tokens of different rows are mixed"), \
            adapter_rows(model, ["one", BASE]):
        model(TOKENS)
    with pytest.raises(ModelUnsupported, match="Linear gets 4 rows of a batch of 2"), adapter_rows(model, ["one", BASE]):
        model(TOKENS[[0, 1, 2, 0]])


def refused(model, match, name="one"):
    with pytest.raises(ModelUnsupported, match=match), adapter_rows(model, [BASE, name]):
        raise AssertionError("not refused")


def test_unknown_adapters():
    refused(adapted(), "adapter three is not on this model, or adapts no linear layer of it; there are one, two", "three")
    refused(tiny_model(), "there are none")


def test_fused_experts():
    parameters = ["mlp.experts.down_proj"]
    refused(adapted(mixture(), target_parameters=parameters, target_modules=["q_proj"]),
            "adapter one adapts .*mlp.experts: tokens of different rows are mixed there .as experts do.*targets that leave")


def test_all_linear_on_a_mixture_with_dense_layers_reaches_its_experts():
    """PEFT 0.21 turns `down_proj` into the experts' fused parameter."""
    refused(adapted(mixture(mlp_only_layers=[0])), "adapter one adapts .*experts: tokens of different rows are mixed")


def test_experts_in_a_list():
    base = tiny_model().float()
    base.model.layers[0].mlp.experts = torch.nn.ModuleList([torch.nn.Linear(32, 32)])
    refused(adapted(base, target_modules=["q_proj", "experts.0"]), r"adapter one adapts .*mlp.experts.0: tokens of differ")


def test_variants():
    refused(adapted(use_dora=True, second={}), "adapter one is a DoraLinearVariant and no plain LoRA.*its merged model")


@pytest.mark.parametrize(("settings", "said"), [
    ({"modules_to_save": ["lm_head"]}, r"modules_to_save=\['lm_head'\]"),
    ({"trainable_token_indices": [3]}, r"trainable_token_indices="),
    ({"bias": "lora_only"}, "bias=lora_only")])
def test_more_than_low_rank_updates(settings, said):
    refused(adapted(**settings, second={}), f"adapter one changes more than its low-rank updates .{said}.*PEFT does not")


@pytest.mark.parametrize("settings", [{"modules_to_save": ["embed_tokens"]}, {"bias": "lora_only"}])
def test_more_than_low_rank_updates_of_an_adapter_that_no_row_is_to_go_through(settings):
    """While it is active, PEFT puts what it saved in the place of the base's for all rows, those of the base too."""
    refused(adapted(**settings, second={}), "adapter one changes more than its low-rank updates", "two")


def test_an_adapter_beside_one_that_cannot_be_switched():
    with adapter_rows(adapted(use_dora=True, second={}), ["two", BASE]):
        pass


def test_merged_and_disabled_adapters():
    model = adapted()
    model.merge_adapter(["two"])
    refused(model, r"adapters are merged, so that rows cannot differ; call model.unmerge_adapter\(\) first")
    model.unmerge_adapter()
    model.base_model.disable_adapter_layers()
    refused(model, r"adapters are disabled, so that rows cannot differ; call model.enable_adapter_layers\(\) first")
    model.enable_adapter_layers()
    with adapter_rows(model, ["one", BASE]):
        pass
