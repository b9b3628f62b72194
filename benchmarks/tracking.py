"""What recording costs: the same steps without a run, with a run on SQLite, and with a run on a server, side by side.

    python -m benchmarks.tracking

Every step records loss, learning rate and gradient norm, every tenth five values more; the time ends when the last
value is stored. `waiting` steps sleep, as if a GPU worked; `computing` steps hold one core with many small array
operations, so that the thread that stores the values competes for the interpreter. Rounds alternate; the median is what
counts, and on a machine that others use too, the best round says more.
"""

import argparse
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np

from lab.options import option
from lab.tracking.run import open_run
from lab.tracking.store import ensure_store

STEP_SECONDS = 0.02
ALLOWED = 0.02  # share of wall time
OTHERS = [f"eval/value_{n}" for n in range(5)]


@dataclass(frozen=True)
class Config:
    steps: int = option(2000, "steps of one round", minimum=1)


@dataclass(frozen=True)
class Cost:
    """Wall and processor seconds of one round."""

    wall: float
    processor: float


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    kinds = {"waiting": lambda: time.sleep(STEP_SECONDS), "computing": computing_step()}
    with tempfile.TemporaryDirectory() as folder, server(Path(folder) / "server") as url:
        stores = {"SQLite": ensure_store(f"sqlite:///{folder}/mlflow.db"), "HTTP": url}
        for kind, step in kinds.items():
            found: dict[str, list[Cost]] = {name: [] for name in ("no run", *stores)}
            for _ in range(arguments.rounds):
                found["no run"].append(measure(step, arguments.steps, None))
                for name, uri in stores.items():
                    found[name].append(measure(step, arguments.steps, uri))
            show(kind, found)


def computing_step() -> Callable[[], None]:
    """Fixed work that takes about as long as a step on the idle machine."""
    a = np.random.default_rng(0).standard_normal((64, 64)).astype(np.float32)

    def work(times: int) -> None:
        for _ in range(times):
            np.tanh(a @ a)

    def seconds(times: int) -> float:
        began = time.perf_counter()
        work(times)
        return time.perf_counter() - began

    times = round(100 * STEP_SECONDS / min(seconds(100) for _ in range(50)))
    return lambda: work(times)


def measure(step: Callable[[], None], steps: int, uri: str | None) -> Cost:
    """One round; with a store, until everything is in it, without the time to open and to close the run."""

    def bare() -> None:
        for _ in range(steps):
            step()

    if uri is None:
        return timed(bare)
    os.environ["MLFLOW_TRACKING_URI"] = uri
    with open_run("benchmark", Config(steps), name="benchmark") as run:

        def record() -> None:
            for n in range(steps):
                step()
                run.step(n, {"train/loss": 1 / (n + 1), "train/learning_rate": 1e-4, "train/grad_norm": 1.0})
                if n % 10 == 0:
                    run.step(n, dict.fromkeys(OTHERS, 0.5))
            run.flush()

        return timed(record)


def timed(work: Callable[[], None]) -> Cost:
    wall, processor = time.perf_counter(), time.process_time()
    work()
    return Cost(time.perf_counter() - wall, time.process_time() - processor)


def show(kind: str, found: dict[str, list[Cost]]) -> None:
    base = found["no run"]
    print(f"\n{kind:<10} {'median s':>9} {'cost':>7} {'best s':>8} {'cost':>7} {'processor s':>12}   seconds of each round")
    for name, costs in found.items():
        median, median_share = compared(statistics.median, costs, base)
        best, best_share = compared(min, costs, base)
        processor = statistics.median(cost.processor for cost in costs)
        said = "" if name == "no run" else "  ok" if median_share <= ALLOWED else f"  above {ALLOWED:.0%}"
        each = " ".join(f"{cost.wall:.2f}" for cost in costs)
        numbers = f"{median:9.2f} {median_share:7.2%} {best:8.2f} {best_share:7.2%} {processor:12.2f}"
        print(f"{name:<10} {numbers}   {each}{said}", flush=True)


def compared(pick: Callable[[list[float]], float], costs: list[Cost], base: list[Cost]) -> tuple[float, float]:
    """Seconds picked from the rounds, and how much they are above the same pick without a run."""
    seconds, without = (pick([cost.wall for cost in some]) for some in (costs, base))
    return seconds, seconds / without - 1


@contextmanager
def server(folder: Path) -> Iterator[str]:
    """The URL of an MLflow server with one worker."""
    folder.mkdir()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    database = ensure_store(f"sqlite:///{folder}/mlflow.db")
    command = [sys.executable, "-m", "mlflow", "server", "--workers", "1", "--port", str(port)]
    command += ["--backend-store-uri", database, "--artifacts-destination", str(folder / "artifacts")]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log)
    try:
        url = f"http://127.0.0.1:{port}"
        while not answers(url):
            if process.poll() is not None:
                raise SystemExit((folder / "log").read_text())
            time.sleep(0.2)
        yield url
    finally:
        process.terminate()
        process.wait()


def answers(url: str) -> bool:
    try:
        urllib.request.urlopen(f"{url}/health", timeout=2).close()
    except OSError:
        return False
    return True


if __name__ == "__main__":
    main()
