"""The tour: a small fine-tune and every analysis of it, in one process."""

import time
from dataclasses import dataclass
from typing import Any

from lab import options
from lab.options import option
from lab.studies import finetune, registry

QUESTION = "What can be seen of one small fine-tune?"
LIMITS = ["The tour shows what the lab measures; one small training is no evidence about fine-tuning in general."]


@dataclass(frozen=True)
class Config:
    """A training small enough for two CPU cores."""

    model: str = option("embedded", "embedded, a Hub id, a local folder, run:<id> or models:/name@alias")
    dataset: str = option("embedded:facts", "what the small fine-tune learns; see finetune")
    facts: int = option(500, "new facts in embedded:facts", minimum=1)
    r: int = option(8, "rank of the adapter", minimum=1)
    lr: float = option(1e-3, "peak learning rate", above=0)
    steps: int = option(300, "optimiser steps", minimum=1)
    batch_size: int = option(32, "rows in one forward pass", minimum=1)
    seed: int = option(0, "random seed", minimum=0)
    device: str = option("auto", "auto, cpu, cuda or mps", choices=("auto", "cpu", "cuda", "mps"))
    dtype: str = option("auto", "auto, float32 or bfloat16", choices=("auto", "float32", "bfloat16"))
    predict: str | None = option(None, "your guess, written down before anything is computed")


def run(config: Config) -> str:
    """Trains once, runs each analysis that has a `tour` on the result, and returns the id of their common parent."""
    options.validate(config)
    from lab.studies.closing import close
    from lab.tracking.report import Report, next_command
    from lab.tracking.run import open_run

    with open_run("main", config, name=f"tour seed={config.seed}") as run:
        run.state([], config.predict)
        began = time.monotonic()
        trained = finetune.run(finetune.Config(
            model=config.model, dataset=config.dataset, facts=config.facts, r=config.r, lr=config.lr,
            steps=config.steps, batch_size=config.batch_size, seed=config.seed, device=config.device,
            dtype=config.dtype, eval_every=max(1, config.steps // 15)))
        table: list[dict[str, Any]] = [{"study": "finetune", "run": trained, "seconds": round(time.monotonic() - began, 1)}]
        for entry in registry.ENTRIES:
            study = registry.load(entry.name)
            if hasattr(study, "tour"):
                print(f"\n=== {entry.name}: {entry.question}", flush=True)
                began = time.monotonic()
                analysis = study.run(study.tour(trained))
                table.append({"study": entry.name, "run": analysis, "seconds": round(time.monotonic() - began, 1)})
        run.table("tour", table)
        close(run, [], Report(
            question=QUESTION, table=table, limits=LIMITS, sources=[row["run"] for row in table],
            prediction=config.predict,
            next=[next_command("lora_rank", r=(1, 4, 16)), next_command("ask", run_ids=trained)]))
        return run.id
