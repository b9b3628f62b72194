"""An adapter merged into its base: the rounded exact sum, made once, the same for everyone."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file

from lab.errors import BaseMismatch, ModelUnsupported
from lab.models.adapters import attach, facts_of, put_on, save_adapter
from lab.models.fingerprint import fingerprint
from lab.models.loading import load_base
from lab.models.merging import merge_exactly, merged_folder
from lab.tracking.capsule import Capsule
from lab.tracking.sealing import seal


@pytest.fixture
def make_capsule(tmp_path, ids, train):
    """A function: a capsule with an adapter trained on a base, as a run would keep it."""
    def make(base, name="capsule"):
        model = attach(base, r=4, alpha=6, targets="q_proj,down_proj")
        train(model, ids)
        save_adapter(model, tmp_path / name, base)
        manifest = seal(tmp_path / name, "adapter", facts_of(base, model=model))
        return Capsule("0" * 32, "adapter", "best", tmp_path / name, manifest)

    return make


@pytest.mark.parametrize("stored", ["bfloat16", "float32"])
def test_each_weight_is_the_sum_in_float64_rounded_to_the_stored_format(folder, make_capsule, stored, tmp_path):
    if stored == "float32":
        model = load_base(str(folder), device="cpu")
        model.model.save_pretrained(tmp_path / "wide")
        model.tokenizer.save_pretrained(tmp_path / "wide")
        folder = tmp_path / "wide"
    kept = make_capsule(load_base(str(folder), device="cpu"))
    before, after = (load_file(path / "model.safetensors") for path in (folder, merged_folder(kept)))
    factors = load_file(kept.folder / "adapter_model.safetensors")
    assert before.keys() == after.keys()
    for name, tensor in before.items():
        a, b = (factors.get(f"base_model.model.{name.removesuffix('.weight')}.lora_{which}.weight") for which in "AB")
        expected = tensor if a is None or b is None else (tensor.double() + 6 / 4 * (b.double() @ a.double())
                                                          ).to(tensor.dtype)
        assert after[name].dtype == tensor.dtype == getattr(torch, stored)
        assert after[name].equal(expected), name


def test_it_says_what_the_adapter_says(folder, make_capsule, ids, logits):
    base = load_base(str(folder), device="cpu")
    kept = make_capsule(base)
    expected = logits(base.model, ids)  # the adapter is still on it
    merged = load_base(str(merged_folder(kept)), device="cpu")
    assert (logits(merged.model, ids) - expected).abs().max() < 0.05 * expected.abs().max()  # bfloat16 weights
    assert merged.tokenizer.chat_template == base.tokenizer.chat_template


def test_it_is_made_once_and_always_the_same(folder, make_capsule, monkeypatch, tmp_path):
    kept = make_capsule(load_base(str(folder), device="cpu"))
    first = merged_folder(kept)
    identity, written = fingerprint(first), (first / "model.safetensors").stat().st_mtime_ns
    assert merged_folder(kept) == first and (first / "model.safetensors").stat().st_mtime_ns == written
    monkeypatch.setenv("LAB_CACHE", str(tmp_path / "another"))
    again = merged_folder(kept)
    assert again != first and fingerprint(again) == identity
    assert not [path for path in again.parent.iterdir() if path != again], "no half-made folder is left"


def test_a_base_that_changed(folder, make_capsule, make_model, tmp_path):
    moved = shutil.copytree(folder, tmp_path / "base")
    kept = make_capsule(load_base(str(moved), device="cpu"))
    shutil.copyfile(make_model(seed=1) / "model.safetensors", moved / "model.safetensors")
    with pytest.raises(BaseMismatch, match="it was trained on .*/base"):
        merged_folder(kept)


def test_what_cannot_be_merged(folder, make_capsule, make_model, tmp_path):
    kept = make_capsule(load_base(str(folder), device="cpu"))
    stored = Capsule(kept.run_id, kept.kind, kept.which, kept.folder, {**kept.manifest, "base_prequantized": True})
    with pytest.raises(ModelUnsupported, match="is stored quantised, so the adapter cannot be merged into it"):
        merged_folder(stored)
    from peft import LoraConfig, get_peft_model

    model = get_peft_model(load_base(str(folder), device="cpu").model, LoraConfig(r=2, target_modules=["embed_tokens"]))
    with pytest.raises(ModelUnsupported, match="embeddings that this model shares between input and output"):
        merge_exactly(model)
    untied = load_base(str(make_model(tie_word_embeddings=False)), device="cpu")
    model = get_peft_model(untied.model, LoraConfig(r=2, target_modules=["embed_tokens"]))
    assert not hasattr(merge_exactly(model), "peft_config")


def test_the_adapter_itself_is_left_as_it_is(folder, make_capsule):
    kept = make_capsule(load_base(str(folder), device="cpu"))
    before = {file.name: file.read_bytes() for file in kept.folder.iterdir()}
    merged_folder(kept)
    assert {file.name: file.read_bytes() for file in kept.folder.iterdir()} == before
    assert json.loads((kept.folder / "capsule.json").read_text())["kind"] == "adapter"
    assert put_on(load_base(str(folder), device="cpu").model, kept.folder, "default")
