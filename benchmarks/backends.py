"""QLoRA on a 7B-shaped model with random weights: each backend trains, then the other opens the adapter by run id.

    python benchmarks/backends.py --out results/backends_7b.json            # one CUDA GPU with 40 GiB
    python benchmarks/backends.py --tiny --backends transformers --out …    # a rehearsal on any machine

Prints tokens per second and peak memory side by side, and each adapter's held-out loss as its own backend saw it at the
end of training and as the other backend sees it after fetching it by run id.
"""

import argparse
import itertools
import json
import os
import platform
import random
import statistics
import subprocess
import sys
import tempfile
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).parents[1]
SHAPES = {  # Qwen2.5-7B's, and a small one of the same family
    "7b": {"hidden_size": 3584, "intermediate_size": 18944, "num_hidden_layers": 28, "num_attention_heads": 28,
           "num_key_value_heads": 4, "vocab_size": 152064},
    "tiny": {"hidden_size": 128, "intermediate_size": 256, "num_hidden_layers": 2, "num_attention_heads": 4,
             "num_key_value_heads": 2, "vocab_size": 4096},
}
SEED = 0


def make_model(folder: Path, shape: str) -> None:
    """Saves a model of random weights with the embedded model's tokenizer."""
    import torch
    from transformers import Qwen2Config, Qwen2ForCausalLM

    from lab.models.loading import load_base

    tokenizer = load_base("embedded").tokenizer
    torch.manual_seed(SEED)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    config = Qwen2Config(**SHAPES[shape], max_position_embeddings=4096, tie_word_embeddings=False,
                         eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id, bos_token_id=None)
    torch.set_default_dtype(torch.bfloat16)
    with torch.device(device):
        model = Qwen2ForCausalLM(config)
    torch.set_default_dtype(torch.float32)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def make_data(path: Path, rows: int, words: int) -> None:
    """Writes chat rows of about the same length."""
    generator = random.Random(SEED)
    vocabulary = ["the", "red", "blue", "small", "large", "cat", "dog", "bird", "house", "river", "walks", "sees", "with"]
    with path.open("w") as file:
        for _ in range(rows):
            turns = [{"role": role, "content": " ".join(generator.choices(vocabulary, k=words))}
                     for role in ("user", "assistant")]
            file.write(json.dumps({"messages": turns}) + "\n")


def train(folder: Path, data: Path, backend: str, tiny: bool) -> str:
    """Runs the entry point `finetune` through MLflow and returns the run's id."""
    from mlflow import MlflowClient

    parameters = {"model": folder, "dataset": data, "method": "qlora", "backend": backend, "r": 16, "alpha": 32,
                  "lr": "2e-4", "steps": 3 if tiny else 20, "batch_size": 2 if tiny else 8, "max_length": 1024,
                  "eval_every": 1 if tiny else 10, "eval_split": 0.1, "seed": SEED}
    words = [word for name, value in parameters.items() for word in ("-P", f"{name}={value}")]
    subprocess.run([sys.executable, "-m", "mlflow", "run", str(ROOT), "-e", "finetune", *words, "--env-manager", "local"],
                   check=True)
    client = MlflowClient()
    newest = client.search_runs([e.experiment_id for e in client.search_experiments()], max_results=1,
                                order_by=["attributes.start_time DESC"])
    return newest[0].info.run_id


def measured(run_id: str) -> dict[str, float]:
    """Returns what a training run measured of itself; the first five steps are warm-up."""
    from mlflow import MlflowClient

    client = MlflowClient()
    speeds = [m.value for m in client.get_metric_history(run_id, "train/tokens_per_second") if m.step > 5] or [
        m.value for m in client.get_metric_history(run_id, "train/tokens_per_second")]
    return {"tokens_per_second_median": statistics.median(speeds), "tokens_per_second_min": min(speeds),
            "tokens_per_second_max": max(speeds),
            "peak_bytes": max(m.value for m in client.get_metric_history(run_id, "memory/peak_bytes")),
            "loss_base": client.get_metric_history(run_id, "eval/loss")[0].value,
            "loss_at_end": client.get_run(run_id).data.metrics["best/loss"]}


def reopen(run_id: str, folder: Path, data: Path, backend: str) -> float:
    """Returns the held-out loss of the adapter of `run_id`, fetched by id onto a base loaded by `backend`."""
    from lab.models import backends

    backends.prepare(backend)
    from lab.data.dataset import build
    from lab.models.loading import load_base
    from lab.models.tuned import open_run
    from lab.training.evaluate import evaluate

    base = load_base(str(folder), quantization="nf4", backend=backend, max_length=1024)
    rows = build(str(data), base.tokenizer, max_length=1024, eval_split=0.1, seed=0, facts=1, answers=2)
    opened = open_run(run_id, base=base)
    return evaluate(opened.model, rows.evaluation, step=0, pad_id=base.tokenizer.pad_token_id).loss


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--tiny", action="store_true")
    parser.add_argument("--backends", default="transformers,unsloth")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--reopen", nargs=4, metavar=("RUN", "MODEL", "DATA", "BACKEND"))
    arguments = parser.parse_args()
    if arguments.reopen:
        run_id, folder, data, backend = arguments.reopen
        print("LOSS", json.dumps(reopen(run_id, Path(folder), Path(data), backend)))
        return
    names = arguments.backends.split(",")
    work = Path(tempfile.mkdtemp(prefix="lab-backends-"))
    os.environ.setdefault("MLFLOW_TRACKING_URI", f"sqlite:///{work}/mlflow.db")
    folder, data = work / "model", work / "chat.jsonl"
    subprocess.run([sys.executable, "-c", f"import sys; sys.path[:0] = {[str(ROOT), str(ROOT / 'benchmarks')]!r}; "
                    f"from pathlib import Path; import backends; "
                    f"backends.make_model(Path({str(folder)!r}), {'tiny' if arguments.tiny else '7b'!r})"], check=True)
    make_data(data, rows=40 if arguments.tiny else 220, words=20 if arguments.tiny else 250)
    result: dict = {"command": "python " + " ".join(sys.argv), "seed": SEED, "machine": machine(), "versions": versions(),
                    "runs": {}, "tolerance_nats_per_token": 0.001}
    for backend in names:
        run_id = train(folder, data, backend, arguments.tiny)
        result["runs"][backend] = {"run": run_id, **measured(run_id), "reopened": {}}
        save(result, arguments.out)
    for trained, backend in sorted(itertools.product(names, names), key=lambda pair: pair[0] == pair[1]):  # crossed first
        output = subprocess.run([sys.executable, __file__, "--reopen", result["runs"][trained]["run"], str(folder),
                                 str(data), backend], check=True, stdout=subprocess.PIPE, text=True).stdout
        loss = json.loads(next(line for line in output.splitlines() if line.startswith("LOSS"))[5:])
        result["runs"][trained]["reopened"][backend] = loss
        save(result, arguments.out)
    show(result)


def save(result: dict, path: Path | None) -> None:
    if path:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(result, indent=1) + "\n")


def machine() -> str:
    import torch

    return torch.cuda.get_device_name() if torch.cuda.is_available() else f"{platform.machine()}, {os.cpu_count()} cores"


def versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for name in ("torch", "transformers", "peft", "trl", "bitsandbytes", "unsloth", "mlflow"):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found


def show(result: dict) -> None:
    print(f"\n{'trained by':<14}{'tokens/s':>10}{'peak GiB':>10}{'loss base':>11}{'loss end':>10}   reopened by")
    for backend, run in result["runs"].items():
        again = ", ".join(f"{name} {loss:.5f}" for name, loss in run["reopened"].items())
        print(f"{backend:<14}{run['tokens_per_second_median']:>10.0f}{run['peak_bytes'] / 2**30:>10.2f}"
              f"{run['loss_base']:>11.5f}{run['loss_at_end']:>10.5f}   {again}")


if __name__ == "__main__":
    main()
