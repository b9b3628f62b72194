"""Stores to record in: a fresh SQLite file a test, one server for all."""

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
if "PYTEST_XDIST_WORKER" in os.environ:  # a core for each worker: two that fight over both are many times slower
    os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")  # no test may reach a hub, and asking one that is out of reach takes minutes


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """Small models on one thread: several fight over the cores, and none of these tests has work for two."""
    from lab import devices

    with devices.one_thread():
        yield


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store without runs; making one takes seconds, copying it none."""
    from lab.tracking.store import ensure_store

    database = tmp_path_factory.mktemp("template") / "mlflow.db"
    ensure_store(f"sqlite:///{database}")
    return database


@pytest.fixture(scope="module")
def place(empty_database: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of a store that all tests of a file record in."""
    folder = tmp_path_factory.mktemp("store")
    shutil.copy(empty_database, folder / "mlflow.db")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder / 'mlflow.db'}")
        for name in ("MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_ID", "MLFLOW_EXPERIMENT_NAME"):
            patch.delenv(name, raising=False)
        yield folder


@pytest.fixture
def store(empty_database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The URI of a fresh store, which MLFLOW_TRACKING_URI names during the test."""
    folder = tmp_path / "store"
    folder.mkdir()
    shutil.copy(empty_database, folder / "mlflow.db")
    for name in ("MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_ID", "MLFLOW_EXPERIMENT_NAME"):
        monkeypatch.delenv(name, raising=False)
    uri = f"sqlite:///{folder / 'mlflow.db'}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    return uri


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@pytest.fixture
def free_port() -> int:
    """A port of this machine that nothing listens on."""
    return _free_port()


@pytest.fixture(scope="session")
def server(empty_database: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of an MLflow server that hands out artifacts itself."""
    folder = tmp_path_factory.mktemp("server")
    shutil.copy(empty_database, folder / "mlflow.db")
    port = _free_port()
    command = [sys.executable, "-m", "mlflow", "server", "--workers", "1", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--backend-store-uri", f"sqlite:///{folder / 'mlflow.db'}"]
    command += ["--artifacts-destination", str(folder / "artifacts")]
    log = (folder / "log").open("w")
    process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log)
    url = f"http://127.0.0.1:{port}"
    try:
        _wait_for(url, process, folder / "log")
        yield url
    finally:
        process.terminate()
        process.wait(20)
        log.close()


def _wait_for(url: str, process: subprocess.Popen, log: Path) -> None:
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline and process.poll() is None:
        try:
            urllib.request.urlopen(f"{url}/health", timeout=2).close()
            return
        except OSError:
            time.sleep(0.2)
    raise RuntimeError(f"the server did not start:\n{log.read_text()}")
