"""How is a base model made?"""

from dataclasses import dataclass

from lab import options
from lab.options import option

QUESTION = "How does a model learn the micro-world from nothing, and what can it answer that it has not seen?"
LIMITS = [
    "One seed of weights and corpus; the intervals cover the held-out questions only.",
    "The micro-world is generated: what is learned early or late here says nothing about natural text.",
]


@dataclass(frozen=True)
class Config:
    """Shape, corpus and schedule of a small decoder."""

    steps: int = option(120, "optimiser steps", minimum=1)
    batch_tokens: int = option(4096, "tokens in one batch", minimum=64)
    sequence_length: int = option(512, "tokens in one packed sequence", minimum=32, maximum=1024)
    lr: float = option(3e-3, "peak learning rate", above=0)
    warmup: float = option(0.02, "share of the steps over which the learning rate rises from 0", minimum=0, maximum=1)
    eval_every: int | None = option(None, "optimiser steps between evaluations; none: a quarter of the steps", minimum=1)
    questions: int = option(1000, "held-out questions of each category at the end; at most 200 of them during training",
                            minimum=1)
    width: int = option(192, "width of the residual stream", minimum=32)
    feed_forward: int = option(576, "width of the feed-forward layers", minimum=32)
    layers: int = option(6, "decoder blocks", minimum=1)
    heads: int = option(6, "attention heads of 32 dimensions", minimum=1)
    kv_heads: int = option(3, "key and value heads", minimum=1)
    workers: int = option(1, "processes that generate the corpus; it is the same for any number", minimum=0)
    seed: int = option(0, "random seed of weights and corpus", minimum=0)
    device: str = option("auto", "auto, cpu, cuda or mps", choices=("auto", "cpu", "cuda", "mps"))
    dtype: str = option("auto", "auto, float32 or bfloat16", choices=("auto", "float32", "bfloat16"))
    predict: str | None = option(None, "your guess, written down before anything is computed")
    register: str | None = option(None, "name@alias under which the model is registered")


def run(config: Config) -> str:
    """Pretrains a model, keeps it, and returns the run's id."""
    from lab.tracking.lineage import check_target

    options.validate(config)
    if config.register is not None:
        check_target(config.register)
    from lab.studies.closing import close
    from lab.studies.pretrain_run import keep, train
    from lab.studies.pretrain_verdicts import hypotheses, table, verdicts
    from lab.tracking.report import Report, next_command
    from lab.tracking.run import open_run

    name = f"pretrain steps={config.steps} seed={config.seed}"
    with open_run("pretrain", config, name=name) as run:
        run.state(hypotheses(), config.predict)
        trained = train(run, config)
        keep(run, trained, config)
        rows = table(trained.accuracies)
        run.table("accuracy", rows)
        close(run, verdicts(trained.accuracies), Report(
            question=QUESTION, table=rows, limits=LIMITS, prediction=config.predict,
            next=[next_command("finetune", model=f"run:{run.id}")]))
        return run.id
