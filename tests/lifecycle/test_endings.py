"""However a study's process ends, and whoever ends it, its run says so, and nothing that was measured is lost.

All cases start at once, as modules on a store that does not exist yet, then under `mlflow run`: that is the test of
several processes that make and write one SQLite file, and it takes seconds instead of minutes.
"""

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from lab.tracking.store import client, experiment_id

ROOT = Path(__file__).parents[2]
PROJECT = Path(__file__).parent / "project"
MODULE = [sys.executable, str(PROJECT / "dummy_study.py")]
PROJECT_LOCALLY = [str(PROJECT), "--env-manager", "local"]
LAUNCHED = [sys.executable, "-m", "mlflow", "run", *PROJECT_LOCALLY]
STEPS = 300  # of the dummy study
TERM, INT = signal.SIGTERM, signal.SIGINT


@dataclass
class Case:
    """One process: how it is started, and who is sent what once it waits."""

    command: list[str]
    send: Callable[["Running"], None] = lambda running: None
    adopts: bool = False  # gets a run that this test made, as `mlflow run` makes one


@dataclass
class Running:
    process: subprocess.Popen
    ready: Path

    @property
    def study(self) -> int:
        """Process id of the study itself."""
        return int(self.wait_for(self.ready).read_text())

    def wait_for(self, path: Path) -> Path:
        deadline = time.monotonic() + 100
        while not path.exists():
            assert time.monotonic() < deadline and self.process.poll() is None, f"no {path.name}: {self.process.args}"
            time.sleep(0.05)
        return path


@dataclass
class Ended:
    status: int
    out: str
    err: str
    study: int | None


def to_study(signum: int) -> Callable[[Running], None]:
    return lambda running: os.kill(running.study, signum)


def to_launcher(running: Running) -> None:
    assert running.study != running.process.pid
    running.process.terminate()


def to_group(running: Running) -> None:
    """Ctrl-C in a terminal: every process of the group gets it."""
    assert running.study
    os.killpg(running.process.pid, INT)


def while_cleaning(running: Running) -> None:
    os.kill(running.study, TERM)
    running.wait_for(running.ready.with_suffix(".cleaning"))
    for signum in (INT, TERM, INT):
        time.sleep(0.1)
        os.kill(running.study, signum)


MODULES = {
    "finish": Case([*MODULE, "--lr", "1e-4"]),
    "raise": Case([*MODULE, "--mode=raise"]),
    "exit": Case([*MODULE, "--mode=exit"]),
    "term": Case([*MODULE, "--mode=wait"], to_study(TERM)),
    "ctrl-c": Case([*MODULE, "--mode=wait"], to_group),
    "while cleaning": Case([*MODULE, "--mode=slow"], while_cleaning),
}
# A launcher as MLflow is one, but with a shell that stays between it and the study.
SHELL = "import subprocess, sys; subprocess.run(['bash', '-c', sys.argv[1]])"
LINE = shlex.join([*MODULE, "--mode=wait"]) + "; exit $?"
IN_TURN = {
    "launched finish": [*PROJECT_LOCALLY, "-P", "lr=0.0001", "-P", "text=it's $HOME"],
    "launched raise": [*PROJECT_LOCALLY, "-P", "mode=raise"],
    "launched exit": [*PROJECT_LOCALLY, "-P", "mode=exit"],
    "launched parse": [*PROJECT_LOCALLY, "-P", "lr=-1", "-P", "rank=8"],
}
LAUNCHES = {
    "in turn": Case([sys.executable, str(Path(__file__).with_name("launch_each.py")), json.dumps(IN_TURN)]),
    "behind a shell": Case([sys.executable, "-c", SHELL, LINE], to_launcher, adopts=True),
    "launched term": Case([*LAUNCHED, "-P", "mode=wait"], to_study(TERM)),
    "launcher term": Case([*LAUNCHED, "-P", "mode=wait"], to_launcher),
    "launched ctrl-c": Case([*LAUNCHED, "-P", "mode=wait"], to_group),
}


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Ended]:
    folder = tmp_path_factory.mktemp("store")
    before = os.environ.get("MLFLOW_TRACKING_URI")
    os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{folder / 'mlflow.db'}"
    try:
        modules, launches = all_at_once(MODULES, folder), all_at_once(LAUNCHES, folder)
        yield {**modules, **launches, **each_of(launches["in turn"])}
    finally:
        os.environ.pop("MLFLOW_TRACKING_URI")
        if before is not None:
            os.environ["MLFLOW_TRACKING_URI"] = before


def all_at_once(cases: dict[str, Case], folder: Path) -> dict[str, Ended]:
    running = {name: start(name, case, folder) for name, case in cases.items()}
    try:
        for name, case in cases.items():
            case.send(running[name])
        return {name: end(one) for name, one in running.items()}
    finally:
        for one in running.values():
            one.process.kill()


def start(name: str, case: Case, folder: Path) -> Running:
    ready = folder / name.replace(" ", "-")
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "DUMMY_READY": str(ready),
        "MLFLOW_EXPERIMENT_NAME": name,
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
    if case.adopts:
        environment["MLFLOW_RUN_ID"] = client().create_run(experiment_id(name)).info.run_id
    out, err = (ready.with_suffix(suffix).open("w") for suffix in (".out", ".err"))
    with out, err:
        process = subprocess.Popen(
            case.command, cwd=folder, env=environment, stdout=out, stderr=err, start_new_session=True
        )
    return Running(process, ready)


def end(running: Running) -> Ended:
    status = running.process.wait(100)
    study = int(running.ready.read_text()) if running.ready.exists() else None
    deadline = time.monotonic() + 30
    while study is not None and Path(f"/proc/{study}").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    out, err = (running.ready.with_suffix(suffix).read_text() for suffix in (".out", ".err"))
    return Ended(status, out, err, study)


def each_of(in_turn: Ended) -> dict[str, Ended]:
    """The endings of the cases that one process launched in turn."""
    found = {}
    rest = in_turn.err
    for name in IN_TURN:
        err, _, rest = rest.partition(f"=== {name} ")
        status, _, rest = rest.partition("\n")
        found[name] = Ended(int(status), "", err, None)
    return found


def runs(name: str) -> list[Any]:
    """The runs of a case, children last."""
    experiment = client().get_experiment_by_name(name)
    found = [] if experiment is None else list(client().search_runs([experiment.experiment_id]))
    return sorted(found, key=lambda run: "mlflow.parentRunId" in run.data.tags)


def check(name: str, status: str, ending: str, *, error: str | None = None) -> Any:
    """The run of a case, after checking that it and its child ended so and kept every metric."""
    run, child = runs(name)
    assert (run.info.status, run.data.tags["lab.ended"]) == (status, ending)
    assert child.data.tags["lab.ended"] == ending and child.data.tags["mlflow.parentRunId"] == run.info.run_id
    assert child.info.status == ("KILLED" if ending.startswith("killed") else status)
    assert (run.data.tags.get("lab.error"), child.data.tags.get("lab.error")) == (error, error)
    points = client().get_metric_history(run.info.run_id, "train/loss")
    assert sorted((point.step, point.value) for point in points) == [(step, float(step)) for step in range(STEPS)]
    assert child.data.metrics == {"train/loss": 2.0}
    return run


def check_unread(name: str, ended: Ended) -> Any:
    """The run of a case whose parameters could not be read."""
    (run,) = runs(name)
    assert (run.info.status, run.data.tags["lab.ended"]) == ("FAILED", "failed:OptionError")
    assert ended.status != 0 and "Traceback" not in ended.err
    message = run.data.tags["lab.error"]
    assert "lr=-1: allowed: a number above 0" in message and "rank: no such parameter" in message
    assert f"error: {message}" in ended.err
    return run


def test_a_module_that_finishes(ended: dict[str, Ended]) -> None:
    run = check("finish", "FINISHED", "finished")
    assert ended["finish"].status == 0 and f"finished {run.info.run_id}" in ended["finish"].out
    assert run.data.params["lr"] == "1e-4"


def test_a_module_that_raises(ended: dict[str, Ended]) -> None:
    check("raise", "FAILED", "failed:ValueError", error="ValueError: as told")
    assert ended["raise"].status == 1 and "Traceback" in ended["raise"].err


def test_a_module_that_exits_is_no_success(ended: dict[str, Ended]) -> None:
    check("exit", "FAILED", "failed:SystemExit", error="exit called with 0")
    assert ended["exit"].status == 1


def test_sigterm_to_a_module(ended: dict[str, Ended]) -> None:
    check("term", "KILLED", "killed:SIGTERM")
    assert ended["term"].status == 128 + TERM and "Traceback" not in ended["term"].err


def test_ctrl_c_on_a_module(ended: dict[str, Ended]) -> None:
    check("ctrl-c", "KILLED", "killed:SIGINT")
    assert ended["ctrl-c"].status == 128 + INT


def test_signals_during_clean_up_wait_for_it(ended: dict[str, Ended]) -> None:
    check("while cleaning", "KILLED", "killed:SIGTERM")
    assert ended["while cleaning"].status == 128 + TERM
    assert "SIGINT: already ending, storing what the run has so far" in ended["while cleaning"].err


def test_a_launched_study_adopts_its_run_and_leaves_its_params(ended: dict[str, Ended]) -> None:
    run = check("launched finish", "FINISHED", "finished")
    assert ended["launched finish"].status == 0
    assert run.info.run_name == "dummy finish" and run.data.tags["mlflow.source.type"] == "PROJECT"
    assert run.data.params["lr"] == "0.0001" and "it'" in run.data.params["text"]
    assert '"lr": 0.0001, "text": "it\'s $HOME"' in run.data.tags["lab.config"]


def test_a_launched_study_that_raises(ended: dict[str, Ended]) -> None:
    check("launched raise", "FAILED", "failed:ValueError", error="ValueError: as told")
    assert ended["launched raise"].status == 1


def test_a_launched_study_that_exits_is_no_success(ended: dict[str, Ended]) -> None:
    check("launched exit", "FAILED", "failed:SystemExit", error="exit called with 0")
    assert ended["launched exit"].status == 1


def test_a_launched_study_whose_parameters_cannot_be_read(ended: dict[str, Ended]) -> None:
    run = check_unread("launched parse", ended["launched parse"])
    assert run.data.params["lr"] == "-1" and ended["launched parse"].status == 1


def test_sigterm_to_a_launched_study(ended: dict[str, Ended]) -> None:
    # MLflow overwrites KILLED by FAILED while it is alive to do so; the tag holds the truth.
    check("launched term", "FAILED", "killed:SIGTERM")
    assert ended["launched term"].status == 1


def test_sigterm_to_mlflow_run_reaches_the_study(ended: dict[str, Ended]) -> None:
    check("launcher term", "KILLED", "killed:SIGTERM")
    assert ended["launcher term"].status == -TERM


def test_ctrl_c_on_mlflow_run(ended: dict[str, Ended]) -> None:
    run, child = runs("launched ctrl-c")
    assert run.data.tags["lab.ended"] == child.data.tags["lab.ended"] == "killed:SIGINT"
    assert run.info.status in ("KILLED", "FAILED") and child.info.status == "KILLED"
    assert len(client().get_metric_history(run.info.run_id, "train/loss")) == STEPS
    assert ended["launched ctrl-c"].status != 0


def test_sigterm_to_mlflow_run_reaches_a_study_behind_a_shell(ended: dict[str, Ended]) -> None:
    check("behind a shell", "KILLED", "killed:SIGTERM")
    assert ended["behind a shell"].status == -TERM


def test_no_process_is_left(ended: dict[str, Ended]) -> None:
    assert [name for name, one in ended.items() if one.study and Path(f"/proc/{one.study}").exists()] == []
