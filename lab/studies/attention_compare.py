"""What did fine-tuning change about attention?"""

from dataclasses import dataclass

from lab import options
from lab.options import option

QUESTION = "What did fine-tuning change about attention?"


@dataclass(frozen=True)
class Config:
    """Which runs are compared with their base, on what."""

    run_id: tuple[str, ...] | None = option(None, "training run, or several on one base; a sweep's parent stands for its "
                                                  "children", required=True)
    model: str | None = option(None, "where the base lies, if no longer where training found it")
    placebo: str | None = option(None, "run trained alike on dataset=embedded:placebo, to compare with; <id>@last for "
                                       "weights of as many steps")
    prompts: tuple[str, ...] = option(("auto",), "auto (held_out, and world or, for other models, english), held_out (rows "
                                                 "that the runs held out), world, one of its categories, english, text, a "
                                                 "file, a dataset folder or a Hub id")
    text: str | None = option(None, "what prompts=text stands for")
    column: str | None = option(None, "column of data files and datasets that holds free text")
    chat: str = option("auto", "chat template: auto (where rows are chats), true or false",
                       choices=("auto", "true", "false"))
    count: int = option(4, "prompts of each category, and three times as many of held_out", minimum=1)
    draws: int = option(59, "random adapters of the same singular values that make the null", minimum=39)
    recent: int = option(16, "last keys that the statistic recent counts", minimum=1)
    layers: tuple[int, ...] | None = option(None, "layers whose heads get whole maps; none: those that change most",
                                            minimum=0)
    heads: tuple[int, ...] | None = option(None, "heads that get whole maps, in each of layers", minimum=0)
    tokens: str | None = option(None, "first:last token of whole maps; none: the first 512")
    shown: int = option(4, "most changed heads that get whole maps, if layers and heads name none", minimum=0)
    map_budget_gib: float = option(1.0, "GiB that whole maps may take", above=0)
    device: str = option("auto", "auto, cpu, cuda or mps", choices=("auto", "cpu", "cuda", "mps"))
    dtype: str = option("auto", "auto, float32 or bfloat16", choices=("auto", "float32", "bfloat16"))
    seed: int = option(0, "random seed of prompts and of the null", minimum=0)
    predict: str | None = option(None, "your guess, written down before anything is computed")


def tour(run_id: str) -> Config:
    """Returns what the tour asks."""
    return Config(run_id=(run_id,), count=2, draws=39)


def run(config: Config) -> str:
    """Compares every run's attention with its base's and returns the id of the run that says what changed."""
    options.validate(config)
    from lab.studies import attention_pair, attention_trained
    from lab.studies.attention_adapters import compare_adapters
    from lab.studies.attention_shown import token_range
    from lab.tracking import capsule
    from lab.tracking.run import open_run

    assert config.run_id is not None
    token_range(config.tokens)
    with open_run("attention_compare", config, name=f"attention_compare {', '.join(config.run_id)}"[:120]) as run:
        trained, placebo = attention_trained.fetch(config.run_id, config.placebo)
        for one in [*trained, *([placebo] if placebo else [])]:
            capsule.use(run, one.capsule)
        if trained[0].capsule.kind == "model":
            attention_pair.compare_whole(run, config, trained[0], question=QUESTION)
        else:
            compare_adapters(run, config, trained, placebo, question=QUESTION)
        return run.id
