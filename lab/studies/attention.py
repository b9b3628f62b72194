"""Where does attention go?"""

from dataclasses import dataclass

from lab import options
from lab.options import option

QUESTION = "Where does attention go in this model?"
LIMITS = [
    "An attention weight is not importance: values and the output projection decide what a head adds. Only the ablation of "
    "induction heads shows an effect on what the model predicts.",
    "The first token is where causal attention puts what it has no use for (Xiao et al. 2023; Gu et al. 2024): much of it "
    "there is no interest in its content. Whether it is a template's or a beginning-of-text token changes the number.",
    "The best head of a role was picked among all heads: its value in the table is biased upwards. The verdicts pick it on "
    "one half of the prompts and measure it on the other.",
    "The best head of a role need not fill it: hold its share against that of uniform attention.",
    "Roles are named by where heads look on these prompts; a head can have several, and others on other texts.",
    "A zero in the place of a head's output is no input that later layers know: part of an ablation's cost may be that.",
]


@dataclass(frozen=True)
class Config:
    """Which model is looked at, on what."""

    model: str | None = option(None, "embedded, a Hub id, a local folder, run:<id> or models:/name@alias; none: embedded, "
                                     "or with run_id the base where training found it")
    run_id: str | None = option(None, "training run whose tuned model is looked at, instead of a model")
    prompts: tuple[str, ...] = option(("auto",), "auto (world or, for other models, english, and held_out of run_id), "
                                                 "held_out (rows that the run held out), world, one of its categories, "
                                                 "english, text, a file, a dataset folder or a Hub id")
    text: str | None = option(None, "what prompts=text stands for")
    column: str | None = option(None, "column of data files and datasets that holds free text")
    chat: str = option("auto", "chat template: auto (where rows are chats), true or false",
                       choices=("auto", "true", "false"))
    count: int = option(4, "prompts of each category, and three times as many of held_out", minimum=1)
    recent: int = option(16, "last keys that the statistic recent counts", minimum=1)
    copied: int = option(50, "random tokens that are said twice to find induction heads", minimum=32)
    sequences: int = option(16, "of random tokens: one half finds induction heads, the other measures them", minimum=4)
    ablated: int | None = option(None, "heads of highest induction score that are ablated; none: those that score at least "
                                       "half as high as the best, at most a tenth of all", minimum=1)
    choices: int = option(20, "random choices of other heads that are ablated instead", minimum=2)
    layers: tuple[int, ...] | None = option(None, "layers whose heads get whole maps; none: the best of every role",
                                            minimum=0)
    heads: tuple[int, ...] | None = option(None, "heads that get whole maps, in each of layers", minimum=0)
    tokens: str | None = option(None, "first:last token of whole maps; none: the first 512")
    shown: int = option(4, "best heads, one of each role, that get whole maps, if layers and heads name none", minimum=0)
    map_budget_gib: float = option(1.0, "GiB that whole maps may take", above=0)
    queries: tuple[int, ...] | None = option(None, "positions whose most attended keys are listed", minimum=0)
    top_k: int = option(5, "keys listed for each of queries", minimum=1)
    device: str = option("auto", "auto, cpu, cuda or mps", choices=("auto", "cpu", "cuda", "mps"))
    dtype: str = option("auto", "auto, float32 or bfloat16", choices=("auto", "float32", "bfloat16"))
    seed: int = option(0, "random seed of prompts, random tokens and random heads", minimum=0)
    predict: str | None = option(None, "your guess, written down before anything is computed")


def tour(run_id: str) -> Config:
    """Returns what the tour asks."""
    return Config(run_id=run_id, count=2, sequences=8, choices=10)


def run(config: Config) -> str:
    """Measures where a model's heads look and returns the id of the run that says so."""
    options.validate(config)
    from lab.studies import attention_one
    from lab.studies.attention_shown import token_range
    from lab.tracking.run import open_run

    token_range(config.tokens)
    of = f"run {config.run_id}" if config.run_id else config.model or "embedded"
    with open_run("attention", config, name=f"attention {of}"[:120]) as run:
        attention_one.look(run, config, question=QUESTION, limits=LIMITS)
        return run.id
