"""A study that ends in the way it is told."""

import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab import options
from lab.options import option
from lab.tracking.session import execute

STEPS = 300


@dataclass(frozen=True)
class Config:
    mode: str = option("finish", "how to end", choices=("finish", "raise", "exit", "wait", "slow"))
    lr: float = option(2e-4, "a number", above=0)
    text: str = option("a b", "any text")


def run(config: Config) -> str:
    from lab.tracking.run import open_run

    with open_run("dummy", config, name=f"dummy {config.mode}") as run:
        for step in range(STEPS):
            run.step(step, {"train/loss": float(step)})
        if config.mode == "slow":
            run._series._buffer._send = slowly(run._series._buffer._send)
        with open_run("dummy", config, name="child") as child:
            child.step(0, {"train/loss": 2.0})
            end(config.mode)
    assert not {"torch", "transformers"} & sys.modules.keys()
    print(f"finished {run.id}")
    return run.id


def end(mode: str) -> None:
    if mode == "raise":
        raise ValueError("as told")
    if mode == "exit":
        sys.exit(0)
    if mode in ("wait", "slow"):
        wait()


def wait() -> None:
    """Tells the test who waits for its signal."""
    path = Path(os.environ["DUMMY_READY"])
    path.with_suffix(".part").write_text(str(os.getpid()))
    path.with_suffix(".part").rename(path)
    time.sleep(120)


def slowly(send: Callable[[Any], None]) -> Callable[[Any], None]:
    """Storing that is still at it when the next signal comes."""

    def slow(points: Any) -> None:
        Path(os.environ["DUMMY_READY"]).with_suffix(".cleaning").touch()
        time.sleep(2)
        send(points)

    return slow


def body(argv: Sequence[str]) -> str:
    return run(options.parse(Config, argv))


if __name__ == "__main__":
    sys.exit(execute("dummy", body))
