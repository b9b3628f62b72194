"""Seals: every file of a capsule is what it was, or the error names it."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from lab.errors import CapsuleChanged, TrackingError
from lab.tracking.sealing import MANIFEST, seal, sha256, verify


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "adapter_config.json").write_text("{}")
    (tmp_path / "adapter_model.safetensors").write_bytes(b"weights")
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep/tokenizer.json").write_text("é")
    return tmp_path


def test_a_seal_holds_every_file_and_the_facts(folder: Path) -> None:
    manifest = seal(folder, "adapter", {"step": 5, "lora": {"r": 8}})
    assert manifest == json.loads((folder / MANIFEST).read_text()) == verify(folder, "run x", sha256(folder / MANIFEST))
    assert (manifest["format_version"], manifest["kind"], manifest["lora"]) == (1, "adapter", {"r": 8})
    assert manifest["files"] == {
        name: "sha256:" + hashlib.sha256((folder / name).read_bytes()).hexdigest()
        for name in ("adapter_config.json", "adapter_model.safetensors", "deep/tokenizer.json")
    }
    assert seal(folder, "adapter", {"step": 6})["files"] == manifest["files"]


def test_a_folder_without_weights_is_not_sealed(folder: Path) -> None:
    (folder / "adapter_model.safetensors").unlink()
    with pytest.raises(TrackingError, match=r"is no adapter: adapter_model.safetensors missing; found adapter_config"):
        seal(folder, "adapter", {})
    with pytest.raises(TrackingError, match=r"is no model: config.json missing"):
        seal(folder, "model", {})


@pytest.mark.parametrize("name", ["training_args.bin", "modeling_x.py", "optimizer.pt", "deep/x.pkl"])
def test_files_that_can_carry_code_are_not_sealed(folder: Path, name: str) -> None:
    (folder / name).write_bytes(b"x")
    with pytest.raises(TrackingError, match=rf"{name} of .* can carry code; allowed: safetensors, JSON and text"):
        seal(folder, "adapter", {})


def flip(folder: Path) -> None:
    weights = folder / "adapter_model.safetensors"
    weights.write_bytes(bytes([weights.read_bytes()[0] ^ 1]) + weights.read_bytes()[1:])


WEIGHTS = hashlib.sha256(b"weights").hexdigest()
FLIPPED = hashlib.sha256(b"veights").hexdigest()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (flip, f"run x: files .*adapter_model.safetensors: expected sha256:{WEIGHTS}, found sha256:{FLIPPED}"),
        (lambda f: (f / "adapter_model.safetensors").unlink(), f"safetensors: missing, expected sha256:{WEIGHTS}"),
        (lambda f: (f / "extra.json").touch(), "extra.json: added since"),
        (lambda f: (f / MANIFEST).unlink(), r"run x: capsule.json is missing, so nothing can be checked; found \["),
        (lambda f: (f / MANIFEST).write_text("{"), "run x: capsule.json has sha256:.*, the run recorded sha256:"),
    ],
)  # fmt: skip
def test_any_change_is_found(folder: Path, change: Callable[[Path], None], message: str) -> None:
    seal(folder, "adapter", {})
    recorded = sha256(folder / MANIFEST)
    change(folder)
    with pytest.raises(CapsuleChanged, match=f"(?s){message}"):
        verify(folder, "run x", recorded)


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"files": {}}'])
def test_a_manifest_that_is_none_is_an_error(folder: Path, text: str) -> None:
    (folder / MANIFEST).write_text(text)
    with pytest.raises(CapsuleChanged, match="run x: capsule.json cannot be read"):
        verify(folder, "run x")


def test_another_format_is_not_guessed_at(folder: Path) -> None:
    (folder / MANIFEST).write_text('{"files": {}, "format_version": 2}')
    with pytest.raises(CapsuleChanged, match="format version 2; this version reads 1"):
        verify(folder, "run x")
