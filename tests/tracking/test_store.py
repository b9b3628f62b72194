"""The store: absolute wherever it is named, made once however many start at once, quick to say that it is not there."""

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lab.errors import TrackingError
from lab.tracking import store as stores


def test_without_the_variable_it_is_mlflows_own_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import mlflow

    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    folder = tmp_path / "a b#c"
    folder.mkdir()
    monkeypatch.chdir(folder)
    assert stores.tracking_uri() == mlflow.get_tracking_uri() == f"sqlite:///{tmp_path}/a%20b%23c/mlflow.db"
    (folder / "mlruns/0").mkdir(parents=True)
    (folder / "mlruns/0/meta.yaml").touch()
    assert stores.tracking_uri() == mlflow.get_tracking_uri() == f"file://{tmp_path}/a%20b%23c/mlruns"


@pytest.mark.parametrize(
    ("relative", "absolute"),
    [
        ("sqlite:///runs.db", "sqlite:///{cwd}/runs.db"),
        ("sqlite:///../runs.db", "sqlite:///{cwd}/../runs.db"),
        ("file:runs", "file://{cwd}/runs"),
        ("./runs", "file://{cwd}/runs"),
        ("runs", "file://{cwd}/runs"),
    ],
)
def test_a_relative_uri_is_refused_with_the_absolute_one(
    relative: str, absolute: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", relative)
    with pytest.raises(TrackingError, match="is relative and would name another store in every directory") as caught:
        stores.tracking_uri()
    assert str(caught.value).endswith(f"MLFLOW_TRACKING_URI={absolute.format(cwd=tmp_path)}")


@pytest.mark.parametrize(
    "uri",
    ["sqlite:////a/runs.db", "file:///a/runs", "/a/runs", "http://host:5000", "https://host", "databricks",
     "postgresql://user@host/db"],
)  # fmt: skip
def test_an_absolute_uri_is_taken_as_it_is(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    assert stores.tracking_uri() == uri


def test_names_and_passwords_are_not_shown() -> None:
    text = "https://me:secret@host/x and postgresql://u:p%40@db/y, mail a@b.c"
    assert stores.shown(text) == "https://host/x and postgresql://db/y, mail a@b.c"


def test_artifacts_of_a_sqlite_store_lie_beside_it_wherever_it_is_used_from(
    store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    experiment = stores.client().get_experiment(stores.experiment_id())
    assert experiment.name == "llm-learning-lab"
    assert experiment.artifact_location == (tmp_path / "store/mlruns/llm-learning-lab").as_uri()


def test_the_environment_chooses_the_experiment(store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "my team's")
    named = stores.experiment_id()
    assert stores.client().get_experiment(named).name == "my team's"
    assert stores.experiment_id() == named
    monkeypatch.setenv("MLFLOW_EXPERIMENT_ID", "0")
    assert stores.experiment_id() == "0"


def test_a_deleted_experiment_is_not_used(store: str) -> None:
    stores.client().delete_experiment(stores.experiment_id("gone"))
    with pytest.raises(TrackingError, match=r"the experiment gone of sqlite.* was deleted; restore it with `mlflow"):
        stores.experiment_id("gone")


def test_an_experiment_that_cannot_be_made_says_why(store: str) -> None:
    with pytest.raises(TrackingError, match="cannot create the experiment"):
        stores.experiment_id("x" * 600)


def test_a_store_in_a_folder_that_does_not_exist_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(TrackingError, match=r"no folder .*/nowhere for the tracking store mlflow.db; make it first"):
        stores.ensure_store(f"sqlite:///{tmp_path}/nowhere/mlflow.db")


def test_a_folder_in_the_way_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(TrackingError, match="no folder"):
        stores.ensure_store(f"sqlite:///{tmp_path}/file/mlflow.db")
    (tmp_path / ".mlflow.db.lock").mkdir()
    with pytest.raises(TrackingError, match="cannot make the tracking store"):
        stores.ensure_store(f"sqlite:///{tmp_path}/mlflow.db")


def test_a_file_that_is_no_store_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").write_text("not a database" * 100)
    with pytest.raises(TrackingError, match=r"the tracking store sqlite.*mlflow.db cannot be opened"):
        stores.client(f"sqlite:///{tmp_path}/mlflow.db")


def test_a_server_that_does_not_answer_is_said_at_once_and_without_its_password() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    began = time.monotonic()
    with pytest.raises(TrackingError, match=f"no tracking server answers at http://127.0.0.1:{port}; start") as caught:
        stores.client(f"http://me:secret@127.0.0.1:{port}")
    assert time.monotonic() - began < 10
    assert "secret" not in str(caught.value)


def test_four_processes_make_one_store(tmp_path: Path) -> None:
    environment = {**os.environ, "MLFLOW_TRACKING_URI": f"sqlite:///{tmp_path}/mlflow.db"}
    command = [sys.executable, "-m", "entrypoints.init_store"]
    processes = [
        subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    for process in processes:
        out, err = process.communicate(timeout=90)
        assert (process.returncode, out) == (0, f"MLFLOW_TRACKING_URI=sqlite:///{tmp_path}/mlflow.db\n"), err
    assert {path.name for path in tmp_path.iterdir()} == {"mlflow.db", ".mlflow.db.lock"}
    assert stores.experiment_id(uri=environment["MLFLOW_TRACKING_URI"]) == "1"


def test_a_store_that_cannot_be_made_is_an_exit_status(tmp_path: Path) -> None:
    environment = {**os.environ, "MLFLOW_TRACKING_URI": "sqlite:///relative.db"}
    command = [sys.executable, "-m", "entrypoints.init_store"]
    result = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert result.returncode == 2
    assert result.stderr.startswith("error: MLFLOW_TRACKING_URI=sqlite:///relative.db is relative")
