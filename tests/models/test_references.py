"""What model names mean, and that a wrong one is said quickly, before anything is loaded."""

import os
import subprocess
import sys
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest

from lab.errors import ModelNotFound, ModelUnsupported
from lab.models import references
from lab.models.references import ModelReference, folder_of, resolve

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def hub_cache(tmp_path, monkeypatch, folder):
    """A Hugging Face cache that holds the tiny model as `org/tiny`."""
    from huggingface_hub import constants

    home = tmp_path / "hub"
    snapshot = home / "models--org--tiny/snapshots" / COMMIT
    snapshot.mkdir(parents=True)
    for file in folder.iterdir():
        (snapshot / file.name).symlink_to(file)
    (home / "models--org--tiny/refs").mkdir()
    (home / "models--org--tiny/refs/main").write_text(COMMIT)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(home))
    return snapshot


def test_embedded():
    assert resolve(" embedded ") == ModelReference("embedded", "embedded", "embedded")
    assert resolve("embedded").resolved == resolve("embedded").portable == "embedded"


def test_a_package_without_its_weights(tmp_path, monkeypatch):
    monkeypatch.setattr(references, "EMBEDDED", tmp_path)
    with pytest.raises(ModelNotFound, match="model=embedded: this installation holds no embedded weights"):
        folder_of(resolve("embedded"))


def test_a_local_folder_is_recorded_absolutely(folder, monkeypatch):
    monkeypatch.chdir(folder.parent)
    for text in (folder.name, f"./{folder.name}", str(folder)):
        found = resolve(text)
        assert (found.given, found.kind, found.path_or_id) == (text, "local", str(folder.resolve()))
        assert found.resolved == found.portable == str(folder.resolve())
        assert folder_of(found) == folder.resolve()


def test_a_hub_model_is_found_in_the_cache_and_recorded_with_its_commit(hub_cache):
    found = resolve("org/tiny")
    assert (found.kind, found.path_or_id, found.revision) == ("hub", "org/tiny", COMMIT)
    assert (found.resolved, found.portable) == (f"org/tiny@{COMMIT}", "org/tiny")
    assert folder_of(found) == hub_cache
    assert resolve(found.resolved).revision == COMMIT


def test_a_folder_wins_over_a_hub_id(hub_cache, make_model, tmp_path, monkeypatch):
    (tmp_path / "org").mkdir()
    (tmp_path / "org/tiny").symlink_to(make_model(seed=1))
    monkeypatch.chdir(tmp_path)
    assert resolve("org/tiny").kind == "local"


@pytest.mark.parametrize("text", ["no/such", "gpt2-no-such", "org/name@v1"])
def test_an_unknown_hub_id_without_network(text):
    began = time.monotonic()
    with pytest.raises(ModelNotFound, match=f"model={text}: .*not in the local Hugging Face cache, and the Hub cannot "
                                            "be reached.*allowed: embedded, a Hub id"):
        resolve(text)
    assert time.monotonic() - began < 5


@pytest.mark.parametrize("text", ["", "two words", "a/b/c", "org/name@", "-x", "org/--x@@"])
def test_what_is_no_reference_at_all(text):
    with pytest.raises(ModelNotFound, match="is no model reference; allowed: embedded"):
        resolve(text)


def test_what_the_hub_itself_refuses_as_a_name():
    with pytest.raises(ModelNotFound, match="is no Hub id"):
        resolve("org/a--b")


@pytest.mark.parametrize("text", ["./missing", "/no/such/folder", "~/no-such-folder-here"])
def test_a_folder_that_is_not_there(text):
    with pytest.raises(ModelNotFound, match="there is no folder /.*allowed: embedded"):
        resolve(text)


def test_a_folder_that_is_no_model(tmp_path):
    (tmp_path / "notes.txt").touch()
    with pytest.raises(ModelUnsupported, match="holds no config.json, so it is no model folder; found notes.txt"):
        resolve(str(tmp_path))
    (tmp_path / "adapter_config.json").touch()
    with pytest.raises(ModelUnsupported, match="is an adapter, not a model.*-e adopt"):
        resolve(str(tmp_path))


class _Hub(BaseHTTPRequestHandler):
    status = 404

    def do_GET(self):
        self.send_response(self.status)
        self.end_headers()

    def log_message(self, *args):
        pass


@pytest.mark.parametrize(("status", "words"), [
    (404, "the Hub has no model no/such that you may read (HTTP 404)"),
    (401, "the Hub has no model no/such that you may read (HTTP 401)"),
    (500, "the Hub cannot be reached"),
    (None, "the Hub cannot be reached"),
])
def test_a_hub_that_answers_no_or_not_at_all(status, words, tmp_path):
    """In a process without HF_HUB_OFFLINE, as on a user's machine: quick, and without a traceback's worth of text."""
    server = HTTPServer(("127.0.0.1", 0), type("Hub", (_Hub,), {"status": status}))
    if status is None:
        server.server_close()
    else:
        Thread(target=server.serve_forever, daemon=True).start()
    environment = {**os.environ, "HF_ENDPOINT": f"http://127.0.0.1:{server.server_port}", "HF_HOME": str(tmp_path)}
    environment.pop("HF_HUB_OFFLINE", None)
    code = ("from lab.models.references import resolve\n"
            "try:\n  resolve('no/such')\nexcept Exception as error:\n  print(repr(error))")
    began = time.monotonic()
    said = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True).stdout
    assert said.startswith("ModelNotFound") and words in said
    assert time.monotonic() - began < 10
    if status is not None:
        server.shutdown()
