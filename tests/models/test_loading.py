"""Bases in memory: what identifies them, how they compute, and that nothing is guessed."""

import json
import shutil
import time

import pytest
import torch
from safetensors.torch import load_file, save_file

from lab.errors import DependencyMissing, ModelUnsupported, OptionError
from lab.models import loading
from lab.models.fingerprint import fingerprint, fingerprint_of_state_dict
from lab.models.loading import load_base, restore, snapshot, soft_capped


@pytest.fixture
def copy(folder, tmp_path):
    """A copy of the tiny model that may be changed."""
    return shutil.copytree(folder, tmp_path / "copy")


def test_what_identifies_a_base(folder, ids, logits):
    base = load_base(str(folder), device="cpu")
    assert base.fingerprint == fingerprint(folder)
    assert (base.quantization, base.prequantized) == ("none", False)
    assert (base.backend, base.attention) == ("transformers", "sdpa")
    assert (base.placement.device, base.placement.dtype, base.reference.kind) == ("cpu", "float32", "local")
    assert not base.model.training and base.model.dtype == torch.float32
    assert base.model.generation_config.pad_token_id == base.tokenizer.pad_token_id == 259
    stored = {name: tensor.float() for name, tensor in load_file(folder / "model.safetensors").items()}
    assert all(stored[name].equal(tensor) for name, tensor in base.model.state_dict().items() if name in stored)
    assert logits(base.model, ids).isfinite().all()


def test_the_embedded_model_loads_within_a_second():
    load_base("embedded", device="cpu")  # the imports
    began = time.perf_counter()
    base = load_base("embedded", device="cpu")
    assert time.perf_counter() - began < 1
    assert base.reference.resolved == "embedded" and base.tokenizer.chat_template


def test_the_config_hash_is_of_what_is_computed(folder, copy):
    first = loading.config_sha256(folder)
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps({**config, "transformers_version": "0", "dtype": "float32"}))
    assert loading.config_sha256(copy) == first
    (copy / "config.json").write_text(json.dumps({**config, "rms_norm_eps": 1e-5}))
    assert loading.config_sha256(copy) != first


def test_pickled_weights_load_as_the_same_numbers(copy, folder, ids, logits):
    torch.save(load_file(copy / "model.safetensors"), copy / "pytorch_model.bin")
    (copy / "model.safetensors").unlink()
    base, other = load_base(str(copy), device="cpu"), load_base(str(folder), device="cpu")
    assert base.fingerprint == other.fingerprint
    assert logits(base.model, ids).equal(logits(other.model, ids))


class _Evil:
    def __reduce__(self):
        return print, ("code ran",)


def test_code_in_pickled_weights_does_not_run(copy, capsys):
    torch.save({"a": _Evil()}, copy / "pytorch_model.bin")
    (copy / "model.safetensors").unlink()
    with pytest.raises(ModelUnsupported, match="holds code or is broken; give the weights as safetensors"):
        load_base(str(copy), device="cpu")
    assert "code ran" not in capsys.readouterr().out


def test_pickles_of_something_else(tmp_path):
    torch.save({"state": {"a": torch.zeros(1)}}, tmp_path / "pytorch_model.bin")
    with pytest.raises(ModelUnsupported, match="holds something besides named tensors"):
        fingerprint(tmp_path)


def test_missing_weights_are_not_filled_with_random_ones(copy):
    tensors = load_file(copy / "model.safetensors")
    del tensors["model.layers.1.mlp.up_proj.weight"]
    save_file(tensors, copy / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelUnsupported, match="the weights lack.*model.layers.1.mlp.up_proj.weight"):
        load_base(str(copy), device="cpu")


def test_weights_of_another_shape(copy):
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps({**config, "intermediate_size": 48}))
    with pytest.raises(ModelUnsupported, match="up_proj"):
        load_base(str(copy), device="cpu")


@pytest.mark.parametrize("change", [
    {"model_type": "no_such_architecture"},
    {"model_type": "mine", "auto_map": {"AutoConfig": "mine.C", "AutoModelForCausalLM": "mine.M"}},
])
def test_models_that_need_code_of_their_own(copy, change, capsys):
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps({**config, **change}))
    (copy / "mine.py").write_text("print('code ran')")
    with pytest.raises(ModelUnsupported, match="off unless trust_remote_code is asked for"):
        load_base(str(copy), device="cpu")
    assert "code ran" not in capsys.readouterr().out


def test_a_model_that_is_not_causal(copy):
    config = {"model_type": "vit", "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    (copy / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelUnsupported, match="cannot be loaded as a causal language model"):
        load_base(str(copy), device="cpu")


def test_inputs_longer_than_the_model_reads(folder):
    assert load_base(str(folder), device="cpu", max_length=64)
    with pytest.raises(OptionError, match="max_length=65: this model reads at most 64 tokens; type max_length=64"):
        load_base(str(folder), device="cpu", max_length=65)


@pytest.fixture
def capped(tmp_path, tiny):
    """A folder with a tiny Gemma 2 whose attention scores are far above its cap."""
    from transformers import Gemma2Config, Gemma2ForCausalLM

    torch.manual_seed(0)
    model = Gemma2ForCausalLM(Gemma2Config(
        vocab_size=260, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4, head_dim=8,
        num_key_value_heads=2, attn_logit_softcapping=1.0, query_pre_attn_scalar=1, initializer_range=0.7))
    model.save_pretrained(tmp_path / "capped")
    tiny.tokenizer().save_pretrained(tmp_path / "capped")
    return tmp_path / "capped"


def test_a_cap_on_attention_scores_is_kept(capped, ids, logits):
    from transformers import AutoModelForCausalLM

    base = load_base(str(capped), device="cpu")
    assert soft_capped(base.model.config) and base.attention == base.model.config._attn_implementation == "eager"
    by = {name: AutoModelForCausalLM.from_pretrained(capped, attn_implementation=name) for name in ("eager", "sdpa")}
    ours = logits(base.model, ids)
    assert ours.equal(logits(by["eager"], ids))
    assert (ours - logits(by["sdpa"], ids)).abs().max() > 0.1, "the cap does not bite, so the test shows nothing"


def test_a_cap_is_found_in_nested_configurations():
    from transformers import Gemma3Config, Gemma3TextConfig, Qwen3Config

    assert soft_capped(Gemma3Config(text_config=Gemma3TextConfig(attn_logit_softcapping=50.0)))
    assert not soft_capped(Gemma3Config()) and not soft_capped(Qwen3Config())


def test_a_full_fine_tune_is_undone_bit_by_bit(folder, ids, train):
    base = load_base(str(folder), device="cpu")
    before, kept = fingerprint_of_state_dict(base.model.state_dict()), snapshot(base)
    base.model.requires_grad_(True)
    losses = train(base.model, ids, lr=0.05)
    assert losses[-1] < losses[0] and fingerprint_of_state_dict(base.model.state_dict()) != before
    restore(base, kept)
    assert fingerprint_of_state_dict(base.model.state_dict()) == before
    assert not base.model.training and all(p.grad is None for p in base.model.parameters())


def test_training_leaves_no_switches_on(folder):
    base = load_base(str(folder), device="cpu")
    base.model.gradient_checkpointing_enable()
    base.model.enable_input_require_grads()
    base.model.train()
    loading.settle(base.model)
    assert not base.model.is_gradient_checkpointing and not base.model.training
    embedding = base.model.get_input_embeddings()
    assert not embedding._forward_hooks


def test_quantisation_without_bitsandbytes(folder, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "bitsandbytes", None)
    with pytest.raises(DependencyMissing, match="needs bitsandbytes.*pip install bitsandbytes"):
        load_base(str(folder), device="cpu", quantization="nf4")


def test_small_models_load_without_a_progress_bar(folder, capfd):
    load_base(str(folder), device="cpu")
    assert "Loading weights" not in capfd.readouterr().err


def test_an_unknown_backend(folder):
    with pytest.raises(ModelUnsupported, match="backend=jax is none of transformers, unsloth"):
        load_base(str(folder), backend="jax")
