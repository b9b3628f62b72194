"""The error of "this head changed" on adapters that are themselves draws from the null, and how a planted head is found.

    python -m benchmarks.attention_null --out results/attention_null.json

A small random model; per comparison one adapter with singular values of its own and Haar-random directions is compared
with fresh draws of the same singular values, which are read from that adapter's weights as for a trained one. No draw
serves in two comparisons, so that they are independent. In planted adapters one head's queries read the principal
directions of their input, as training makes them; their draws spread the same singular values over all directions.
"""

import argparse
import itertools
import json
import math
import os
import platform
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch
from peft import LoraConfig, get_peft_model
from transformers import Qwen2Config, Qwen2ForCausalLM

from lab.adapters.haar import add_slots, draw, haar_frame
from lab.adapters.spectra import spectra
from lab.attention.compare import compare
from lab.evaluation.family_wise import DEFAULT_DRAWS, MINIMUM_DRAWS, family_wise, level
from lab.evaluation.intervals import of_share

SEED = 0
OBSERVED = "observed"
HEADS = 4
SHAPE = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 3, "num_attention_heads": HEADS,
         "num_key_value_heads": 2, "vocab_size": 64, "max_position_embeddings": 64, "initializer_range": 0.3}
LORA = {"r": 4, "lora_alpha": 8, "target_modules": "all-linear"}
PROMPTS, TOKENS = 3, 12


@dataclass(frozen=True)
class Bench:
    """A PEFT model with the adapter `OBSERVED` and a slot for each draw, and the prompts."""

    model: Any
    tokens: torch.Tensor

    def change(self, adapters: Sequence[str]) -> np.ndarray:
        """Divergence of each adapter's attention from the base's, [A, prompts, L, H] nats, all from one forward pass."""
        return compare(self.model, adapters, self.tokens, decompose=False, routed=True).divergence.numpy()


def bench(draws: int = DEFAULT_DRAWS) -> Bench:
    torch.manual_seed(SEED)
    base = Qwen2ForCausalLM(Qwen2Config(**SHAPE))
    tokens = torch.randint(SHAPE["vocab_size"], (PROMPTS, TOKENS))
    model = get_peft_model(base, LoraConfig(**LORA), adapter_name=OBSERVED).eval()
    add_slots(model, OBSERVED, slots(draws))
    return Bench(model, tokens)


def slots(draws: int) -> list[str]:
    return [f"null_{number}" for number in range(draws)]


def random_spectra(bench: Bench, generator: torch.Generator) -> dict[str, torch.Tensor]:
    """Singular values as of some training: from flat to one dominant direction, strong in some modules."""
    values = {}
    for name, old in spectra(bench.model, OBSERVED).items():
        size, steepness = torch.randn(2, generator=generator).exp()
        values[name] = 0.5 * size * torch.arange(1, len(old) + 1) ** -steepness.double()
    return values


def measured(bench: Bench, draws: int, seeds: Iterator[int], values: dict[str, torch.Tensor] | None = None
             ) -> tuple[np.ndarray, np.ndarray]:
    """The change by the observed adapter [prompts, L, H] and by fresh draws, of its singular values if none are given."""
    values = spectra(bench.model, OBSERVED) if values is None else values
    for slot in slots(draws):
        draw(bench.model, OBSERVED, slot, next(seeds), values)
    change = bench.change([OBSERVED, *slots(draws)])
    return change[0], change[1:]


def observe_draw(bench: Bench, generator: torch.Generator, seeds: Iterator[int]) -> None:
    """Puts a draw from the null in the place of the trained adapter."""
    draw(bench.model, slots(1)[0], OBSERVED, next(seeds), random_spectra(bench, generator))


def plant(bench: Bench, generator: torch.Generator, seeds: Iterator[int]) -> tuple[int, int]:
    """A draw, but for one head's queries: they read what their layer reads most; returns that layer and head.

    That layer's update of the queries keeps its singular values; its right vectors become the principal directions of the
    layer's inputs, its left ones lie in the head's rows.
    """
    observe_draw(bench, generator, seeds)
    layer, head = (int(torch.randint(n, (), generator=generator)) for n in (SHAPE["num_hidden_layers"], HEADS))
    block = bench.model.get_base_model().model.layers[layer]
    down, up = (part[OBSERVED].weight for part in (block.self_attn.q_proj.lora_A, block.self_attn.q_proj.lora_B))
    width = len(up) // HEADS
    with torch.no_grad(), bench.model.disable_adapter():
        states = bench.model(input_ids=bench.tokens, output_hidden_states=True).hidden_states[layer]
        directions = torch.linalg.svd(block.input_layernorm(states).flatten(0, 1), full_matrices=False).Vh
    with torch.no_grad():
        reads, writes = down.norm(dim=1), up.norm(dim=0)
        down.copy_(directions[:len(reads)] * reads[:, None])
        up.zero_()[head * width:(head + 1) * width] = haar_frame(width, len(writes), generator) * writes
    return layer, head


def false_calls(bench: Bench, comparisons: int, draws: int, seeds: Iterator[int]) -> list[list[bool]]:
    """Whether any head is called more, and whether any is called less, with the fewest draws and with all."""
    generator = torch.Generator().manual_seed(SEED)
    rows = []
    for number in range(comparisons):
        observe_draw(bench, generator, seeds)
        observed, null = measured(bench, draws, seeds)
        tests = [family_wise(observed, null[:count]) for count in (MINIMUM_DRAWS, draws)]
        rows.append([bool(called.any()) for test in tests for called in (test.changed, test.less_changed)])
        report(number, comparisons)
    return rows


def planted(bench: Bench, comparisons: int, draws: int, seeds: Iterator[int]) -> list[list[float]]:
    """With the fewest draws and with all: is the planted head called, how many below it are, and its ratio to the null."""
    generator = torch.Generator().manual_seed(SEED + 1)
    rows = []
    for number in range(comparisons):
        layer, head = plant(bench, generator, seeds)
        observed, null = measured(bench, draws, seeds)
        tests = [family_wise(observed, null[:count]) for count in (MINIMUM_DRAWS, draws)]
        rows.append([float(n) for test in tests for n in (
            test.changed[layer, head], test.changed[:layer].sum(), test.ratio[layer, head])])
        report(number, comparisons)
    return rows


def report(number: int, of: int) -> None:
    if sys.stderr.isatty() or (number + 1) % 50 == 0:
        print(f"{number + 1} of {of}", file=sys.stderr, flush=True)


def share(hits: int, of: int) -> dict[str, Any]:
    found = of_share(hits, of, "comparisons")
    return {"count": hits, "rate": found.value, "interval_95": [found.low, found.high]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--comparisons", type=int, default=400)
    parser.add_argument("--plants", type=int, default=100)
    parser.add_argument("--draws", type=int, default=DEFAULT_DRAWS)
    parser.add_argument("--out", type=Path, required=True)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    at, seeds, since = bench(asked.draws), itertools.count(), time.perf_counter()
    false = np.sum(false_calls(at, asked.comparisons, asked.draws, seeds), axis=0)
    found = np.array(planted(at, asked.plants, asked.draws, seeds))
    result = {
        "command": f"python -m benchmarks.attention_null {' '.join(sys.argv[1:])}", "seed": SEED, "device": "cpu",
        "machine": f"{platform.machine()}, {os.cpu_count()} cores", "seconds": round(time.perf_counter() - since, 1),
        "versions": {"python": platform.python_version(),
                     **{name: metadata.version(name) for name in ("torch", "transformers", "peft", "numpy")}},
        "model": {"type": "qwen2", **SHAPE}, "lora": LORA, "prompts": PROMPTS, "tokens": TOKENS, "alpha": 0.05,
        "comparisons": asked.comparisons, "plants": asked.plants,
        "allowed": math.floor(0.065 * asked.comparisons),
        "by_draws": {str(draws): {
            "exact_level": level(draws), "any_head_called_more": share(int(false[2 * i]), asked.comparisons),
            "any_head_called_less": share(int(false[2 * i + 1]), asked.comparisons),
            "planted_head_called": share(int(found[:, 3 * i].sum()), asked.plants),
            "heads_called_below_the_plant": int(found[:, 3 * i + 1].sum()),
            "median_ratio_of_planted_head_to_null": float(np.median(found[:, 3 * i + 2]))}
            for i, draws in enumerate((MINIMUM_DRAWS, asked.draws))}}
    asked.out.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result["by_draws"], indent=1))


if __name__ == "__main__":
    main()
