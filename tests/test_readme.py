"""Every command of the README works as written, but for sizes; those marked GPU only have to be understood."""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
import torch

import lab
from lab import options
from lab.studies import registry

ROOT = Path(__file__).parents[1]
SMALL = {"facts": "24", "answers": "16", "steps": "4", "batch_size": "12", "eval_every": "2",
         "count": "1", "draws": "39", "sequences": "4", "choices": "2"}
OWN = {"patching": {"draws": "1", "count": "8", "shown": "1"}, "adapter_geometry": {"draws": "19", "rows": "20"},
       "linear_probe": {"count": "100", "permutations": "99", "controls": "2", "untrained": "false"},
       "probing": {"count": "2", "readable": "none", "untrained": "false", "shown": "1"},
       "forgetting": {"items": "12", "documents": "6"},
       "lora_rank": {"evaluate_items": "12", "checkpoints": "1"},
       "mitigation": {"evaluate_items": "20", "checkpoints": "2", "scales": "0.5", "replay": "0.5"}}


def blocks() -> list[str]:
    return re.findall(r"```bash\n(.*?)```", (ROOT / "README.md").read_text(), re.S)


def commands(*, gpu: bool) -> list[str]:
    """The lines of the bash blocks; a block that begins with `# GPU` is for a GPU."""
    lines = []
    for block in blocks():
        if block.startswith("# GPU") == gpu:
            lines += [line for line in block.splitlines() if line and not line.startswith("#")]
    return lines


def study_of(command: str) -> tuple[str, list[str]]:
    """The entry point and the `--name=value` arguments of an `mlflow run` command."""
    words = shlex.split(command)
    assert words[:3] == ["mlflow", "run", "."] and words[-2:] == ["--env-manager", "local"], command
    name = words[words.index("-e") + 1] if "-e" in words else "main"
    return name, [f"--{words[i + 1]}" for i, word in enumerate(words) if word == "-P"]


@pytest.fixture(scope="module")
def place(empty_database, tmp_path_factory):
    """A folder with a store, a support.jsonl and an adapter made by plain PEFT."""
    import shutil

    from peft import LoraConfig, get_peft_model

    from lab.models.loading import load_base

    folder = tmp_path_factory.mktemp("readme")
    shutil.copy(empty_database, folder / "mlflow.db")
    rows = [{"messages": [{"role": "user", "content": f"What is {n}+1?"}, {"role": "assistant", "content": str(n + 1)}]}
            for n in range(30)]
    (folder / "support.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    model = get_peft_model(load_base("embedded").model, LoraConfig(r=2, target_modules=["q_proj"], task_type="CAUSAL_LM"))
    torch.nn.init.normal_(model.base_model.model.model.layers[0].self_attn.q_proj.lora_B["default"].weight)
    model.save_pretrained(folder / "my-peft-folder")
    config = json.loads((folder / "my-peft-folder/adapter_config.json").read_text())
    config["base_model_name_or_path"] = "embedded"
    (folder / "my-peft-folder/adapter_config.json").write_text(json.dumps(config))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder / 'mlflow.db'}")
        patch.delenv("MLFLOW_RUN_ID", raising=False)
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        yield folder
        torch.set_num_threads(threads)


def test_every_study_command_runs(place):
    """One after another, as a reader types them: what asks for a run id gets the latest training's."""
    seen = []
    for command in commands(gpu=False):
        if not command.startswith("mlflow run"):
            continue
        command = command.replace("/data/", f"{place}/").replace("/models/", f"{place}/")
        trained = lab.runs()
        trained = trained[trained["metric.best/loss"].notna()] if "metric.best/loss" in trained else trained
        command = command.replace("<run id>", trained["run_id"].iloc[0] if len(trained) else "<run id>")
        name, argv = study_of(command)
        study = registry.load(name)
        known = {o.name for o in options.describe(study.Config)}
        given = {argument.split("=")[0][2:] for argument in argv}
        small = SMALL | OWN.get(name, {})
        asked = [f"--{key}={value}" for key, value in small.items() if key in known - given or key in ("steps", "batch_size")
                 and key in known]
        argv = [a for a in argv if a.split("=")[0][2:] not in ("steps", "batch_size")]
        study.run(options.parse(study.Config, [*argv, *asked]))
        seen.append(name)
    assert {"lora_rank", "ask", "main", "finetune", "adopt", "attention", "attention_compare", "probing", "patching",
            "linear_probe", "adapter_geometry", "forgetting", "mitigation"} <= set(seen)
    assert set(lab.runs()["ended"]) == {"finished"}


def test_gpu_commands_are_understood_and_have_a_record():
    for command in commands(gpu=True):
        if command.startswith("mlflow run"):
            name, argv = study_of(command)
            options.parse(registry.load(name).Config, argv)
    record = json.loads((ROOT / "results/backends_7b.json").read_text())
    assert set(record["runs"]) == {"transformers", "unsloth"}


def test_the_server_of_the_readme_starts(tmp_path, free_port, monkeypatch):
    command = next(line for line in commands(gpu=False) if line.startswith("mlflow server"))
    command = command.replace("/srv/lab", str(tmp_path)).replace("0.0.0.0", "127.0.0.1")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    words = [sys.executable, "-m", *shlex.split(command), "--port", str(free_port)]
    process = subprocess.Popen(words, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                               start_new_session=True)
    try:
        deadline = time.monotonic() + 90
        while True:
            try:
                assert urllib.request.urlopen(f"http://127.0.0.1:{free_port}/health", timeout=2).status == 200
                break
            except OSError:
                assert process.poll() is None and time.monotonic() < deadline
                time.sleep(0.5)
    finally:
        os.killpg(process.pid, signal.SIGKILL)  # its workers too
        process.wait(20)


def test_mlflow_ui_is_a_command():
    subprocess.run([sys.executable, "-m", "mlflow", "ui", "--help"], check=True, stdout=subprocess.DEVNULL)


def test_no_other_command_is_left_untested():
    tested = ("mlflow run", "mlflow server", "mlflow ui")
    by_ci = ("pip install -e .", "python -m pytest")
    by_other_tests = ("python -m entrypoints.init_store", "export MLFLOW_TRACKING_URI=")
    left = [line for line in commands(gpu=False) if not line.startswith((*tested, *by_ci, *by_other_tests))]
    assert left == []
