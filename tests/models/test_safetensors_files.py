"""Headers of weight files, and what is wrong with broken ones."""

import json
import struct

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from lab.errors import ModelUnsupported
from lab.models.safetensors_files import read_header, weight_files


def test_a_header_agrees_with_the_peer_library(folder):
    with safe_open(folder / "model.safetensors", "pt") as peer:
        expected = {name: peer.get_slice(name) for name in peer.keys()}  # noqa: SIM118
        for tensor in read_header(folder / "model.safetensors"):
            assert (tensor.dtype, list(tensor.shape)) == (expected[tensor.name].get_dtype(),
                                                          expected[tensor.name].get_shape())
            assert tensor.stop - tensor.start == 2 * torch.Size(tensor.shape).numel()
    assert [tensor.name for tensor in read_header(folder / "model.safetensors")] == sorted(expected)


@pytest.mark.parametrize(("content", "words"), [
    (b"", "not a safetensors file"),
    (struct.pack("<Q", 10**9) + b"{}", "not a safetensors file"),
    (struct.pack("<Q", 4) + b"nope", "its header is not JSON"),
])
def test_a_file_of_another_kind(tmp_path, content, words):
    (tmp_path / "model.safetensors").write_bytes(content)
    with pytest.raises(ModelUnsupported, match=words):
        read_header(tmp_path / "model.safetensors")


def test_a_file_cut_short(tmp_path):
    save_file({"a": torch.zeros(100)}, tmp_path / "model.safetensors")
    content = (tmp_path / "model.safetensors").read_bytes()
    (tmp_path / "model.safetensors").write_bytes(content[:-1])
    with pytest.raises(ModelUnsupported, match="is cut short: tensor a ends at byte"):
        read_header(tmp_path / "model.safetensors")


def test_only_the_weights_that_the_index_names(tmp_path):
    for name in ("part-1.safetensors", "part-2.safetensors", "consolidated.safetensors"):
        (tmp_path / name).touch()
    index = tmp_path / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"a": "part-2.safetensors", "b": "part-1.safetensors"}}))
    assert [file.name for file in weight_files(tmp_path)] == ["part-1.safetensors", "part-2.safetensors"]
    (tmp_path / "part-2.safetensors").unlink()
    with pytest.raises(ModelUnsupported, match="names part-2.safetensors, which is not there"):
        weight_files(tmp_path)


def test_a_folder_without_weights(tmp_path):
    (tmp_path / "config.json").touch()
    with pytest.raises(ModelUnsupported, match="holds no weights.*found config.json"):
        weight_files(tmp_path)
