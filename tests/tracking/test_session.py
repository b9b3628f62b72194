"""A study as a process, looked at from inside; `tests/lifecycle` looks from outside."""

import os
import signal
import sys
import threading
from collections.abc import Callable, Sequence

import pytest

from lab import options
from lab.errors import DataError, OptionError
from lab.tracking import opening
from lab.tracking.run import open_run
from lab.tracking.session import execute
from lab.tracking.store import client, experiment_id
from tests.tracking.dummy_config import Config


def body(inside: Callable[[], None] = lambda: None, after: Callable[[], None] = lambda: None) -> Callable:
    def run(argv: Sequence[str]) -> str:
        config = options.parse(Config, argv)
        with open_run("dummy", config, name="dummy") as opened:
            inside()
        after()
        return opened.id

    return run


def fail(error: BaseException) -> Callable[[], None]:
    def raise_it() -> None:
        raise error

    return raise_it


def runs() -> list:
    return list(client().search_runs([experiment_id()]))


def test_a_finished_study(store: str) -> None:
    assert execute("dummy", body(), ["--r=4"]) == 0
    (run,) = runs()
    assert (run.info.status, run.data.tags["lab.ended"], run.data.params["r"]) == ("FINISHED", "finished", "4")


def test_the_command_line_is_the_default(store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["x.py", "--r=2"])
    assert execute("dummy", body()) == 0
    assert runs()[0].data.params["r"] == "2"


@pytest.mark.parametrize(
    ("error", "status", "ended"),
    [
        (DataError("row 17 is broken"), 2, "failed:DataError"),
        (ValueError("x"), 1, "failed:ValueError"),
        (SystemExit(0), 1, "failed:SystemExit"),
        (SystemExit("bye"), 1, "failed:SystemExit"),
        (SystemExit(3), 3, "failed:SystemExit"),
    ],
)
@pytest.mark.parametrize("when", ["inside", "after"])
def test_an_error_inside_or_after_the_run(
    store: str, error: BaseException, status: int, ended: str, when: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert execute("dummy", body(**{when: fail(error)}), []) == status
    (run,) = runs()
    assert (run.info.status, run.data.tags["lab.ended"]) == ("FAILED", ended)
    err = capsys.readouterr().err
    assert f"run {run.info.run_id}: {ended}" in err
    assert ("Traceback" in err) == (not isinstance(error, DataError))


def test_a_parameter_that_cannot_be_read_leaves_a_failed_run(store: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert execute("dummy", body(), ["--r=0", "--rank=8"]) == 2
    (run,) = runs()
    assert (run.info.status, run.data.tags["lab.ended"], run.info.run_name) == ("FAILED", "failed:OptionError", "dummy")
    assert run.data.tags["lab.study"] == "dummy"
    message = run.data.tags["lab.error"]
    assert "rank: no such parameter" in message and "r=0: allowed: an integer at least 1" in message
    assert capsys.readouterr().err == f"error: {message}\nrun {run.info.run_id}: failed:OptionError\n"


def test_a_parameter_that_cannot_be_read_fails_the_adopted_run(store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    waiting = client().create_run("0").info.run_id
    monkeypatch.setenv("MLFLOW_RUN_ID", waiting)
    seen = []

    def refusing(argv: Sequence[str]) -> str:
        seen.append(os.environ.get("MLFLOW_RUN_ID"))
        return body()(["--lr=-1"])

    assert execute("dummy", refusing, []) == 2
    assert seen == [None]
    run = client().get_run(waiting)
    assert (run.info.status, run.data.tags["lab.error"]) == ("FAILED", "lr=-1: allowed: a number above 0")
    assert runs() == [] and opening._adopted is None


def test_a_second_study_in_one_process_gets_a_run_of_its_own(store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    waiting = client().create_run("0").info.run_id
    monkeypatch.setenv("MLFLOW_RUN_ID", waiting)
    assert execute("dummy", body(), ["--r=1"]) == 0
    assert execute("dummy", body(fail(ValueError())), ["--r=2"]) == 1
    assert client().get_run(waiting).info.status == "FINISHED"
    (second,) = runs()
    assert (second.data.params["r"], second.info.status) == ("2", "FAILED")


def test_a_run_that_has_ended_is_left_alone(
    store: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert execute("dummy", body(), []) == 0
    (run,) = runs()
    monkeypatch.setenv("MLFLOW_RUN_ID", run.info.run_id)
    assert execute("dummy", body(), ["--r=4"]) == 2
    assert capsys.readouterr().err.count("has already ended (finished)") == 1
    assert client().get_run(run.info.run_id).to_dictionary() == run.to_dictionary()


def test_tracebacks_can_be_asked_for(
    store: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LAB_TRACEBACK", "1")
    assert execute("dummy", body(), ["--r=0"]) == 2
    assert "Traceback" in capsys.readouterr().err


def test_help_is_no_run(store: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert execute("dummy", body(), ["--help"]) == 0
    assert capsys.readouterr().out.startswith("dummy\nParameters, each with its default:\n  --r=8")
    assert runs() == []
    waiting = client().create_run("0").info.run_id
    monkeypatch.setenv("MLFLOW_RUN_ID", waiting)
    assert execute("dummy", body(), ["--help"]) == 2
    assert client().get_run(waiting).data.tags["lab.error"] == "--help does not run a study; leave it out"


def test_a_store_that_cannot_be_reached_is_said_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///relative.db")
    assert execute("dummy", body(), []) == 2
    assert capsys.readouterr().err.count("is relative") == 1
    assert execute("dummy", fail(OptionError("r=0")) and body(), ["--r=0"]) == 2  # type: ignore[arg-type]
    err = capsys.readouterr().err
    assert err.startswith("error: r=0: allowed") and "error: this ending could not be recorded: MLFLOW_TRACKING" in err


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_kills_the_run_and_the_handlers_are_put_back(store: str, signum: int) -> None:
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    assert execute("dummy", body(lambda: os.kill(os.getpid(), signum)), []) == 128 + signum
    (run,) = runs()
    name = signal.Signals(signum).name
    assert (run.info.status, run.data.tags["lab.ended"]) == ("KILLED", f"killed:{name}")
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before


def test_a_signal_before_any_run_leaves_none_unless_one_was_adopted(
    store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def early(argv: Sequence[str]) -> str:
        os.kill(os.getpid(), signal.SIGINT)
        return "never"

    assert execute("dummy", early, []) == 130
    assert runs() == []
    waiting = client().create_run("0").info.run_id
    monkeypatch.setenv("MLFLOW_RUN_ID", waiting)
    assert execute("dummy", early, []) == 130
    run = client().get_run(waiting)
    assert (run.info.status, run.data.tags["lab.ended"]) == ("KILLED", "killed:SIGINT")


def test_outside_the_main_thread_it_runs_without_handlers(store: str) -> None:
    found = []
    thread = threading.Thread(target=lambda: found.append(execute("dummy", body(), [])))
    thread.start()
    thread.join()
    assert found == [0]
