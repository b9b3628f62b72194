"""Which trainings of a grid this call may begin: a share of them, and none that would end too late."""

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lab.errors import OptionError

_PART = re.compile(r"([1-9][0-9]*)/([1-9][0-9]*)")


@dataclass(frozen=True)
class Part:
    """Every `count`-th training, from the `number`-th on."""

    number: int
    count: int

    @classmethod
    def read(cls, text: str) -> "Part":
        """Returns the part that `2/8` means.

        Raises:
            OptionError: It is written otherwise, or there is no such part.
        """
        matched = _PART.fullmatch(text)
        if matched is None or int(matched[1]) > int(matched[2]):
            raise OptionError(f"part={text}: allowed is a number and how many parts there are, such as 1/1, or 2/8 for the "
                              "second of eight")
        return cls(int(matched[1]), int(matched[2]))

    def of(self, grid: Sequence[Any]) -> list[Any]:
        """Returns its share of the grid."""
        return list(grid[self.number - 1::self.count])

    @property
    def next(self) -> str:
        """The part after it; after the last one all that is left."""
        return f"{self.number + 1}/{self.count}" if self.number < self.count else "1/1"


class Clock:
    """Whether a training would end in time, by how long the ones before it took.

    Args:
        minutes: From now on; None for no end.
    """

    def __init__(self, minutes: float | None) -> None:
        self.ends = None if minutes is None else time.monotonic() + 60 * minutes
        self.seconds: dict[str, float] = {}  # for each row trained on, the slowest so far, by method

    def took(self, config: Any, seconds: float) -> None:
        """Remembers how long a training took, with everything that is recorded about it."""
        self.seconds[config.method] = max(self.seconds.get(config.method, 0.0), seconds / _rows(config))

    def allows(self, config: Any) -> bool:
        """Whether a training would end in time; where nothing is known yet, whether there is any time left."""
        if self.ends is None:
            return True
        known = self.seconds.get(config.method, max(self.seconds.values(), default=0.0))
        return time.monotonic() + known * _rows(config) < self.ends


def _rows(config: Any) -> int:
    return config.steps * config.batch_size * config.accumulate
