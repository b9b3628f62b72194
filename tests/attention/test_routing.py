"""How the lab gets into a model's attention, that it leaves no trace, and what it refuses to read."""

import copy

import pytest
import torch

from lab.attention.measure import measure
from lab.attention.per_query import per_query
from lab.attention.routing import NAME, attend, attention_layers, listen, routes
from lab.attention.visibility import Visibility
from lab.errors import ModelUnsupported
from tests import architectures as reference

ROWS = reference.prompts()


def implementations(model):
    """The attention function that each part of a model is told to call."""
    return [module.config._attn_implementation for module in model.modules() if hasattr(module, "config")]


def built(name, **changes):
    """A tiny model as `reference.model` makes it, with other settings."""
    from transformers import AutoConfig, AutoModelForCausalLM

    kind, usual = reference.CONFIGURATIONS[name]
    torch.manual_seed(0)
    return AutoModelForCausalLM.from_config(AutoConfig.for_model(kind, **{**reference.COMMON, **usual, **changes})).eval()


@pytest.mark.parametrize("name", ["llama", "gemma2", "gpt2", "qwen3_moe", "bloom", "falcon", "gpt_neo"])
@pytest.mark.parametrize("kind", ["sdpa", "eager"])
def test_logits_are_the_ordinary_ones_and_no_setting_is_left_changed(name, kind):
    model = copy.deepcopy(reference.model(name))
    model.config._attn_implementation = kind
    before, eager = implementations(model), reference.runs(name, tuple(ROWS[0].tolist()))[1]
    ordinary = model(ROWS).logits
    measured = measure(model, ROWS, keep_logits=True)
    torch.testing.assert_close(measured.logits[0].double(), eager, atol=1e-4, rtol=1e-4)
    assert implementations(model) == before
    assert torch.equal(model(ROWS).logits, ordinary)


@pytest.mark.parametrize("name", ["llama", "bloom", "falcon"])
def test_no_setting_is_left_changed_after_an_exception(name):
    model = reference.model(name)
    before, hooks = implementations(model), [len(module._forward_hooks) for module in model.modules()]

    def fail(layer, pattern):
        assert implementations(model)[0] == (NAME if name == "llama" else "eager")
        raise KeyError("on purpose")

    with pytest.raises(KeyError, match="on purpose"), listen(model, fail, routed=name == "llama"):
        model(input_ids=ROWS)
    assert implementations(model) == before
    assert hooks == [len(module._forward_hooks) for module in model.modules()]
    measure(model, ROWS)


def test_each_part_of_a_model_gets_back_its_own_setting():
    from transformers import AutoConfig, AutoModelForImageTextToText

    text = AutoConfig.for_model("gemma3_text", **reference.COMMON, head_dim=16)
    vision = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "image_size": 16,
              "patch_size": 8}
    config = AutoConfig.for_model("gemma3", text_config=text.to_dict(), vision_config=vision, mm_tokens_per_image=1)
    model = AutoModelForImageTextToText.from_config(config).eval()
    model.set_attn_implementation({"text_config": "eager", "vision_config": "sdpa", "": "sdpa"})
    before = implementations(model)
    assert set(before) == {"eager", "sdpa"}
    assert not measure(model, ROWS).statistics["entropy"].isnan().any()
    assert implementations(model) == before


def test_scores_are_made_in_float32_under_autocast_too():
    held, found = [], []

    def keep(layer, pattern):
        held.append(pattern)
        found.append(per_query(pattern, ROWS, 1))
        return found[-1].output

    with torch.autocast("cpu", torch.bfloat16), listen(reference.model("llama"), keep), torch.no_grad():
        reference.model("llama")(ROWS, use_cache=False)
    for pattern, each in zip(held, found, strict=True):
        assert torch.equal(each.entropy, per_query(pattern, ROWS, 1).entropy)


def test_another_model_may_be_measured_in_the_middle():
    model, others, found = reference.model("llama"), [], []

    def keep(layer, pattern):
        others.append(measure(reference.model("qwen2"), ROWS).statistics["entropy"])
        found.append(per_query(pattern, ROWS, 1))
        return found[-1].output

    with listen(model, keep), torch.no_grad():
        logits = model(ROWS, use_cache=False).logits
    torch.testing.assert_close(logits, model(ROWS).logits, atol=1e-4, rtol=1e-4)
    assert len(found) == 2
    assert all(torch.equal(each, measure(reference.model("qwen2"), ROWS).statistics["entropy"]) for each in others)


def test_routes_is_asked_of_the_model_under_an_adapter_too():
    assert routes(reference.tuned("llama"))
    assert not routes(reference.tuned("bloom"))


def test_a_layer_that_attends_twice():
    with pytest.raises(ModelUnsupported, match="layer 0 of DiffLlamaForCausalLM attended 2 times in one forward pass"):
        measure(built("diffllama"), ROWS)


def test_a_mask_made_by_the_model():
    with pytest.raises(ModelUnsupported, match="DogeForCausalLM makes something else of its attention mask"):
        measure(built("doge"), ROWS)


def test_other_errors_of_a_model_are_not_taken_for_that(monkeypatch):
    model = copy.deepcopy(reference.model("llama"))

    def fail(module, args):
        raise TypeError("something else")

    model.model.layers[1].mlp.register_forward_pre_hook(fail)
    with pytest.raises(TypeError, match="something else"):
        routes(model)


def test_a_bias_that_the_lab_does_not_know():
    module, shape = reference.model("llama").model.layers[0].self_attn, (1, 4, 3, 16)
    heads = [torch.zeros(shape) for _ in range(3)]
    mask = Visibility(3, 3, 1, None)
    with listen(reference.model("llama"), lambda layer, pattern: torch.zeros(1, 3, 4, 16)):
        with pytest.raises(ModelUnsupported, match="LlamaAttention attends by position_bias as well"):
            attend(module, *heads, mask, position_bias=torch.zeros(1), position_ids=torch.zeros(1))
        with pytest.raises(ModelUnsupported, match="LlamaAttention gets Tensor for an attention mask"):
            attend(module, *heads, torch.zeros(1, 1, 3, 3))
        with pytest.raises(ModelUnsupported, match="LlamaAttention gets NoneType for an attention mask"):
            attend(module, *heads, None)
        with pytest.raises(ModelUnsupported, match="attends from 3 queries to 3 keys under a mask of 3 by 2"):
            attend(module, *heads, Visibility(3, 2, 1, None))
        with pytest.raises(ModelUnsupported, match="Linear attends outside the layers"):
            attend(torch.nn.Linear(1, 1), *heads, mask)
        reference.model("llama")(ROWS[:1, :3])


def test_a_model_whose_softmax_layers_do_not_all_route():
    model = copy.deepcopy(reference.model("llama"))
    model.model.layers[1].self_attn.forward = lambda hidden_states, **_: (hidden_states, None)
    with pytest.raises(ModelUnsupported, match="layer 1 of LlamaForCausalLM attended 0 times"):
        routes(model)
    with pytest.raises(ModelUnsupported, match="its attention layers .by index. reported so often: {0: 1, 1: 0}"):
        measure(model, ROWS, routed=True)


def test_a_model_without_softmax_attention():
    with pytest.raises(ModelUnsupported, match="Lfm2ForCausalLM: no layer of it has softmax attention"):
        measure(built("lfm2", layer_types=["conv", "conv"]), ROWS)


@pytest.mark.parametrize(("name", "layers"), [("llama", [0, 1]), ("lfm2", [1]), ("qwen3_next", [1])])
def test_attention_layers(name, layers):
    assert attention_layers(reference.model(name)) == layers


def test_an_attention_module_that_is_none_is_none():
    model = copy.deepcopy(reference.model("llama"))
    model.model.layers[0].self_attn = None
    assert attention_layers(model) == [1]
