"""What measuring attention costs: time and memory beside plain SDPA, eager weights and, if installed, TransformerLens.

    python -m benchmarks.attention                                      # CPU: 8 layers x 512, 8 heads, L = 4,096
    python -m benchmarks.attention --device cuda                        # 7B shape in bfloat16, L = 32,768 and 131,072

Each way runs in the same process on the same random weights; times are medians. Results go to results/.
"""

import argparse
import contextlib
import gc
import json
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from lab.attention.compare import compare
from lab.attention.measure import measure
from lab.devices import peak_bytes, reset_peak

SMALL = {"hidden_size": 512, "num_hidden_layers": 8, "num_attention_heads": 8, "num_key_value_heads": 8,
         "intermediate_size": 1408, "vocab_size": 4096, "max_position_embeddings": 8192}
SEVEN = {"hidden_size": 3584, "num_hidden_layers": 28, "num_attention_heads": 28, "num_key_value_heads": 4,
         "intermediate_size": 18944, "vocab_size": 152064, "max_position_embeddings": 131072}
MIB = 2**20


def main() -> None:
    """Measures, prints a table and writes the record."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--lengths", default=None)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--layers", type=int, default=None)
    parser.add_argument("--heads", type=int, default=None, help="key-value heads of the small model")
    parser.add_argument("--out", type=Path, default=Path("results"))
    given = parser.parse_args()
    torch.manual_seed(0)
    rows = _cuda(given) if given.device == "cuda" else _cpu(given)
    record = {"command": f"python -m benchmarks.attention --device {given.device}", "machine": _machine(given.device),
              "versions": _versions(), "seed": 0, "repeats": given.repeats, "rows": rows}
    given.out.mkdir(parents=True, exist_ok=True)
    (given.out / f"attention_{given.device}.json").write_text(json.dumps(record, indent=1) + "\n")
    print(_table(rows))


def _table(rows: list[dict[str, Any]]) -> str:
    """The rows as text, failures beside what worked."""
    lines = [f"{'way':<40} {'tokens':>7} {'seconds':>9} {'÷ sdpa':>7} {'peak MiB':>9} {'over sdpa':>10}"]
    for row in rows:
        found = row.get("failed") or (f"{row['seconds']:9.3f} {row['times_sdpa']:7.2f} {row['peak_mib']:9.1f} "
                                      f"{row['mib_over_sdpa']:10.1f}")
        lines.append(f"{row['way']:<40} {row['length']:>7} {found}")
    return "\n".join(lines)


def _cpu(given: argparse.Namespace) -> list[dict[str, Any]]:
    length = int(given.lengths or 4096)
    model = _model({**SMALL, **({"num_key_value_heads": given.heads} if given.heads else {})}, "cpu", torch.float32)
    tokens = torch.randint(0, SMALL["vocab_size"], (1, length))
    ways: dict[str, Callable[[], Any]] = {
        "sdpa forward": lambda: model(tokens, use_cache=False, logits_to_keep=1),
        "lab statistics": lambda: measure(model, tokens, routed=True),
    }
    rows = _interleaved(ways, given.repeats, length)
    model.set_attn_implementation("eager")
    rows += _interleaved({"eager output_attentions": lambda: model(tokens, use_cache=False, output_attentions=True,
                                                                   logits_to_keep=1)}, 2, length)
    rows += _transformer_lens(model, tokens)
    return _relative(rows)


def _cuda(given: argparse.Namespace) -> list[dict[str, Any]]:
    from peft import LoraConfig, get_peft_model

    shape = {**SEVEN, **({"num_hidden_layers": given.layers} if given.layers else {})}
    model = _model(shape, "cuda", torch.bfloat16)
    rows = []
    for length in [int(part) for part in (given.lengths or "4096,32768,131072").split(",")]:
        repeats = given.repeats if length < 100_000 else 0
        tokens = torch.randint(0, shape["vocab_size"], (1, length), device="cuda")
        rows += _interleaved({"sdpa forward": lambda t=tokens: model(t, use_cache=False, logits_to_keep=1),
                              "lab statistics": lambda t=tokens: measure(model, t, routed=True)}, repeats, length)
        model.set_attn_implementation("eager")
        rows.append(_attempt("eager output_attentions", length, lambda t=tokens: model(
            t, use_cache=False, output_attentions=True, logits_to_keep=1)))
        model.set_attn_implementation("sdpa")
    tuned = get_peft_model(model, LoraConfig(r=16, lora_alpha=32, target_modules="all-linear", task_type="CAUSAL_LM")).eval()
    for name, parameter in tuned.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=1e-3)
    for length in [int(part) for part in (given.lengths or "32768,131072").split(",")]:
        repeats = min(3, given.repeats) if length < 100_000 else 0
        tokens = torch.randint(0, shape["vocab_size"], (1, length), device="cuda")
        ways = {"sdpa forward of base and adapter": lambda t=tokens: _base_and_adapter(tuned, t),
                "lab divergence": lambda t=tokens: compare(tuned, ["default"], t, decompose=False, routed=True)}
        rows += _interleaved(ways, repeats, length)
        if repeats:
            rows.append(_once("lab divergence, direct and inherited",
                              lambda t=tokens: compare(tuned, ["default"], t, routed=True), length))
    return _relative(rows)


def _base_and_adapter(tuned: Any, tokens: torch.Tensor) -> None:
    """The two plain forwards that a comparison stands against."""
    plain = tuned.get_base_model()
    with tuned.disable_adapter():
        plain(tokens, use_cache=False, logits_to_keep=1)
    plain(tokens, use_cache=False, logits_to_keep=1)


def _model(shape: dict[str, int], device: str, dtype: torch.dtype) -> Any:
    from transformers import Qwen2Config, Qwen2ForCausalLM

    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        with torch.device(device):
            return Qwen2ForCausalLM(Qwen2Config(**shape, attn_implementation="sdpa")).eval()  # type: ignore[arg-type]
    finally:
        torch.set_default_dtype(before)


def _interleaved(ways: dict[str, Callable[[], Any]], repeats: int, length: int) -> list[dict[str, Any]]:
    """Times the ways in turn, so that a drift of the machine falls on all; then their peak memory, one by one."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    if not repeats:
        return [_once(name, way, length) for name, way in ways.items()]
    with torch.no_grad():
        for way in ways.values():
            way()
        for _ in range(repeats):
            for name, way in ways.items():
                seconds[name].append(_seconds(way))
        rows = []
        for name, way in ways.items():
            rows.append({"way": name, "length": length, "seconds": statistics.median(seconds[name]),
                         "all_seconds": [round(value, 4) for value in seconds[name]], "peak_mib": round(_peak(way), 1),
                         **_resident(way)})
            print(rows[-1], flush=True)
        return rows


def _once(name: str, way: Callable[[], Any], length: int) -> dict[str, Any]:
    """Time and memory of a single run, for lengths at which a second one would teach little."""
    taken: list[float] = []
    with torch.no_grad():
        peak = _peak(lambda: taken.append(_seconds(way)))
    row = {"way": name, "length": length, "seconds": taken[0], "all_seconds": taken, "peak_mib": round(peak, 1)}
    print(row, flush=True)
    return row


def _attempt(name: str, length: int, way: Callable[[], Any]) -> dict[str, Any]:
    try:
        return _once(name, way, length)
    except torch.OutOfMemoryError as error:
        return {"way": name, "length": length, "failed": f"{type(error).__name__}: {str(error).split('. ')[0]}"}
    finally:
        gc.collect()
        torch.cuda.empty_cache()


def _seconds(way: Callable[[], Any]) -> float:
    _wait()
    began = time.perf_counter()
    way()
    _wait()
    return time.perf_counter() - began


def _wait() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def _peak(way: Callable[[], Any]) -> float:
    """Most bytes of live tensors above those before, in MiB: PyTorch's allocator on CUDA, its profiler on a CPU."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        way()
        _wait()
        return (torch.cuda.max_memory_allocated() - before) / MIB
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profile:
        way()
    live = most = 0
    for event in profile.profiler.kineto_results.events():
        if event.name() == "[memory]":
            live += event.nbytes()
            most = max(most, live)
    return most / MIB


def _resident(way: Callable[[], Any]) -> dict[str, float]:
    """Growth of the process's resident memory during a run, in MiB, on a CPU; freed heap that is used again is not in it."""
    if torch.cuda.is_available():
        return {}
    gc.collect()
    reset_peak("cpu")
    before = peak_bytes("cpu")
    way()
    return {"resident_growth_mib": round((peak_bytes("cpu") - before) / MIB, 1)}


def _transformer_lens(model: Any, tokens: torch.Tensor) -> list[dict[str, Any]]:
    """The same patterns as TransformerLens keeps them, of the same weights; its bridge runs eager attention."""
    try:
        from transformer_lens.model_bridge import TransformerBridge
    except ImportError:
        return [{"way": "TransformerLens", "length": tokens.shape[1], "failed": "not installed"}]
    from lab.models.loading import load_base

    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        bridge = TransformerBridge.boot_transformers(folder, hf_model=model, tokenizer=load_base("embedded").tokenizer)

    def cached() -> Any:
        return bridge.run_with_cache(tokens, names_filter=lambda name: name.endswith("hook_pattern"))

    return _interleaved({"TransformerLens, patterns cached": cached}, 2, tokens.shape[1])


def _relative(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Adds time and memory relative to the plain forward of the same length before each row."""
    plain: dict[int, dict[str, Any]] = {}
    for row in rows:
        if row["way"].startswith("sdpa"):
            plain[row["length"]] = row
        if "seconds" in row and row["length"] in plain:
            base = plain[row["length"]]
            row["times_sdpa"] = round(row["seconds"] / base["seconds"], 3)
            row["mib_over_sdpa"] = round(row["peak_mib"] - base["peak_mib"], 1)
    return rows


def _machine(device: str) -> str:
    if device == "cuda":
        return f"one {torch.cuda.get_device_name()}"
    return f"{platform.machine()}, {torch.get_num_threads()} threads"


def _versions() -> dict[str, str]:
    from importlib.metadata import PackageNotFoundError, version

    found = {"python": platform.python_version(), "torch": torch.__version__}
    for name in ("transformers", "peft", "triton", "transformer-lens"):
        with contextlib.suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


if __name__ == "__main__":
    main()
