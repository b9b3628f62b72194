"""A run as small JSON: what was asked, on which machine, with which seeds, and what came out.

    python -m benchmarks.run_export RUN_ID results/lora_learns_less_h200.json
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from lab.studies.registry import ENTRIES
from lab.tracking.lookup import find, resolve
from lab.tracking.opening import PARENT_TAG, children
from lab.tracking.rows import config_of, table
from lab.tracking.store import client

LONGEST_TABLE = 400  # rows; a table of every item stays in its run
LEFT_OUT = ("mlflow.", "lab.config", "lab.capsule", "lab.model")


def exported(reference: str) -> dict[str, Any]:
    """Returns what a run recorded, and of its children what tells them apart.

    Args:
        reference: A run id or an unambiguous start of one.
    """
    run_id = resolve(reference).run_id
    run = find(run_id)
    kept = {entry.path for entry in client().list_artifacts(run_id)}
    tables = [entry.path for entry in client().list_artifacts(run_id, "tables")] if "tables" in kept else []
    rows = {Path(path).stem: table(run_id, Path(path).stem) for path in tables}
    nested = list(dict.fromkeys(_nested(run_id)))
    study, config = run.data.tags.get("lab.study", "unknown"), config_of(run)
    return {
        "study": study, "command": _command(study, config), "config": config,
        "machine": _machine([run_id, *nested]), "commit": run.data.tags.get("mlflow.source.git.commit"),
        "seconds": ((run.info.end_time or run.info.start_time) - run.info.start_time) / 1000,
        "params": {name: value for name, value in run.data.params.items() if name not in config},
        "tags": {name: value for name, value in run.data.tags.items() if not name.startswith(LEFT_OUT)},
        "metrics": run.data.metrics,
        "hypotheses": _json(run_id, "hypotheses.json", kept), "verdicts": _json(run_id, "verdicts.json", kept),
        "tables": {name: each for name, each in rows.items() if len(each) <= LONGEST_TABLE},
        "children": [_child(child) for child in nested]}


def _nested(run_id: str) -> list[str]:
    """Runs nested under this one, and under the earlier parts that it went on from."""
    run = find(run_id)
    earlier = [each for part in config_of(run).get("resume") or [] for each in _nested(resolve(part).run_id)]
    return [*earlier, *children(client(), run.info.experiment_id, run_id)]


def _machine(run_ids: list[str]) -> str | None:
    """What the first of these runs that loaded a model ran on."""
    found = (find(run_id).data.params.get("base.device") for run_id in run_ids)
    return next((device for device in found if device), None)


def _command(study: str, config: dict[str, Any]) -> str:
    known = {entry.name for entry in ENTRIES}
    said = " ".join(f"-P {name}={','.join(map(str, value)) if isinstance(value, list) else value}"
                    for name, value in config.items() if value is not None)
    return f"mlflow run . -e {study} {said} --env-manager local" if study in known else study


def _child(run_id: str) -> dict[str, Any]:
    run = find(run_id)
    return {"run": run_id, "name": run.info.run_name, "status": run.info.status, "parent": run.data.tags.get(PARENT_TAG),
            "metrics": {name: value for name, value in run.data.metrics.items() if not name.startswith(("train/", "time/"))}}


def _json(run_id: str, path: str, kept: set[str]) -> Any:
    if path not in kept:
        return None
    return json.loads(Path(client().download_artifacts(run_id, path)).read_text(encoding="utf-8"))


def main(argv: list[str]) -> None:
    """Writes one run's export."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run_id")
    parser.add_argument("file", type=Path)
    options = parser.parse_args(argv)
    found = exported(options.run_id)
    options.file.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(f"{options.file}: {options.file.stat().st_size} bytes")


if __name__ == "__main__":
    main(sys.argv[1:])
