"""Downloads from the Hub: just the files that are needed, against a small pretended Hub."""

import json
from types import SimpleNamespace

import huggingface_hub
import pytest

from lab.errors import ModelNotFound
from lab.models import hub

NAMES = ["README.md", "config.json", "tokenizer.json", "original/consolidated.safetensors", "modeling_x.py",
         "pytorch_model.bin", "training_args.bin", "chat_template.jinja"]


@pytest.fixture
def pretended(monkeypatch, tmp_path):
    """A function that makes the Hub hold files of these names and notes which are asked for."""
    asked = {}

    def hold(names, index=None):
        info = SimpleNamespace(sha="c" * 40, siblings=[SimpleNamespace(rfilename=name) for name in names])
        monkeypatch.setattr(huggingface_hub.HfApi, "model_info", lambda self, repo, **options: info)
        (tmp_path / "index.json").write_text(json.dumps({"weight_map": index or {}}))
        monkeypatch.setattr(huggingface_hub, "hf_hub_download", lambda *a, **k: str(tmp_path / "index.json"))

        def download(repo, revision, allow_patterns):
            asked["names"] = sorted(allow_patterns)
            return str(tmp_path)

        monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
        return asked

    return hold


def test_whole_safetensors_are_preferred_and_nothing_unneeded_comes(pretended, tmp_path):
    asked = pretended([*NAMES, "model.safetensors"])
    assert hub.find_commit("org/x", None) == "c" * 40
    assert hub.download_model("org/x", "c" * 40) == tmp_path
    assert asked["names"] == ["chat_template.jinja", "config.json", "model.safetensors", "tokenizer.json"]
    hub.download_model("org/x", "c" * 40, code=True)
    assert "modeling_x.py" in asked["names"]


def test_shards_come_as_the_index_names_them(pretended):
    asked = pretended([*NAMES, "model.safetensors.index.json", "m-1.safetensors", "m-2.safetensors"],
                      index={"a": "m-2.safetensors", "b": "m-1.safetensors"})
    hub.download_model("org/x", "c")
    assert [name for name in asked["names"] if name.endswith("safetensors")] == ["m-1.safetensors", "m-2.safetensors"]
    assert "pytorch_model.bin" not in asked["names"]


def test_pickled_weights_come_where_there_are_no_others(pretended):
    asked = pretended(NAMES)
    hub.download_model("org/x", "c")
    assert "pytorch_model.bin" in asked["names"] and "training_args.bin" not in asked["names"]


def test_of_an_adapter_only_itself_and_its_tokenizer(pretended):
    asked = pretended(["adapter_config.json", "adapter_model.safetensors", "optimizer.pt", "tokenizer.json", "a.py"])
    hub.download_adapter("org/x", "c")
    assert asked["names"] == ["adapter_config.json", "adapter_model.safetensors", "tokenizer.json"]


def test_a_download_that_breaks_off(pretended, monkeypatch):
    pretended([*NAMES, "model.safetensors"])

    def broken(*args, **options):
        raise OSError("No space left on device\nmore")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", broken)
    with pytest.raises(ModelNotFound, match="the download of org/x broke off .No space left on device.; what came"):
        hub.download_model("org/x", "c")


def test_a_hub_that_names_no_commit(monkeypatch):
    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", lambda self, repo, **options: SimpleNamespace(sha=None))
    with pytest.raises(ModelNotFound, match="the Hub names no commit for org/x"):
        hub.find_commit("org/x", None)


def test_the_cached_folder_serves_when_the_network_is_gone(monkeypatch, tmp_path):
    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda repo, **options: str(tmp_path))
    assert hub.download_model("org/x", "c") == tmp_path
