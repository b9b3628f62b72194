import copy

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import GPT2Config, GPT2LMHeadModel

from lab.adapters.modules import check_plain, modules, update_of, weight_of
from lab.adapters.places import places
from lab.errors import ModelUnsupported
from tests import architectures

pytestmark = [pytest.mark.filterwarnings("ignore:fan_in_fan_out"), pytest.mark.filterwarnings("ignore:The following rank")]


def tuned(model, **settings):
    adapted = get_peft_model(model, LoraConfig(**{"r": 3, "lora_alpha": 7, "target_modules": "all-linear", **settings}))
    for module in adapted.modules():
        if "default" in getattr(module, "lora_B", {}):
            torch.nn.init.normal_(module.lora_B["default"].weight, std=0.3)
    return adapted.eval()


def qwen2():
    return copy.deepcopy(architectures.model("qwen2"))


def gpt2():
    return GPT2LMHeadModel(GPT2Config(vocab_size=32, n_embd=12, n_layer=2, n_head=2, n_positions=16))


@pytest.mark.parametrize("make", [gpt2, qwen2], ids=["stored transposed", "linear"])
@pytest.mark.parametrize("settings", [{}, {"use_rslora": True}, {"rank_pattern": {"c_fc": 1, "q_proj": 2}}])
def test_weight_and_update_add_up_to_the_merged_weight(make, settings):
    model = tuned(make(), **settings)
    layers = modules(model, "default")
    sums = {name: weight_of(layer).double() + dense(update_of(layer, "default")) for name, layer in layers.items()}
    turned = {name: getattr(layer, "fan_in_fan_out", False) for name, layer in layers.items()}
    merged = model.merge_and_unload()
    assert len(sums) >= 8
    for name, expected in sums.items():
        weight = merged.get_submodule(name).weight
        torch.testing.assert_close((weight.T if turned[name] else weight).double(), expected, rtol=0, atol=1e-5)


def dense(update):
    return update.left @ torch.diag(update.values) @ update.right.T


def test_names_are_the_bases_own_and_have_places():
    layers = modules(tuned(gpt2()), "default")
    assert "transformer.h.0.attn.c_attn" in layers
    assert {layer for layer, _ in places(list(layers))[0].values()} == {0, 1}


@pytest.mark.parametrize("settings, complaint", [
    ({"use_dora": True}, "has DoraLinearVariant in"), ({"bias": "lora_only"}, "has bias=lora_only"),
    ({"modules_to_save": ["lm_head"]}, "has modules_to_save")])
def test_more_than_products_is_refused(settings, complaint):
    with pytest.raises(ModelUnsupported, match=complaint):
        check_plain(tuned(copy.deepcopy(architectures.model("qwen2")), **settings), "default")


def test_a_name_that_is_not_there_is_refused():
    with pytest.raises(ModelUnsupported, match="the model has no adapter best; it has default"):
        check_plain(tuned(gpt2()), "best")
