"""The metrics of one run: finite values on their way to the store, the others named."""

import math
import re
import time
from collections.abc import Callable, Mapping, Sequence

from lab.errors import TrackingError
from lab.tracking.metrics import MetricBuffer, Point

_NAME = re.compile(r"[A-Za-z0-9_.:-][A-Za-z0-9_.: -]*(/[A-Za-z0-9_.: -]+)*")


class Series:
    """Takes values by step; remembers evaluations, for the model that is kept at their step.

    Args:
        send: Stores a batch of points, or raises.

    Attributes:
        started: Whether any value was taken.
        last_step: The highest step so far.
    """

    def __init__(self, send: Callable[[Sequence[Point]], None]) -> None:
        self.started = False
        self.last_step = 0
        self._buffer = MetricBuffer(send)
        self._evaluations: dict[int, dict[str, Point]] = {}

    def add(self, step: int, values: Mapping[str, float], model_id: str | None = None) -> list[str]:
        """Takes the finite values of a step and gives the names of the others.

        Raises:
            TrackingError: A name is none that MLflow takes, or the run has ended.
        """
        points, undefined = [], []
        now = int(time.time() * 1000)
        for name, value in values.items():
            if not _NAME.fullmatch(name):
                raise TrackingError(f"metric name {name!r}; allowed: letters, digits, _ - . : space, / between")
            number = float(value)
            if math.isfinite(number):
                points.append(Point(name, number, now, int(step), model_id))
            else:
                undefined.append(name)
        self._buffer.add(points)
        self.started = True
        self.last_step = max(self.last_step, int(step))
        for point in points:
            if point.key.startswith("eval/"):
                self._evaluations.setdefault(point.step, {})[point.key] = point
        return undefined

    def evaluation(self, step: int) -> list[Point]:
        """The points of `eval/…` at a step, as they were sent."""
        return list(self._evaluations.get(step, {}).values())

    def flush(self) -> None:
        """Returns when every value so far is stored.

        Raises:
            TrackingError: The store did not take them.
        """
        self._buffer.flush()

    def close(self) -> None:
        """Flushes and takes no more.

        Raises:
            TrackingError: The store did not take them.
        """
        self._buffer.close()
