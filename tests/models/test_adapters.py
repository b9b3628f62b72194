"""Adapters: the same seed the same bits, taken off without a trace, saved as any PEFT program reads them."""

import json
import os
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file, save_file

from lab.errors import ModelUnsupported, OptionError
from lab.models.adapters import attach, detach, facts_of, put_on, save_adapter, save_model
from lab.models.fingerprint import fingerprint_of_state_dict
from lab.models.loading import load_base
from lab.models.tokenizers import load_tokenizer, tokenizer_sha256


@pytest.fixture
def base(folder):
    return load_base(str(folder), device="cpu")


def adapter_of(model):
    return {name: p.detach().clone() for name, p in model.named_parameters() if p.requires_grad}


def test_only_the_adapter_trains(base):
    model = attach(base, r=4, alpha=8.0, targets="q_proj,v_proj")
    trainable = adapter_of(model)
    widths = {"q_proj": 32 + 32, "v_proj": 32 + 16}
    assert sum(t.numel() for t in trainable.values()) == 2 * 4 * sum(widths.values())
    assert all(("q_proj" in name or "v_proj" in name) and "lora_" in name for name in trainable)
    assert {module.scaling["default"] for module in model.modules() if hasattr(module, "lora_A")} == {2.0}


def test_the_same_seed_gives_the_same_bits_whatever_ran_before(base, folder):
    first = adapter_of(model := attach(base, r=4, alpha=8, seed=5))
    detach(model)
    torch.rand(100)
    again = adapter_of(model := attach(base, r=4, alpha=8, seed=5))
    detach(model)
    assert fingerprint_of_state_dict(again) == fingerprint_of_state_dict(first)
    assert fingerprint_of_state_dict(adapter_of(attach(base, r=4, alpha=8, seed=6))) != fingerprint_of_state_dict(first)
    code = ("from lab.models.adapters import *\nfrom lab.models.loading import load_base\n"
            "from lab.models.fingerprint import fingerprint_of_state_dict\n"
            f"model = attach(load_base({str(folder)!r}, device='cpu'), r=4, alpha=8, seed=5)\n"
            "print(fingerprint_of_state_dict({n: p for n, p in model.named_parameters() if p.requires_grad}))")
    environment = {**os.environ, "PYTHONHASHSEED": "7"}
    fresh = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert fresh.stdout.strip() == fingerprint_of_state_dict(first)


def test_a_base_comes_back_from_training_unchanged(base, ids, train, logits):
    before, answers = fingerprint_of_state_dict(base.model.state_dict()), logits(base.model, ids)
    for r in (2, 8):
        model = attach(base, r=r, alpha=16)
        losses = train(model, ids)
        assert losses[-1] < losses[0] and not logits(model, ids).equal(answers)
        assert detach(model) is base.model
        assert fingerprint_of_state_dict(base.model.state_dict()) == before
        assert logits(base.model, ids).equal(answers)
    assert not hasattr(base.model, "peft_config") and not any("lora" in name for name, _ in base.model.named_modules())


def test_two_adapters_cannot_be_attached_at_once(base):
    attach(base, r=2, alpha=4)
    with pytest.raises(ModelUnsupported, match="still carries an adapter; take it off first"):
        attach(base, r=2, alpha=4)


def test_a_target_that_is_not_there(base):
    with pytest.raises(OptionError, match="no linear module 'q_prj'; did you mean q_proj"):
        attach(base, r=2, alpha=4, targets="q_prj")
    assert not hasattr(base.model, "peft_config")


def test_the_folder_is_what_any_peft_program_opens(base, folder, ids, train, logits, tmp_path):
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = attach(base, r=4, alpha=8)
    train(model, ids)
    trained = logits(model, ids)
    save_adapter(model, tmp_path, base)
    assert {file.name for file in tmp_path.iterdir()} == {
        "adapter_config.json", "adapter_model.safetensors", "tokenizer.json", "tokenizer_config.json",
        "chat_template.jinja"}
    plain = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    assert logits(PeftModel.from_pretrained(plain, tmp_path), ids).equal(trained)
    assert AutoTokenizer.from_pretrained(tmp_path).chat_template == base.tokenizer.chat_template
    assert tokenizer_sha256(load_tokenizer(tmp_path, 260)) == base.tokenizer_sha256


def test_an_adapter_on_the_embedded_model_names_its_base_for_the_lab_and_opens_anywhere(tmp_path, logits):
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    base = load_base("embedded", device="cpu")
    model = attach(base, r=2, alpha=4)
    save_adapter(model, tmp_path, base)
    assert json.loads((tmp_path / "adapter_config.json").read_text())["base_model_name_or_path"] == "embedded"
    detach(model)
    base.model.save_pretrained(tmp_path / "elsewhere")
    plain = AutoModelForCausalLM.from_pretrained(tmp_path / "elsewhere")
    assert isinstance(PeftModel.from_pretrained(plain, tmp_path), PeftModel)


def test_the_same_weights_give_the_same_bytes(base, tmp_path):
    for name in ("one", "two"):
        model = attach(base, r=4, alpha=8)
        save_adapter(model, tmp_path / name, base)
        detach(model)
    for file in (tmp_path / "one").iterdir():
        assert file.read_bytes() == (tmp_path / "two" / file.name).read_bytes(), file.name
    config = json.loads((tmp_path / "one/adapter_config.json").read_text())
    assert config["target_modules"] == sorted(config["target_modules"])


def test_a_whole_model_is_saved_as_transformers_reads_it(base, ids, train, logits, tmp_path):
    train(base.model, ids, lr=0.05)
    save_model(base.model, tmp_path, base)
    assert not list(tmp_path.glob("*.bin")) and "path" not in (tmp_path / "config.json").read_text()
    again = load_base(str(tmp_path), device="cpu")
    assert again.fingerprint != base.fingerprint and logits(again.model, ids).equal(logits(base.model, ids))


def test_facts_for_the_capsule(base, folder):
    model = attach(base, r=4, alpha=8.5, targets="v_proj,q_proj", dropout=0.1)
    facts = facts_of(base, model=model, step=30, eval_loss=1.5, dataset_sha256="abc")
    assert facts["lora"] == {"r": 4, "alpha": 8.5, "targets": ["q_proj", "v_proj"], "dropout": 0.1}
    assert facts["base_reference"] == {"given": str(folder), "resolved": str(folder.resolve())}
    assert (facts["base_fingerprint"], facts["step"], facts["eval_loss"]) == (base.fingerprint, 30, 1.5)
    assert (facts["quantization"], facts["dtype"], facts["device"]) == ("none", "float32", "cpu")
    assert json.loads(json.dumps(facts)) == facts
    assert "lora" not in facts_of(load_base(str(folder), device="cpu"))


@pytest.fixture
def saved(base, tmp_path):
    model = attach(base, r=4, alpha=8)
    save_adapter(model, tmp_path / "adapter", base)
    detach(model)
    return tmp_path / "adapter"


@pytest.mark.parametrize("spoil", [
    lambda tensors: tensors.pop(next(iter(tensors))),
    lambda tensors: tensors.update({"base_model.model.model.layers.9.x.lora_A.weight": torch.ones(4, 4)}),
])
def test_an_adapter_that_is_not_taken_whole(base, saved, spoil):
    tensors = load_file(saved / "adapter_model.safetensors")
    spoil(tensors)
    save_file(tensors, saved / "adapter_model.safetensors")
    with pytest.raises(ModelUnsupported, match="does not fit this model: 1 tensors were not taken as saved"):
        put_on(base.model, saved, "default")


def test_an_adapter_for_other_shapes(saved, make_model):
    other = load_base(str(make_model(hidden_size=64, head_dim=16)), device="cpu")
    with pytest.raises(ModelUnsupported, match="does not fit this model: Error"):
        put_on(other.model, saved, "default")


def test_loading_disturbs_no_random_numbers(base, saved):
    torch.manual_seed(3)
    expected = torch.rand(3)
    torch.manual_seed(3)
    put_on(base.model, saved, "default")
    assert torch.rand(3).equal(expected)
