"""Signals: the first counts, later ones wait, workers and launchers are told apart."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lab.tracking import signals
from lab.tracking.endings import Killed, ending_of


def test_the_first_signal_counts_and_later_ones_wait(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(Killed, match="SIGTERM"), signals.signals_as_exceptions():
        try:
            os.kill(os.getpid(), signal.SIGTERM)
        finally:
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGTERM)
    assert capfd.readouterr().err == "".join(
        f"{name}: already ending, storing what the run has so far\n" for name in ("SIGINT", "SIGTERM")
    )


def test_a_signal_that_was_swallowed_does_not_make_the_process_immortal(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Killed, match="SIGINT") as second, signals.signals_as_exceptions():
        try:
            os.kill(os.getpid(), signal.SIGTERM)
        except BaseException:
            now = time.monotonic()
        monkeypatch.setattr(time, "monotonic", lambda: now + 60)
        os.kill(os.getpid(), signal.SIGINT)
    assert not second.value.noticed


def test_a_long_clean_up_is_not_taken_for_swallowing(monkeypatch: pytest.MonkeyPatch) -> None:
    with signals.signals_as_exceptions():
        try:
            os.kill(os.getpid(), signal.SIGTERM)
        except Killed as killed:
            ending_of(killed)
        now = time.monotonic()
        monkeypatch.setattr(time, "monotonic", lambda: now + 60)
        os.kill(os.getpid(), signal.SIGINT)


def test_a_forked_worker_dies_as_if_it_had_no_handler() -> None:
    with signals.signals_as_exceptions():
        worker = os.fork()
        if worker == 0:
            try:
                time.sleep(60)
            finally:
                os._exit(99)
        time.sleep(0.1)
        os.kill(worker, signal.SIGTERM)
        _, status = os.waitpid(worker, 0)
    assert os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGTERM


needs_proc = pytest.mark.skipif(sys.platform != "linux", reason="a launcher is only watched on Linux")


@needs_proc
def test_processes_are_read_from_proc() -> None:
    assert signals._parent_of(os.getpid()) == os.getppid()
    assert "python" in signals._command(os.getpid())
    odd = subprocess.Popen(["bash", "-c", "exec -a 'x) R 1' sleep 30"])
    try:
        assert signals._parent_of(odd.pid) == os.getpid()
    finally:
        odd.kill()
        odd.wait()
    assert signals._parent_of(odd.pid) == 0 and signals._name(odd.pid) == ""


@needs_proc
def test_a_launcher_that_died_before_it_could_be_watched_is_noticed(tmp_path: Path) -> None:
    code = (
        "import os, subprocess, sys, time\n"
        "child = 'import os, time; time.sleep(0.7); from lab.tracking.signals import die_with_launcher as d; d()'\n"
        "subprocess.Popen([sys.executable, '-c', child], stderr=open(sys.argv[1], 'w'))\n"
    )
    error = tmp_path / "error"
    subprocess.run([sys.executable, "-c", code, str(error)], start_new_session=True, check=True)
    deadline = time.monotonic() + 20
    while "Killed: SIGTERM" not in error.read_text() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert "Killed: SIGTERM" in error.read_text()


@needs_proc
def test_a_dead_launcher_cannot_be_watched() -> None:
    dead = subprocess.Popen(["true"])
    dead.wait()
    with pytest.raises(Killed, match="SIGTERM"):
        signals._watch(dead.pid)
