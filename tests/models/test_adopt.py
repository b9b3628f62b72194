"""Adapters and models made by others: taken if they are what they say, refused with a reason if not."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from lab.errors import BaseMismatch, ModelNotFound, ModelUnsupported
from lab.models.adopt import adopt_adapter, adopt_model
from lab.models.fingerprint import fingerprint
from lab.models.loading import load_base
from lab.models.tuned import open_run
from lab.tracking import capsule


@pytest.fixture
def foreign(folder, ids, train, logits, tmp_path):
    """A PEFT folder made without the lab, with its trained logits as attribute `expected`."""
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    model = get_peft_model(AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32), LoraConfig(
        r=4, lora_alpha=12, target_modules=["q_proj", "up_proj"], task_type="CAUSAL_LM", use_rslora=True))
    train(model, ids)
    path = tmp_path / "foreign"
    model.save_pretrained(path)
    return path, logits(model, ids)


@pytest.fixture
def into(tmp_path):
    (tmp_path / "into").mkdir()
    return tmp_path / "into"


def change(path, **changes):
    file = path / "adapter_config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))


def test_a_plain_peft_adapter_gives_its_own_logits_by_run_id(foreign, into, folder, ids, logits):
    from dataclasses import make_dataclass

    from lab.tracking.run import open_run as new_run

    path, expected = foreign
    facts = adopt_adapter(str(path), into)
    assert facts["base_fingerprint"] == fingerprint(folder) and facts["training"] == "unknown"
    assert facts["lora"] == {"r": 4, "alpha": 12, "targets": ["q_proj", "up_proj"], "dropout": 0.0}
    assert facts["adopted_from"] == {"given": str(path), "resolved": str(path.resolve())}
    capsule.seal(into, "adapter", facts)
    with new_run("adopt", make_dataclass("Config", [], frozen=True)(), name="adopt") as run:
        capsule.keep(run, into, "adapter", "best")
    tuned = open_run(run.id, device="cpu")
    assert logits(tuned.model, ids).equal(expected)
    assert tuned.tokenizer.chat_template, "the base's tokenizer came with it"
    assert not list(into.glob("*.bin")) and not (into / "README.md").exists()


def test_the_base_can_be_said_and_is_recorded(foreign, into, folder):
    path, _ = foreign
    change(path, base_model_name_or_path="/gone/away")
    with pytest.raises(ModelNotFound, match="its base is not to be found.*say where: model="):
        adopt_adapter(str(path), into)
    facts = adopt_adapter(str(path), into, base=str(folder))
    assert facts["base_reference"]["resolved"] == str(folder.resolve())
    written = json.loads((into / "adapter_config.json").read_text())
    assert written["base_model_name_or_path"] == str(folder.resolve())
    change(path, base_model_name_or_path=None)
    with pytest.raises(ModelUnsupported, match="names no base; say which it was trained on: model="):
        adopt_adapter(str(path), into)


def test_another_base(foreign, into, make_model):
    path, _ = foreign
    with pytest.raises(BaseMismatch, match=r"is \[4, 32\] in the one, and \[4, 64\] by the other; name the base"):
        adopt_adapter(str(path), into, base=str(make_model(hidden_size=64, head_dim=16)))
    with pytest.raises(BaseMismatch, match="layers.1.* and no such tensor by the other"):
        adopt_adapter(str(path), into, base=str(make_model(num_hidden_layers=1)))
    change(path, target_modules=["c_attn"])
    with pytest.raises(BaseMismatch, match="does not fit .*[Tt]arget modules"):
        adopt_adapter(str(path), into)


def test_an_untrained_one(foreign, into):
    path, _ = foreign
    tensors = load_file(path / "adapter_model.safetensors")
    zeroed = {name: tensor * 0 if "lora_B" in name else tensor for name, tensor in tensors.items()}
    save_file(zeroed, path / "adapter_model.safetensors")
    with pytest.raises(ModelUnsupported, match="is untrained: every B is zero"):
        adopt_adapter(str(path), into)


def test_a_diverged_one(foreign, into):
    path, _ = foreign
    tensors = load_file(path / "adapter_model.safetensors")
    next(iter(tensors.values()))[0, 0] = float("nan")
    save_file(tensors, path / "adapter_model.safetensors")
    with pytest.raises(ModelUnsupported, match="holds values that are not finite; its training diverged"):
        adopt_adapter(str(path), into)


@pytest.mark.parametrize(("changes", "words"), [
    ({"peft_type": "IA3"}, "is of type IA3; only LORA adapters are taken"),
    ({"task_type": "SEQ_CLS"}, "is for SEQ_CLS; only causal language models are taken"),
    ({"init_lora_weights": "pissa_niter_4"}, "init_lora_weights=pissa_niter_4, which changes the base's weights too"),
])
def test_other_kinds_of_adapter(foreign, into, changes, words):
    path, _ = foreign
    change(path, **changes)
    with pytest.raises(ModelUnsupported, match=words):
        adopt_adapter(str(path), into)


def test_whole_weights_of_its_own(foreign, into):
    path, _ = foreign
    tensors = load_file(path / "adapter_model.safetensors")
    tensors["base_model.model.model.embed_tokens.weight"] = torch.zeros(262, 32)
    save_file(tensors, path / "adapter_model.safetensors")
    with pytest.raises(ModelUnsupported, match="brings whole weights of its own, base_model.model.model.embed_tokens"):
        adopt_adapter(str(path), into)


@pytest.mark.parametrize("settings", [{"use_dora": True}, {"modules_to_save": ["norm"]}, {"layers_to_transform": [1]},
                                      {"rank_pattern": {"q_proj": 2}}, {"target_modules": ".*0.*q_proj"}])
def test_the_kinds_of_lora_that_peft_has(settings, folder, into, tmp_path, ids, train, logits):
    from peft import LoraConfig, PeftModel, get_peft_model
    from transformers import AutoModelForCausalLM

    plain = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    asked = {"r": 4, "target_modules": ["q_proj", "up_proj"], "task_type": "CAUSAL_LM", **settings}
    model = get_peft_model(plain, LoraConfig(**asked))
    train(model, ids)
    model.save_pretrained(tmp_path / "kind")
    adopt_adapter(str(tmp_path / "kind"), into)
    again = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    assert logits(PeftModel.from_pretrained(again, into), ids).equal(logits(model, ids))


def test_one_from_the_hub(foreign, into, tmp_path, monkeypatch):
    from huggingface_hub import constants

    path, _ = foreign
    commit = "0123456789abcdef0123456789abcdef01234567"
    shutil.copytree(path, tmp_path / "hub/models--org--lora/snapshots" / commit)
    (tmp_path / "hub/models--org--lora/refs").mkdir()
    (tmp_path / "hub/models--org--lora/refs/main").write_text(commit)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    assert adopt_adapter("org/lora", into)["adopted_from"] == {"given": "org/lora", "resolved": f"org/lora@{commit}"}


class _Evil:
    def __reduce__(self):
        return print, ("code ran",)


def test_a_pickled_adapter_is_read_as_tensors_only(foreign, into, capsys):
    path, _ = foreign
    tensors = load_file(path / "adapter_model.safetensors")
    torch.save(tensors, path / "adapter_model.bin")
    (path / "adapter_model.safetensors").unlink()
    facts = adopt_adapter(str(path), into)
    assert facts["adopted_from"]["converted"]["file"] == "adapter_model.bin"
    kept = load_file(into / "adapter_model.safetensors")
    assert kept.keys() == tensors.keys() and all(kept[name].equal(tensors[name]) for name in kept)
    torch.save({**tensors, "evil": _Evil()}, path / "adapter_model.bin")
    with pytest.raises(ModelUnsupported, match="adapter_model.bin cannot be read as tensors only: it holds code"):
        adopt_adapter(str(path), into)
    assert "code ran" not in capsys.readouterr().out
    (path / "adapter_model.bin").unlink()
    with pytest.raises(ModelNotFound, match="there is neither adapter_model.safetensors nor adapter_model.bin"):
        adopt_adapter(str(path), into)


@pytest.mark.parametrize(("source", "words"), [
    ("./missing", "there is no adapter_config.json in /"),
    ("no/such", "adapter=no/such: .*Hub cannot be reached.*allowed: a PEFT folder, or the Hub id of one"),
])
def test_an_adapter_that_is_not_there(source, words, into):
    with pytest.raises(ModelNotFound, match=words):
        adopt_adapter(source, into)


def test_the_quantisation_of_its_base_is_what_is_said(foreign, into):
    path, _ = foreign
    assert adopt_adapter(str(path), into)["quantization"] == "none"
    assert adopt_adapter(str(path), into, quantization="nf4")["quantization"] == "nf4"


@pytest.fixture
def pair(folder, ids, train, tmp_path):
    """A full fine-tune of the tiny model, in float32."""
    base = load_base(str(folder), device="cpu")
    train(base.model.requires_grad_(True), ids, lr=0.05)
    base.model.save_pretrained(tmp_path / "tuned")
    base.tokenizer.save_pretrained(tmp_path / "tuned")
    (tmp_path / "tuned/training_args.bin").write_bytes(b"pickle")
    return tmp_path / "tuned"


def test_a_full_fine_tune_with_its_base(pair, folder, into, ids, logits):
    facts = adopt_model(str(pair), into, base=str(folder))
    assert facts["base_fingerprint"] == fingerprint(folder) != facts["model_fingerprint"] == fingerprint(pair)
    assert not list(into.glob("*.bin"))
    capsule.seal(into, "model", facts)
    adopted, original = (load_base(str(path), device="cpu") for path in (into, pair))
    assert logits(adopted.model, ids).equal(logits(original.model, ids))


def test_pairs_that_are_none(pair, folder, into, make_model, tmp_path):
    with pytest.raises(ModelUnsupported, match="is untrained: it has the very weights of"):
        adopt_model(str(folder), into, base=str(folder))
    with pytest.raises(BaseMismatch, match="does not fit .*model.embed_tokens.weight is .260, 32. in the one"):
        adopt_model(str(pair), into, base=str(make_model(hidden_size=64, head_dim=16)))
    pickled = shutil.copytree(pair, tmp_path / "pickled")
    torch.save(load_file(pickled / "model.safetensors"), pickled / "pytorch_model.bin")
    (pickled / "model.safetensors").unlink()
    with pytest.raises(ModelUnsupported, match="keeps its weights as pickles .pytorch_model.bin.; save it again"):
        adopt_model(str(pickled), into, base=str(folder))
    assert adopt_model(str(pair), into, base=str(pickled_base(folder, tmp_path)))


def pickled_base(folder, tmp_path):
    path = shutil.copytree(folder, tmp_path / "pickled_base")
    torch.save(load_file(path / "model.safetensors"), path / "pytorch_model.bin")
    (path / "model.safetensors").unlink()
    return path
