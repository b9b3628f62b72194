"""LLM Learning Lab: learn how language models change when they are fine-tuned, by running real experiments.

Axes, used in every docstring and shape comment:
    B batch, L layer, H head, Q query position, K key position, T token position, D model width, V vocabulary, R rank.
Units: nats or bits (always said), bytes, seconds, tokens.

For notebooks, each by run id and from the store that MLFLOW_TRACKING_URI names:
    lab.open_run(run_id)       an ordinary PEFT or Transformers model, its tokenizer and its base, verified
    lab.open_several(run_ids)  several adapters on one base
    lab.fetch(run_id)          the verified files of an adapter
    lab.runs(study)            runs as a pandas table with typed columns
    lab.table(run_id, name)    a table of a run
    lab.arrays(run_id, name)   the arrays behind a figure
    lab.history(run_id, name)  steps and values of a metric
"""

import importlib
from typing import Any

__version__ = "0.1.0"
_PUBLIC = {
    "open_run": "lab.models.tuned", "open_several": "lab.models.tuned", "fetch": "lab.tracking.capsule",
    "runs": "lab.tracking.rows", "table": "lab.tracking.rows", "arrays": "lab.tracking.rows",
    "history": "lab.tracking.rows",
}


def __getattr__(name: str) -> Any:
    if name in _PUBLIC:  # imported on first use, so that `import lab` stays light
        return getattr(importlib.import_module(_PUBLIC[name]), name)
    raise AttributeError(f"module 'lab' has no attribute {name!r}; it has {', '.join(_PUBLIC)}")


def __dir__() -> list[str]:
    return [*globals(), *_PUBLIC]
