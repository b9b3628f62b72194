"""A buffer between the training loop and the store: one commit every few seconds, never one a step."""

import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

from lab.errors import TrackingError
from lab.tracking.store import shown

BATCH = 1000  # values MLflow takes at once
_ATTEMPTS = 3
_PATIENCE = 60.0  # seconds


class Point(NamedTuple):
    """One value of one series; timestamp in milliseconds, and the logged model and dataset it was measured on."""

    key: str
    value: float
    timestamp: int
    step: int
    model_id: str | None = None
    dataset: tuple[str, str] | None = None  # name and digest


class MetricBuffer:
    """Takes points at once and hands them to `send` from a thread of its own.

    A batch that could not be sent is kept and sent again; sending a point twice is harmless, because the store knows
    it by its key, time, step and value.

    Args:
        send: Stores at most `BATCH` points, or raises.
        seconds: Longest time that a point waits while the store answers.
        values: Points that are sent without waiting.
    """

    def __init__(self, send: Callable[[Sequence[Point]], None], *, seconds: float = 3.0, values: int = 800) -> None:
        self._send = send
        self._seconds = seconds
        self._values = values
        self._pending: list[Point] = []
        self._sending = threading.Lock()
        self._wake = threading.Event()
        self._closed = False
        self._warned = False
        self._thread: threading.Thread | None = None

    def add(self, points: Sequence[Point]) -> None:
        """Takes points; never waits for the store.

        Raises:
            TrackingError: The buffer was closed.
        """
        if self._closed:
            raise TrackingError(f"the run has ended and takes no more metrics: {', '.join(p.key for p in points)}")
        self._pending.extend(points)
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="metric-buffer", daemon=True)
            self._thread.start()
        if len(self._pending) >= self._values:
            self._wake.set()

    def flush(self) -> None:
        """Returns when every point is stored.

        Raises:
            TrackingError: The store refused several times; the points are kept.
        """
        began = time.monotonic()
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                return self._drain()
            except Exception as error:
                # A server that is away has been tried for minutes by MLflow itself before this.
                if attempt == _ATTEMPTS or time.monotonic() - began > _PATIENCE:
                    raise TrackingError(
                        f"{len(self._pending)} metric values could not be recorded: {shown(str(error))[:1000]}"
                    ) from error

    def close(self) -> None:
        """Flushes and ends the thread.

        Raises:
            TrackingError: Points could not be stored.
        """
        self._closed = True
        self._wake.set()
        self.flush()

    def _drain(self) -> None:
        with self._sending:
            while self._pending:
                # Removed only once stored: an interruption here repeats a batch and loses none.
                batch = self._pending[:BATCH]
                self._send(batch)
                del self._pending[: len(batch)]

    def _work(self) -> None:
        while not self._closed:
            self._wake.wait(self._seconds)
            self._wake.clear()
            if self._closed:
                return
            try:
                self._drain()
            except Exception as error:
                self._warn(error)
                self._wake.wait(self._seconds)

    def _warn(self, error: Exception) -> None:
        if not self._warned:
            why = shown(str(error))[:300]
            print(f"warning: metrics are kept and sent again, the store did not take them: {why}", file=sys.stderr)
        self._warned = True
