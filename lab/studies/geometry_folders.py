"""An adapter with other updates in it, written as an ordinary PEFT folder."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lab.adapters.update import Update
from lab.models.adapters import ADAPTER_FILE, lora_facts
from lab.tracking.capsule import Capsule
from lab.tracking.sealing import MANIFEST

_CONFIG = "adapter_config.json"
_OWN = ("format_version", "kind", "files", "lora", "eval_loss", "training")


def write(capsule: Capsule, updates: Mapping[str, Update], into: Path) -> None:
    """Writes a PEFT folder like a kept one, whose modules have these updates.

    Its rank is that of the largest, its alpha the same, so that B·A is the update without a scale.

    Args:
        capsule: What a run kept.
        updates: By module name, of every module that the kept adapter changes.
        into: An empty folder.
    """
    from safetensors.torch import save_file

    for file in capsule.folder.iterdir():
        if file.is_file() and file.name not in (ADAPTER_FILE, _CONFIG, MANIFEST):
            shutil.copyfile(file, into / file.name)
    rank = max(1, *(len(update.values) for update in updates.values()))
    tensors = {}
    for name, update in updates.items():
        down, up = update.factors(rank)
        tensors[f"base_model.model.{name}.lora_A.weight"] = down
        tensors[f"base_model.model.{name}.lora_B.weight"] = up
    save_file(tensors, into / ADAPTER_FILE, metadata={"format": "pt"})
    config = json.loads((capsule.folder / _CONFIG).read_text())
    config |= {"r": rank, "lora_alpha": rank, "use_rslora": False, "rank_pattern": {}, "alpha_pattern": {},
               "lora_dropout": 0.0, "init_lora_weights": True}
    (into / _CONFIG).write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")


def facts(capsule: Capsule, folder: Path, *, ablation: str, eval_loss: float | None, eval_rows: int) -> dict[str, Any]:
    """Returns what to seal such a folder with: the source's facts, its own LoRA settings and loss, and where it came from.

    Args:
        capsule: What it was made from.
        folder: From `write`.
        ablation: What was taken away.
        eval_loss: Held-out loss, nats per trained token; None where it is not known on what.
        eval_rows: Of the rows that it was measured on.
    """
    kept = {name: value for name, value in capsule.manifest.items() if name not in _OWN}
    return {**kept, "lora": lora_facts(json.loads((folder / _CONFIG).read_text())), "eval_loss": eval_loss,
            "eval_rows": eval_rows, "training": "ablated",
            "ablated_from": {"run": capsule.run_id, "which": capsule.which, "ablation": ablation}}
