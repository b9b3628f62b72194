"""Which places carry what training changed, or what makes the answer?"""

from dataclasses import dataclass

from lab import options
from lab.errors import OptionError
from lab.options import option

QUESTION = "Which places carry what training changed, or what makes the answer?"
LIMITS = [
    "A patch puts activations where they did not arise. What they do there is what this place can bring about, not what it "
    "does by itself: later blocks read it, and several places may do the same work or undo each other's.",
    "Effects of places do not add up to the whole. A place that alone suffices for little may be one of several that are "
    "needed together, and one that is not needed may suffice.",
    "More than the change of an unrelated prompt means: this place carries something of this prompt. It does not say that "
    "what is there is a fact, or that it is stored there and not read from elsewhere.",
    "The share is the mean effect over the mean of what patching everything does; it can be below 0 and above 1.",
    "Intervals cover the questions asked, of which one template asks all where a data set has only one.",
]
TUNED_LIMITS = ["One training seed: another one may carry the same in other places."]


@dataclass(frozen=True)
class Config:
    """Whose answers are patched, on what questions, at which places."""

    run_id: str | None = option(None, "training run whose tuned model and base are patched into each other")
    model: str | None = option(None, "embedded, a Hub id, a local folder, run:<id> or models:/name@alias, two prompts of "
                                     "which are patched into each other; none: embedded, or with run_id the base where "
                                     "training found it")
    prompts: tuple[str, ...] = option(("auto",), "auto (held_out with run_id, else knowledge or, for other models, "
                                                 "english), held_out (rows that the run held out), world, one of its "
                                                 "categories, english, a data file, a dataset folder or a Hub id")
    prompt: str = option("prompt", "column of data files and datasets that holds the prompt")
    answer: str = option("answer", "column that holds the right answer")
    foil: str = option("foil", "column that holds a wrong answer; it may be missing, then answers of other rows are taken")
    chat: str = option("auto", "chat template: auto (where the model has one), true or false",
                       choices=("auto", "true", "false"))
    contrast: str = option("said", "with run_id, which two next tokens are compared: said (what tuned and base say) or "
                                   "truth (answer and foil)", choices=("said", "truth"))
    count: int = option(12, "prompts, or pairs of them, that are patched", minimum=1)
    sites: tuple[str, ...] = option(("post_ffn", "delta_attn", "delta_ffn"), "pre_attn, delta_attn, post_attn, delta_ffn or "
                                                                            "post_ffn",
                                    choices=("pre_attn", "delta_attn", "post_attn", "delta_ffn", "post_ffn"))
    layers: tuple[int, ...] | None = option(None, "layers that are patched; none: all", minimum=0)
    heads: tuple[int, ...] | None = option(None, "heads that are patched; none: all", minimum=0)
    positions: tuple[int, ...] | None = option(None, "tokens that are patched one by one in the prompts shown; none: all",
                                               minimum=0)
    directions: tuple[str, ...] = option(("sufficiency", "necessity"), "sufficiency (tuned into base, or one prompt into "
                                                                       "the other), necessity (the other way)",
                                         choices=("sufficiency", "necessity"))
    unrelated: str = option("change", "the null, a patch of an unrelated prompt: change (what its two readings differ by is "
                                      "added) or swap (its activations overwrite)", choices=("change", "swap"))
    draws: int = option(2, "unrelated prompts for each", minimum=1)
    top: int = option(4, "places that are named by patching, and as many by norm", minimum=1)
    shown: int = option(2, "prompts that are patched token by token", minimum=0)
    device: str = option("auto", "auto, cpu, cuda or mps", choices=("auto", "cpu", "cuda", "mps"))
    dtype: str = option("auto", "auto, float32 or bfloat16", choices=("auto", "float32", "bfloat16"))
    seed: int = option(0, "random seed of which prompts are patched, and of unrelated ones", minimum=0)
    predict: str | None = option(None, "your guess, written down before anything is computed")


def tour(run_id: str) -> Config:
    """Returns what the tour asks."""
    return Config(run_id=run_id, count=8, draws=1, shown=1)


def run(config: Config) -> str:
    """Patches readings into each other and returns the id of the run that says which places carry the answer."""
    options.validate(config)
    for name in ("sites", "directions"):
        given = getattr(config, name)
        if not given or len(set(given)) < len(given):
            raise OptionError(f"{name}={','.join(given)}: at least one is needed, and each once")
    from lab.studies import patching_look
    from lab.tracking.run import open_run

    of = f"run {config.run_id}" if config.run_id else config.model or "embedded"
    with open_run("patching", config, name=f"patching {of}"[:120]) as run:
        patching_look.look(run, config, question=QUESTION, limits=LIMITS, tuned_limits=TUNED_LIMITS)
        return run.id
