import copy

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import GPT2Config, GPT2LMHeadModel

from lab.adapters.difference import left_out, pairs
from lab.errors import BaseMismatch, ModelUnsupported
from tests import architectures


def saved(model, folder, dtype=torch.float32):
    model.to(dtype).save_pretrained(folder)
    return folder


def changed(model):
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)))
    return model


def qwen2():
    return copy.deepcopy(architectures.model("qwen2"))


def gpt2():
    torch.manual_seed(0)
    return GPT2LMHeadModel(GPT2Config(vocab_size=32, n_embd=12, n_layer=2, n_head=2, n_positions=16))


@pytest.mark.parametrize("make", [gpt2, qwen2], ids=["stored transposed", "linear"])
def test_each_linear_weight_is_read_before_and_after(make, tmp_path):
    base, tuned = make(), changed(make())
    saved(base, tmp_path / "base", torch.bfloat16)
    saved(tuned, tmp_path / "tuned")
    found = pairs(tmp_path / "base", tmp_path / "tuned")
    assert len(found) >= 8 and not any("embed" in pair.name or "lm_head" in pair.name for pair in found)
    for pair in found:
        before, after = pair.read("cpu")
        for weight, model in ((before, base), (after, tuned)):
            expected = model.get_submodule(pair.name).weight.double()
            assert weight.dtype == torch.float64 and weight.equal(expected.T if pair.transposed else expected)
        assert before.shape == pair.shape


def test_what_is_not_compared_is_named(tmp_path):
    from tests.probing import tiny_models

    base = saved(qwen2(), tmp_path / "base")
    assert left_out(base, pairs(base, base)) == ["lm_head.weight", "model.embed_tokens.weight"]
    fused = saved(tiny_models.build("gpt_oss"), tmp_path / "fused")
    names = left_out(fused, pairs(fused, fused))
    assert any("experts" in name for name in names) and not any("q_proj" in name for name in names)


def test_a_base_that_leaves_out_the_head_of_the_names_fits(tmp_path):
    """GPT-2 on the Hub is stored without `transformer.`."""
    saved(gpt2(), tmp_path / "base")
    saved(changed(gpt2()), tmp_path / "tuned")
    file = tmp_path / "base" / "model.safetensors"
    save_file({name.removeprefix("transformer."): each for name, each in load_file(file).items()}, file)
    assert len(pairs(tmp_path / "base", tmp_path / "tuned")) == 8


def test_models_that_do_not_fit_are_refused(tmp_path):
    saved(gpt2(), tmp_path / "base")
    saved(gpt2(), tmp_path / "tuned")
    file = tmp_path / "tuned" / "model.safetensors"
    tensors = load_file(file)
    cut = {**tensors, "transformer.h.0.attn.c_attn.weight": torch.zeros(12, 30)}
    save_file(cut, file)
    with pytest.raises(BaseMismatch, match=r"c_attn.weight is \[12, 36\] in the base and \[12, 30\] in the tuned"):
        pairs(tmp_path / "base", tmp_path / "tuned")
    del cut["transformer.h.0.attn.c_attn.weight"]
    save_file(cut, file)
    with pytest.raises(BaseMismatch, match="and no such tensor in the tuned"):
        pairs(tmp_path / "base", tmp_path / "tuned")
    save_file({"other": torch.zeros(2, 2)}, tmp_path / "base" / "model.safetensors")
    with pytest.raises(ModelUnsupported, match="stores none of the linear modules of its layers under their own names"):
        pairs(tmp_path / "base", tmp_path / "tuned")


def test_pickled_weights_are_refused(tmp_path):
    saved(gpt2(), tmp_path / "base")
    (tmp_path / "base" / "model.safetensors").rename(tmp_path / "base" / "pytorch_model.bin")
    with pytest.raises(ModelUnsupported, match="keeps its weights as pickles .*; save them again as safetensors"):
        pairs(tmp_path / "base", tmp_path / "base")
