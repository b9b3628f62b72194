"""Signals that end a run: the first one starts the clean-up, later ones wait for it; a child dies with its launcher."""

import contextlib
import os
import select
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

from lab.tracking.endings import Killed

_SHELLS = ("bash", "sh", "dash", "zsh", "ksh")
_PR_SET_PDEATHSIG = 1
_SWALLOWED_AFTER = 10.0  # seconds


class Signals:
    """Raises `Killed` in the main thread at the first SIGTERM or SIGINT and ignores later ones.

    Made for one process: a forked worker that inherits the handlers dies as if it had none.
    """

    def __init__(self) -> None:
        self._process = os.getpid()
        self._raised: Killed | None = None
        self._raised_at = 0.0

    def handle(self, signum: int, frame: FrameType | None) -> None:
        """The handler of both signals."""
        if os.getpid() != self._process:
            signal.signal(signum, signal.SIG_DFL)
            os.kill(os.getpid(), signum)
            return
        if self._raised is not None and not self._was_swallowed():
            name = signal.Signals(signum).name
            os.write(2, f"{name}: already ending, storing what the run has so far\n".encode())
            return
        self._raised, self._raised_at = Killed(signum), time.monotonic()
        raise self._raised

    def _was_swallowed(self) -> bool:
        """Whether a library caught the first one and went on; a later one has to count, or nothing ends the process."""
        assert self._raised is not None
        return not self._raised.noticed and time.monotonic() - self._raised_at > _SWALLOWED_AFTER


@contextlib.contextmanager
def signals_as_exceptions() -> Iterator[None]:
    """SIGTERM and SIGINT as exceptions while the block runs; nothing changes outside the main thread."""
    state = Signals()
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {signum: signal.signal(signum, state.handle) for signum in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)


def die_with_launcher() -> None:
    """SIGTERM for this process when the `mlflow run` that started it dies; Linux only.

    MLflow starts `bash -c "python …"`. Bash replaces itself by the last command of a simple line, so that MLflow is the
    parent; if it stays between, MLflow is watched through it.

    Raises:
        Killed: The launcher is already dead.
    """
    if sys.platform != "linux":
        return
    import ctypes

    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if _orphaned(os.getppid()):
        raise Killed(signal.SIGTERM)
    launcher = _launcher(os.getppid())
    if launcher != os.getppid():
        _watch(launcher)


def _orphaned(parent: int) -> bool:
    """Whether the launcher died before its death could be noticed, and `parent` only took its child over.

    MLflow's child shares group and session with MLflow; a process that leads its own group was started by other means,
    and parent 0 is outside this container.
    """
    if parent == 0 or os.getpgrp() == os.getpid():
        return False
    started_it = parent != 1 or _name(1) in _SHELLS or "mlflow" in _command(1)
    return not started_it or os.getsid(parent) != os.getsid(0)


def _launcher(parent: int) -> int:
    """The first process above that is not a shell."""
    while _name(parent) in _SHELLS and _parent_of(parent) > 1:
        parent = _parent_of(parent)
    return parent


def _watch(launcher: int) -> None:
    try:
        descriptor = os.pidfd_open(launcher)
    except ProcessLookupError:
        raise Killed(signal.SIGTERM) from None
    except OSError:
        return  # a kernel before 5.3: the parent's death is still noticed
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)

    def wait() -> None:
        poll.poll()
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=wait, name="launcher-watch", daemon=True).start()


def _name(process: int) -> str:
    return _read(process, "comm").strip()


def _command(process: int) -> str:
    return _read(process, "cmdline").replace("\0", " ")


def _parent_of(process: int) -> int:
    # The name in parentheses may hold spaces; what follows the last parenthesis is state, then the parent.
    fields = _read(process, "stat").rpartition(")")[2].split()
    return int(fields[1]) if len(fields) > 1 else 0


def _read(process: int, file: str) -> str:
    try:
        return Path(f"/proc/{process}/{file}").read_text()
    except OSError:
        return ""
