"""Time and memory of analysing a rank-8 adapter of a 7B shape, beside the size of a dense update.

    python -m benchmarks.geometry --device cuda --out results/geometry.json
    python -m benchmarks.geometry --tiny --out /tmp/geometry.json

Every module gets a random weight and random factors when its turn comes and loses them afterwards, so that what is left of
the peak without them is what the analysis itself takes: the Gram matrix of the smaller side and its eigenvectors. Stages:
`factors` (singular values and directions of the update), `decompose` (the weight's own), `measure` (strength along the
weight, intruders and their null).
"""

import argparse
import json
import math
import os
import platform
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", str(os.cpu_count() or 1))

import torch

from lab.adapters.geometry import measure
from lab.adapters.update import Update, from_factors
from lab.adapters.weights import Decomposed, decompose
from lab.devices import peak_bytes, reset_peak

SEVEN_B = {"hidden": 3584, "ffn": 18944, "layers": 28, "heads": 28, "kv_heads": 4}
TINY = {"hidden": 96, "ffn": 256, "layers": 2, "heads": 4, "kv_heads": 2}
STAGES = ("factors", "decompose", "measure")


def shapes(hidden: int, ffn: int, layers: int, heads: int, kv_heads: int) -> Iterator[tuple[str, tuple[int, int]]]:
    """Names and (D_out, D_in) of every linear module of a Qwen2-style decoder."""
    keys = hidden // heads * kv_heads
    each = {"q_proj": (hidden, hidden), "k_proj": (keys, hidden), "v_proj": (keys, hidden), "o_proj": (hidden, hidden),
            "gate_proj": (ffn, hidden), "up_proj": (ffn, hidden), "down_proj": (hidden, ffn)}
    for layer in range(layers):
        for name, shape in each.items():
            yield f"{layer}.{name}", shape


class Stages:
    """Seconds of each stage, and the most memory it took beyond what was there before the module's turn, in bytes."""

    def __init__(self, device: str) -> None:
        self.device = device
        self.seconds = dict.fromkeys(STAGES, 0.0)
        self.peak = dict.fromkeys(STAGES, 0)

    def run(self, stage: str, held: int, work: Any) -> Any:
        """Returns what `work` gives."""
        self._wait()
        reset_peak(self.device)
        began = time.perf_counter()
        result = work()
        self._wait()
        self.seconds[stage] += time.perf_counter() - began
        self.peak[stage] = max(self.peak[stage], peak_bytes(self.device) - held)
        return result

    def _wait(self) -> None:
        if self.device.startswith("cuda"):
            torch.cuda.synchronize()


def held_bytes(device: str) -> int:
    """Memory in use now; of a CPU the resident memory of the process."""
    if device.startswith("cuda"):
        return torch.cuda.memory_allocated(device)
    reset_peak(device)
    return peak_bytes(device)


def module(shape: tuple[int, int], rank: int, dtype: torch.dtype, device: str, seed: int
           ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """A random weight with a falling spectrum in its columns, and factors of an update a few per cent of its norm."""
    generator = torch.Generator(device).manual_seed(seed)
    out, into = shape
    weight = torch.randn(out, into, generator=generator, device=device, dtype=dtype)
    weight *= torch.linspace(0.04, 0.01, into, device=device).to(dtype)
    down = torch.randn(rank, into, generator=generator, device=device) / math.sqrt(into)
    up = torch.randn(out, rank, generator=generator, device=device) / math.sqrt(out)
    return weight, down, up


def analyse(options: argparse.Namespace, size: dict[str, int], dtype: torch.dtype) -> dict[str, Any]:
    """Analyses every module in turn and returns time, peak memory and the sizes of dense updates."""
    stages, each, numbers, largest = Stages(options.device), [], 0, 0
    for index, (name, shape) in enumerate(shapes(**size)):
        weight, down, up = module(shape, options.rank, dtype, options.device, index)
        held = held_bytes(options.device)
        began = time.perf_counter()
        update: Update = stages.run("factors", held, lambda down=down, up=up: from_factors(down, up, 4.0))
        own: Decomposed = stages.run("decompose", held, lambda weight=weight: decompose(weight))
        found = stages.run("measure", held, lambda weight=weight, own=own, update=update: measure(
            weight, own, update, rank=options.rank, k=10, draws=options.draws, generator=torch.Generator().manual_seed(0)))
        numbers, largest = numbers + math.prod(shape), max(largest, math.prod(shape))
        each.append({"module": name, "shape": shape, "seconds": time.perf_counter() - began,
                     "effective_rank": found.spectral["effective_rank"], "along": found.along,
                     "null_along": float(found.null_along.mean()), "intruders": int((found.cosine < 0.5).sum())})
        del weight, down, up, own, update
        print(f"{name} {shape[0]}x{shape[1]}: {each[-1]['seconds']:.2f} s", file=sys.stderr, flush=True)
    return {"modules": len(each), "seconds": {**stages.seconds, "all": sum(row["seconds"] for row in each)},
            "peak_bytes_over_weights": {**stages.peak, "all": max(stages.peak.values())},
            "dense_update_bytes": {"largest_module_float32": 4 * largest, "largest_module_float64": 8 * largest,
                                   "all_modules_bfloat16": 2 * numbers, "all_modules_float32": 4 * numbers},
            "per_module": each}


def main(argv: list[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--tiny", action="store_true")
    parser.add_argument("--layers", type=int, default=None, help="fewer layers than the shape has")
    parser.add_argument("--rank", type=int, default=8)
    parser.add_argument("--draws", type=int, default=19)
    options = parser.parse_args(argv)
    size = dict(TINY if options.tiny else SEVEN_B)
    size["layers"] = options.layers or size["layers"]
    dtype = torch.bfloat16
    torch.linalg.eigh(torch.eye(4, dtype=torch.float64, device=options.device))  # loads the library before it is timed
    result = {"shape": size, "rank": options.rank, "draws": options.draws, "weights": str(dtype).removeprefix("torch."),
              "device": torch.cuda.get_device_name() if options.device.startswith("cuda") else platform.processor() or "cpu",
              "torch": torch.__version__, "threads": torch.get_num_threads(), **analyse(options, size, dtype)}
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps({key: value for key, value in result.items() if key != "per_module"}, indent=1))


if __name__ == "__main__":
    main(sys.argv[1:])
