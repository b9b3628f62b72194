"""The metric buffer: nothing lost, nothing stuck, whatever the store does meanwhile."""

import threading
import time
from collections.abc import Sequence

import pytest

from lab.errors import TrackingError
from lab.tracking.metrics import BATCH, MetricBuffer, Point


def points(count: int, start: int = 0) -> list[Point]:
    return [Point("train/loss", float(step), 0, step) for step in range(start, start + count)]


class Store:
    """Keeps what it is sent; fails as often as it is told."""

    def __init__(self, failures: int = 0) -> None:
        self.batches: list[list[Point]] = []
        self.failures = failures

    def send(self, batch: Sequence[Point]) -> None:
        if self.failures:
            self.failures -= 1
            raise OSError("no answer")
        self.batches.append(list(batch))

    @property
    def steps(self) -> list[int]:
        return [point.step for batch in self.batches for point in batch]


def wait_until(true: object, seconds: float = 5.0) -> None:
    deadline = time.monotonic() + seconds
    while not true() and time.monotonic() < deadline:  # type: ignore[operator]
        time.sleep(0.005)
    assert true()  # type: ignore[operator]


def test_batches_are_full_and_in_order() -> None:
    store = Store()
    buffer = MetricBuffer(store.send, seconds=60, values=10**6)
    buffer.add(points(2 * BATCH + 5))
    assert store.batches == []
    buffer.close()
    assert [len(batch) for batch in store.batches] == [BATCH, BATCH, 5]
    assert store.steps == list(range(2 * BATCH + 5))


def test_a_full_buffer_is_sent_without_being_asked() -> None:
    store = Store()
    buffer = MetricBuffer(store.send, seconds=60, values=10)
    buffer.add(points(9))
    time.sleep(0.1)
    assert store.batches == []
    buffer.add(points(1, 9))
    wait_until(lambda: store.steps == list(range(10)))
    buffer.close()


def test_a_point_waits_no_longer_than_told() -> None:
    store = Store()
    buffer = MetricBuffer(store.send, seconds=0.1)
    buffer.add(points(1))
    wait_until(lambda: store.steps == [0])
    buffer.close()


def test_adding_does_not_wait_for_a_slow_store() -> None:
    release = threading.Event()
    sent: list[Point] = []

    def send(batch: Sequence[Point]) -> None:
        release.wait(10)
        sent.extend(batch)

    buffer = MetricBuffer(send, values=1)
    began = time.monotonic()
    for step in range(1000):
        buffer.add(points(1, step))
    assert time.monotonic() - began < 1
    assert sent == []
    release.set()
    buffer.close()
    assert [point.step for point in sent] == list(range(1000))


def test_what_the_store_refused_is_sent_again(capsys: pytest.CaptureFixture[str]) -> None:
    store = Store(failures=2)
    buffer = MetricBuffer(store.send, seconds=0.02)
    buffer.add(points(3))
    wait_until(lambda: store.steps == [0, 1, 2])
    buffer.close()
    assert store.steps == [0, 1, 2]
    assert capsys.readouterr().err.count("warning: metrics are kept and sent again") == 1


def test_a_store_that_never_answers_is_an_error_at_the_end_and_the_points_are_kept() -> None:
    store = Store(failures=10**6)
    buffer = MetricBuffer(store.send, seconds=60)
    buffer.add(points(7))
    with pytest.raises(TrackingError, match="7 metric values could not be recorded: no answer"):
        buffer.close()
    store.failures = 0
    buffer.flush()
    assert store.steps == list(range(7))


def test_an_interruption_between_sending_and_forgetting_loses_nothing() -> None:
    sent: list[Point] = []

    def send(batch: Sequence[Point]) -> None:
        sent.extend(batch)
        if len(sent) == 3:
            raise KeyboardInterrupt

    buffer = MetricBuffer(send, seconds=60)
    buffer.add(points(3))
    with pytest.raises(KeyboardInterrupt):
        buffer.flush()
    buffer.close()
    assert set(sent) == set(points(3))


def test_a_closed_buffer_takes_no_more() -> None:
    buffer = MetricBuffer(Store().send)
    buffer.close()
    with pytest.raises(TrackingError, match="the run has ended and takes no more metrics: train/loss"):
        buffer.add(points(1))


def test_many_threads_lose_nothing() -> None:
    store = Store()
    buffer = MetricBuffer(store.send, seconds=0.001, values=5)
    threads = [
        threading.Thread(target=lambda n=n: [buffer.add(points(1, 1000 * n + i)) for i in range(300)]) for n in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    buffer.close()
    assert sorted(store.steps) == sorted(1000 * n + i for n in range(4) for i in range(300))
