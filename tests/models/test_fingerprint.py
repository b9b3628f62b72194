"""A fingerprint depends on names, formats, shapes and bytes, and on nothing else."""

import hashlib
import json
import os
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from lab.errors import ModelUnsupported
from lab.models import fingerprint as module
from lab.models.fingerprint import fingerprint, fingerprint_of_state_dict

TENSORS = {
    "b.weight": torch.arange(6, dtype=torch.float32).reshape(2, 3),
    "a.weight": torch.ones(3, dtype=torch.bfloat16),
    "c.empty": torch.zeros(0, 4, dtype=torch.int8),
    "d.scalar": torch.tensor(3, dtype=torch.int64),
}


def by_hand(tensors):
    """The definition, written out over another library's reading of the bytes."""
    names = {torch.float32: "F32", torch.bfloat16: "BF16", torch.int8: "I8", torch.int64: "I64"}
    lines = []
    for name in sorted(tensors):
        tensor = tensors[name]
        content = bytes(tensor.contiguous().reshape(-1).view(torch.uint8).tolist()) if tensor.numel() else b""
        lines.append(json.dumps([name, names[tensor.dtype], list(tensor.shape), hashlib.sha256(content).hexdigest()]))
    return "sha256:" + hashlib.sha256("".join(f"{line}\n" for line in lines).encode()).hexdigest()


def test_it_is_what_its_definition_says(tmp_path):
    save_file(TENSORS, tmp_path / "model.safetensors")
    assert fingerprint(tmp_path) == fingerprint_of_state_dict(TENSORS) == by_hand(TENSORS)


def test_shards_file_names_order_and_metadata_do_not_matter(tmp_path):
    whole, shards = tmp_path / "whole", tmp_path / "shards"
    for path in (whole, shards):
        path.mkdir()
    save_file(TENSORS, whole / "model.safetensors", metadata={"format": "pt", "note": "hello"})
    files = {"z.safetensors": ["a.weight", "d.scalar"], "y.safetensors": ["c.empty"], "x.safetensors": ["b.weight"]}
    for file, names in files.items():
        save_file({name: TENSORS[name] for name in reversed(names)}, shards / file)
    index = {"weight_map": {name: file for file, names in files.items() for name in names}}
    (shards / "model.safetensors.index.json").write_text(json.dumps(index))
    assert fingerprint(shards) == fingerprint(whole) == fingerprint(sorted(shards.glob("*.safetensors"))[::-1])


def test_the_shards_that_transformers_writes_do_not_matter(folder, tmp_path):
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(folder, dtype="auto")
    model.save_pretrained(tmp_path, max_shard_size="10KB")
    assert len(list(tmp_path.glob("*.safetensors"))) > 2
    assert fingerprint(tmp_path) == fingerprint(folder)


@pytest.mark.parametrize("change", [
    lambda t: {**t, "a.weight": t["a.weight"].float()},
    lambda t: {**t, "b.weight": t["b.weight"].T.contiguous()},
    lambda t: {**t, "b.weight": t["b.weight"] + torch.eye(2, 3) * 1e-6},
    lambda t: {("e" if name == "a.weight" else name): tensor for name, tensor in t.items()},
    lambda t: {name: tensor for name, tensor in t.items() if name != "c.empty"},
    lambda t: {**t, "a.weight": t["b.weight"], "b.weight": t["a.weight"]},
])
def test_every_change_of_a_tensor_shows(change):
    assert fingerprint_of_state_dict(change(TENSORS)) != fingerprint_of_state_dict(TENSORS)


def test_a_pickled_base_is_hashed_as_stored(tmp_path):
    torch.save(TENSORS, tmp_path / "pytorch_model.bin")
    assert fingerprint(tmp_path) == by_hand(TENSORS)


def test_the_cache_skips_the_work_and_never_replaces_it(tmp_path, monkeypatch):
    file = tmp_path / "model.safetensors"
    save_file(TENSORS, file)
    hashed = []
    real = module._hash_safetensors
    monkeypatch.setattr(module, "_hash_safetensors", lambda path: hashed.append(path) or real(path))
    first = fingerprint(tmp_path)
    assert fingerprint(tmp_path) == first and len(hashed) == 1
    assert fingerprint(tmp_path, cache=False) == first and len(hashed) == 2
    before = file.stat()
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))  # the same size and time, another byte
    assert fingerprint(tmp_path) != first and len(hashed) == 3


def test_a_changed_blob_of_the_hub_cache_is_noticed(tmp_path):
    blobs = tmp_path / "blobs"
    blobs.mkdir()
    (tmp_path / "snapshot").mkdir()
    blob = blobs / ("0" * 64)
    save_file(TENSORS, blob)
    (tmp_path / "snapshot/model.safetensors").symlink_to(blob)
    first = fingerprint(tmp_path / "snapshot")
    assert first == by_hand(TENSORS)
    save_file({**TENSORS, "a.weight": torch.zeros(3, dtype=torch.bfloat16)}, blob)
    assert fingerprint(tmp_path / "snapshot") != first


def test_a_tensor_in_two_files(tmp_path):
    for name in ("one", "two"):
        save_file(TENSORS, tmp_path / f"{name}.safetensors")
    with pytest.raises(ModelUnsupported, match="tensor a.weight is in .*one.safetensors and in .*two.safetensors"):
        fingerprint(tmp_path.glob("*.safetensors"))


def test_a_file_that_shrinks_while_it_is_read(tmp_path):
    file = tmp_path / "model.safetensors"
    save_file(TENSORS, file)
    (tensor, *_) = [t for t in module.read_header(file) if t.name == "b.weight"]
    os.truncate(file, tensor.start + 3)
    with pytest.raises(ModelUnsupported, match="became shorter"):
        module._hash_range(tensor)


def test_tied_weights_count_as_stored(folder, tmp_path):
    stored = load_file(folder / "model.safetensors")
    assert "lm_head.weight" not in stored
    assert fingerprint(folder) == fingerprint_of_state_dict(stored)
    shutil.copytree(folder, tmp_path / "both")
    save_file({**stored, "lm_head.weight": stored["model.embed_tokens.weight"].clone()},
              tmp_path / "both/model.safetensors")
    assert fingerprint(tmp_path / "both") != fingerprint(folder)
