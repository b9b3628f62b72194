"""What capturing the residual stream costs beside a plain forward, TransformerLens and nnsight.

    python -m benchmarks.capture                          # CPU: 8 layers x 512, 8 heads, L = 1,024, one thread
    python -m benchmarks.capture --device cuda            # 7B shape in bfloat16, L = 1,024 and 4,096
    python -m benchmarks.capture --tiny --out /tmp/tiny   # a rehearsal

All ways run in one process on equal random weights, in every round in another order. Each time they read four texts, one
after the other, and wait for what came of one before they go on, as whoever uses it has to. A ratio is the median over
rounds of a way's time over that of the plain forward of the same round, its spread the quartiles. The peers have copies of
the model: TransformerLens rebuilds it and computes attention eagerly. Results go to results/.

On a CPU time is processor time, since others use the machine too, and freed memory stays with the process: by default glibc
hands it back and takes it again in every layer, and whether a plain forward or one that keeps activations pays more for
that is an accident of the heap (`--default-allocator` shows it; ratios from 0.89 to 1.11 were seen).
"""

import argparse
import contextlib
import copy
import ctypes
import gc
import json
import platform
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from lab.models.batch import forward, inputs
from lab.probing.capture import capture, capturing
from lab.probing.decomposition import decompose
from lab.probing.norms import PARTS, lengths_and_products, norms

SMALL = {"hidden_size": 512, "num_hidden_layers": 8, "num_attention_heads": 8, "num_key_value_heads": 8,
         "intermediate_size": 1408, "vocab_size": 4096, "max_position_embeddings": 8192}
SEVEN = {"hidden_size": 3584, "num_hidden_layers": 28, "num_attention_heads": 28, "num_key_value_heads": 4,
         "intermediate_size": 18944, "vocab_size": 152064, "max_position_embeddings": 32768}
TINY = {**SMALL, "hidden_size": 64, "num_hidden_layers": 2, "intermediate_size": 96}
PLAIN, KEPT, REDUCED = "plain forward", "lab, five sites kept", "lab, reduced in the hook"
BARS = {"cpu": {KEPT: 1.1}, "cuda": {REDUCED: 1.05}}
HOOKS = ("hook_resid_pre", "hook_attn_out", "hook_resid_mid", "hook_mlp_out", "hook_resid_post")
MIB = 2**20
TEXTS = 4  # read one after the other in each measurement; hooks are put in place once for all of them

Way = Callable[[torch.Tensor], Any]


def main() -> None:
    """Measures, prints a table and writes the record."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--lengths", default=None, help="tokens, comma-separated")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--tiny", action="store_true", help="two narrow layers and 64 tokens, to try the ways")
    parser.add_argument("--default-allocator", action="store_true", help="leave glibc's handling of freed memory alone")
    parser.add_argument("--out", type=Path, default=Path("results"))
    given = parser.parse_args()
    cuda = given.device == "cuda"
    if not cuda:
        torch.set_num_threads(1)
    if not given.default_allocator:
        _keep_freed_memory()
    torch.manual_seed(0)
    model = _model(TINY if given.tiny else SEVEN if cuda else SMALL, given.device)
    ways, failed = _ways(model)
    lengths = given.lengths or ("64" if given.tiny else "1024,4096" if cuda else "1024")
    rows = [row for length in lengths.split(",") for row in _measured(ways, model, int(length), given.rounds)] + failed
    record = {"command": f"python -m benchmarks.capture --device {given.device}", "machine": _machine(given.device),
              "versions": _versions(), "seed": 0, "rounds": given.rounds, "texts": TEXTS,
              "allocator": "default" if given.default_allocator else "keeps freed memory", "rows": rows}
    given.out.mkdir(parents=True, exist_ok=True)
    (given.out / f"capture_{given.device}.json").write_text(json.dumps(record, indent=1) + "\n")
    print(_table(rows))


def _keep_freed_memory() -> None:
    with contextlib.suppress(AttributeError):  # a system without glibc
        system = ctypes.CDLL(None)
        trim_threshold, mmap_max = -1, -4  # as malloc.h numbers them
        system.mallopt(mmap_max, 0)
        system.mallopt(trim_threshold, 2**31 - 1)


def _model(shape: dict[str, int], device: str) -> Any:
    from transformers import Qwen2Config, Qwen2ForCausalLM

    torch.set_default_dtype(torch.bfloat16 if device == "cuda" else torch.float32)
    try:
        with torch.device(device):
            return Qwen2ForCausalLM(Qwen2Config(**shape, attn_implementation="sdpa")).eval()  # type: ignore[arg-type]
    finally:
        torch.set_default_dtype(torch.float32)


def _ways(model: Any) -> tuple[dict[str, Way], list[dict[str, Any]]]:
    """What is compared, by name, and what could not be."""
    parts = decompose(model)
    ways: dict[str, Way] = {
        PLAIN: _each(lambda tokens: forward(model, inputs(model, tokens), keep_logits=False)),
        KEPT: _captured(model, parts),
        REDUCED: _captured(model, parts, sites=PARTS, reduce=lengths_and_products),
        "lab, reduced, hooks put in place each time": _each(
            lambda tokens: capture(model, inputs(model, tokens), parts, sites=PARTS, reduce=lengths_and_products)),
        "lab, norms and directions": _each(lambda tokens: norms(model, inputs(model, tokens), parts)),
    }
    failed = []
    for name, make in (("nnsight, five sites saved", _nnsight), ("TransformerLens, five names cached", _transformer_lens)):
        try:
            ways[name] = _each(make(copy.deepcopy(model)))
        except ImportError as error:
            failed.append({"way": name, "failed": f"not installed: {error}"})
    return ways, failed


def _each(way: Way) -> Way:
    def texts(tokens: torch.Tensor) -> None:
        for _ in range(TEXTS):
            way(tokens)
            _wait(tokens)
    return texts


def _captured(model: Any, parts: Any, **what: Any) -> Way:
    def texts(tokens: torch.Tensor) -> None:
        with capturing(model, parts, **what) as take:
            for _ in range(TEXTS):
                take(inputs(model, tokens))
                _wait(tokens)
    return texts


def _wait(tokens: torch.Tensor) -> None:
    if tokens.is_cuda:
        torch.cuda.synchronize()


def _nnsight(model: Any) -> Way:
    import nnsight

    opened = nnsight.NNsight(model)

    def saved(tokens: torch.Tensor) -> Any:
        kept = []
        with opened.trace(input_ids=tokens, use_cache=False, logits_to_keep=1):
            for layer in opened.model.layers:
                kept += [nnsight.save(layer.input), nnsight.save(layer.self_attn.output[0]),
                         nnsight.save(layer.post_attention_layernorm.input), nnsight.save(layer.mlp.output),
                         nnsight.save(layer.output)]
        return kept

    return saved


def _transformer_lens(model: Any) -> Way:
    from transformer_lens.model_bridge import TransformerBridge

    from lab.models.loading import load_base

    model.config.architectures = [type(model).__name__]
    tokenizer = load_base("embedded", device="cpu").tokenizer
    with tempfile.TemporaryDirectory() as folder:
        model.config.save_pretrained(folder)  # it reads the configuration from there, the weights from the model
        bridge = TransformerBridge.boot_transformers(folder, hf_model=model, tokenizer=tokenizer, device=model.device,
                                                     dtype=model.dtype)
    return lambda tokens: bridge.run_with_cache(tokens, names_filter=lambda name: name.endswith(HOOKS), use_cache=False,
                                                logits_to_keep=1)


@torch.no_grad()
def _measured(ways: dict[str, Way], model: Any, length: int, rounds: int) -> list[dict[str, Any]]:
    device, vocabulary = model.device.type, model.config.vocab_size
    tokens = torch.randint(0, vocabulary, (1, length), device=device)
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for way in ways.values():
        way(tokens)
    order = random.Random(0)
    for _ in range(rounds):
        for name in order.sample(list(ways), len(ways)):
            seconds[name].append(_seconds(lambda name=name: ways[name](tokens), device))
    rows = []
    for name, taken in seconds.items():
        ratios = [one / plain for one, plain in zip(taken, seconds[PLAIN], strict=True)]
        low, ratio, high = statistics.quantiles(ratios, n=4)
        rows.append({"way": name, "length": length, "seconds": statistics.median(taken) / TEXTS,
                     "times_plain": round(ratio, 3), "quartiles": [round(low, 3), round(high, 3)],
                     "all_seconds": [round(value / TEXTS, 5) for value in taken]})
        if bar := BARS[device].get(name):
            rows[-1] |= {"bar": bar, "held": ratio <= bar}
        if device == "cuda":
            rows[-1]["peak_mib"] = _peak(lambda way=ways[name]: way(tokens))
    return rows


def _seconds(way: Callable[[], Any], device: str) -> float:
    if device == "cpu":
        began = time.process_time()
        kept = way()
        taken = time.process_time() - began
    else:
        torch.cuda.synchronize()
        began = time.perf_counter()
        kept = way()
        torch.cuda.synchronize()
        taken = time.perf_counter() - began
    del kept  # outside of the time
    return taken


def _peak(way: Callable[[], Any]) -> float:
    """Most bytes on the GPU above those before, in MiB."""
    gc.collect()
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    way()
    torch.cuda.synchronize()
    return round((torch.cuda.max_memory_allocated() - before) / MIB, 1)


def _table(rows: list[dict[str, Any]]) -> str:
    """The rows as text, failures beside what worked."""
    lines = [f"{'way':<42} {'tokens':>6} {'seconds':>9} {'÷ plain':>8} {'quartiles':>15} {'bar':>10} {'peak MiB':>9}"]
    for row in rows:
        if "failed" in row:
            lines.append(f"{row['way']:<42} {row['failed']}")
            continue
        low, high = row["quartiles"]
        bar = f"{row['bar']} {'held' if row['held'] else 'broken'}" if "bar" in row else ""
        lines.append(f"{row['way']:<42} {row['length']:>6} {row['seconds']:9.4f} {row['times_plain']:8.3f} "
                     f"{low:7.3f}–{high:.3f} {bar:>12} {row.get('peak_mib', ''):>9}")
    return "\n".join(lines)


def _machine(device: str) -> str:
    if device == "cuda":
        return f"one {torch.cuda.get_device_name()}"
    return f"{platform.machine()}, {torch.get_num_threads()} thread"


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version(), "torch": torch.__version__}
    for name in ("transformers", "transformer-lens", "nnsight"):
        with contextlib.suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


if __name__ == "__main__":
    main()
