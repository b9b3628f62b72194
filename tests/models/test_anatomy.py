"""The same questions to different architectures, answered from configurations and shapes."""

import pytest
import torch
from transformers import (
    Gemma2Config,
    Gemma2ForCausalLM,
    GPT2Config,
    GPT2LMHeadModel,
    GPTNeoXConfig,
    GPTNeoXForCausalLM,
    OPTConfig,
    OPTForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from lab.errors import ModelUnsupported, OptionError
from lab.models import anatomy


def qwen3():
    return Qwen3ForCausalLM(Qwen3Config(vocab_size=50, hidden_size=16, intermediate_size=32, num_hidden_layers=2,
                                        num_attention_heads=4, num_key_value_heads=2, head_dim=8))


def gpt2():
    return GPT2LMHeadModel(GPT2Config(vocab_size=50, n_positions=16, n_embd=16, n_layer=3, n_head=2))


def neox():
    return GPTNeoXForCausalLM(GPTNeoXConfig(vocab_size=50, hidden_size=16, num_hidden_layers=2, num_attention_heads=2,
                                            intermediate_size=32, max_position_embeddings=16))


def opt():
    return OPTForCausalLM(OPTConfig(vocab_size=50, hidden_size=16, num_hidden_layers=2, num_attention_heads=2,
                                    ffn_dim=32, max_position_embeddings=16, word_embed_proj_dim=16))


def gemma2():
    return Gemma2ForCausalLM(Gemma2Config(vocab_size=50, hidden_size=16, intermediate_size=32, num_hidden_layers=2,
                                          num_attention_heads=4, num_key_value_heads=2, head_dim=8))


@pytest.mark.parametrize(("make", "leaves", "count", "heads", "kv", "dim"), [
    (qwen3, "down_proj gate_proj k_proj o_proj q_proj up_proj v_proj", 2, 4, 2, 8),
    (gpt2, "c_attn c_fc c_proj", 3, 2, 2, 8),
    (neox, "dense dense_4h_to_h dense_h_to_4h query_key_value", 2, 2, 2, 8),
    (gemma2, "down_proj gate_proj k_proj o_proj q_proj up_proj v_proj", 2, 4, 2, 8),
])
def test_one_vocabulary(make, leaves, count, heads, kv, dim):
    model = make()
    assert anatomy.target_names(model, "all-linear") == leaves.split()
    assert anatomy.n_layers(model) == count == len(anatomy.layers(model))
    assert (anatomy.n_heads(model), anatomy.n_key_value_heads(model), anatomy.head_dim(model)) == (heads, kv, dim)
    assert anatomy.width(model) == model.get_input_embeddings().weight.shape[1]
    for index, layer in enumerate(anatomy.layers(model)):
        inside = {id(module) for module in layer.modules()}
        for linear in anatomy.linear_modules(model):
            assert (id(model.get_submodule(linear.name)) in inside) == (linear.layer == index)
        for part, role in ((anatomy.attention(layer), "attention"), (anatomy.feed_forward(layer), "feed_forward")):
            within = {id(module) for module in part.modules()}
            names = {linear.role for linear in anatomy.linear_modules(model)
                     if id(model.get_submodule(linear.name)) in within}
            assert names == {role}


@pytest.mark.parametrize("make", [qwen3, gpt2, neox, opt, gemma2])
def test_all_linear_is_what_peft_means_by_it(make):
    from peft import LoraConfig, get_peft_model

    names = anatomy.target_names(make(), "all-linear")
    sizes = []
    for targets in (names, "all-linear"):
        adapted = get_peft_model(make(), LoraConfig(r=2, target_modules=targets, task_type="CAUSAL_LM"))
        sizes.append({name: p.shape for name, p in adapted.named_parameters() if p.requires_grad})
    assert sizes[0] == sizes[1]


def test_widths_are_those_of_the_map():
    for linear in anatomy.linear_modules(gpt2()):
        assert gpt2().get_submodule(linear.name)(torch.zeros(linear.inputs)).shape == (linear.outputs,)


def test_an_adapter_does_not_change_the_answers():
    from peft import LoraConfig, get_peft_model

    plain = anatomy.linear_modules(qwen3())
    adapted = get_peft_model(qwen3(), LoraConfig(r=2, target_modules=["q_proj"], task_type="CAUSAL_LM"))
    assert anatomy.linear_modules(adapted) == plain
    assert anatomy.n_layers(adapted) == 2


def test_targets_by_last_part_and_by_path():
    model = qwen3()
    assert anatomy.target_names(model, "v_proj, q_proj") == ["q_proj", "v_proj"]
    assert anatomy.target_names(model, "layers.1.mlp.up_proj") == ["layers.1.mlp.up_proj"]


@pytest.mark.parametrize(("targets", "words"), [
    ("q_proj,v_prj", "no linear module 'v_prj'; did you mean v_proj.*There are: down_proj, gate_.*targets=all-linear"),
    ("query", "no linear module 'query'"),
    ("q_proj,", "no linear module ''"),
    ("lm_head", "no linear module 'lm_head'"),
    ("proj", "no linear module 'proj'"),
    ("q_proj,q_proj", "a name is repeated"),
])
def test_targets_that_are_not_there(targets, words):
    with pytest.raises(OptionError, match=words):
        anatomy.target_names(qwen3(), targets)


def test_an_architecture_that_is_not_known():
    with pytest.raises(ModelUnsupported, match="Linear: its layers are at none of model.layers"):
        anatomy.layers(torch.nn.Linear(1, 1))
    with pytest.raises(ModelUnsupported, match="Linear has no attention module under self_attn"):
        anatomy.attention(torch.nn.Linear(1, 1))
    with pytest.raises(ModelUnsupported, match="Linear has no feed-forward module under mlp"):
        anatomy.feed_forward(torch.nn.Linear(1, 1))
