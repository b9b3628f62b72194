"""What does each block add to the residual stream, and when is the answer there?"""

from dataclasses import dataclass

from lab import options
from lab.options import option

QUESTION = ("What does each block add to the residual stream, how does the answer come about, and from which layer on is it "
            "there?")
LIMITS = [
    "A contribution to the logit difference is direct: what a block writes for later blocks to read counts as theirs, and "
    "norm scales are held still. No part says what would happen without its block; patching does.",
    "A long contribution is not an important one: what one block writes another may erase.",
    "A lens reads every layer in the last layer's words: a layer may know the answer in a form of its own. A probe is "
    "fitted to its layer, on few rows, and finds what no later layer need read.",
    "Attribution and lens are about the answer's first token beside one foil; another foil gives other numbers.",
    "The untrained network is one draw of first weights.",
]
TUNED_LIMITS = ["One training seed: another one may write elsewhere. Each model is read with its own norm scales."]


@dataclass(frozen=True)
class Config:
    """Which model is looked into, on what questions, with which lens."""

    model: str | None = option(None, "embedded, a Hub id, a local folder, run:<id> or models:/name@alias; none: embedded, "
                                     "or with run_id the base where training found it")
    run_id: str | None = option(None, "training run whose tuned model is compared with its base")
    prompts: tuple[str, ...] = option(("auto",), "auto (world or, for other models, english, and held_out of run_id), "
                                                 "held_out (rows that the run held out), world, one of its categories, "
                                                 "english, a data file, a dataset folder or a Hub id")
    prompt: str = option("prompt", "column of data files and datasets that holds the prompt")
    answer: str = option("answer", "column that holds the right answer")
    foil: str = option("foil", "column that holds a wrong answer; it may be missing, then answers of other rows are taken")
    chat: str = option("auto", "chat template: auto (where the model has one), true or false",
                       choices=("auto", "true", "false"))
    count: int = option(16, "questions of each category", minimum=2)
    resample: str = option("auto", "what an interval resamples whole: auto (templates where there are at least 8, else "
                                   "entities), template, entity or question",
                           choices=("auto", "template", "entity", "question"))
    lens: str = option("logit", "logit, or tuned: an affine map for each layer is trained as well",
                       choices=("logit", "tuned"))
    steps: int = option(240, "optimiser steps of the tuned lens", minimum=1)
    texts: tuple[str, ...] = option(("auto",), "texts that the tuned lens is trained on: auto (world or, for other models, "
                                               "english), or world, one of its categories, english, files, datasets")
    readable: str = option("auto", "attribute of people whose linear probe is held against the lens: auto (home, for models "
                                   "that know the micro-world), none, or its name; with run_id it is asked of the base")
    threshold: float = option(0.5, "accuracy from which on probe and lens count as reading that attribute", above=0,
                              maximum=1)
    untrained: bool = option(True, "whether an untrained network of the same shape is measured beside")
    shown: int = option(2, "questions whose lens is drawn token by token, each of another category while there are so many",
                        minimum=0)
    activations: str | None = option(None, "with run_id, site@layer such as post_ffn@3: what base and tuned have there at "
                                           "every token of the questions is kept for other tools, as safetensors files")
    layers: tuple[int, ...] | None = option(None, "layers that are drawn there; none: all", minimum=0)
    tokens: str | None = option(None, "first:last token that is drawn there; none: the last 24")
    device: str = option("auto", "auto, cpu, cuda or mps", choices=("auto", "cpu", "cuda", "mps"))
    dtype: str = option("auto", "auto, float32 or bfloat16", choices=("auto", "float32", "bfloat16"))
    seed: int = option(0, "random seed of questions, untrained weights, tuned lens and probe", minimum=0)
    predict: str | None = option(None, "your guess, written down before anything is computed")


def tour(run_id: str) -> Config:
    """Returns what the tour asks."""
    return Config(run_id=run_id, count=6, readable="none", shown=1)


def run(config: Config) -> str:
    """Looks into a model's residual stream, or into base and tuned, and returns the id of the run that says so."""
    options.validate(config)
    from lab.studies import probing_look
    from lab.tracking.run import open_run

    probing_look.check(config)
    of = f"run {config.run_id}" if config.run_id else config.model or "embedded"
    with open_run("probing", config, name=f"probing {of}"[:120]) as run:
        probing_look.look(run, config, question=QUESTION, limits=LIMITS, tuned_limits=TUNED_LIMITS)
        return run.id
