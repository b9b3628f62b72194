"""What is linearly readable in a model, and is the probe honest?"""

from dataclasses import dataclass

from lab import options
from lab.options import option

QUESTION = "What can a linear probe read in this model's activations, and is it the model's knowledge or the probe's memory?"
LIMITS = [
    "Readable is not used: that a plane tells classes apart does not show that the model looks at it.",
    "Verdicts are on types never seen in training, held to the permutation band.",
    "Intervals resample groups of the test part, or, where all groups agree, say what so many leave possible; another split "
    "or another training seed of the model is not in them.",
    "The chosen place of a verdict is where cross-validation within the training rows gained most. The best place of a "
    "figure was not chosen so: its adjusted p in the table counts all places.",
]


@dataclass(frozen=True)
class Config:
    """Which model is probed, for what, where."""

    model: str | None = option(None, "embedded, a Hub id, a local folder, run:<id> or models:/name@alias; none: embedded, "
                                     "or with run_id the base where training found it")
    run_id: str | None = option(None, "training run whose tuned model is compared with its base")
    tasks: tuple[str, ...] = option(("auto",), "auto (seven of the micro-world; none of them with file), or tasks such as "
                                               "carry, carry@equals or attribute:home@name")
    file: str | None = option(None, "labelled texts: a .jsonl, .json, .csv or .parquet file, a dataset folder or a Hub id")
    text_column: str = option("text", "column of file that the model reads")
    label_column: str = option("label", "column of file with the class")
    word_column: str | None = option(None, "column of file with the word that is read, or its [start, end]; none: the last "
                                           "token of the text")
    type_column: str | None = option(None, "column of file with what a control label is fixed on; none: the word")
    group_column: str | None = option(None, "column of file with which rows belong together; none: those of one text")
    sites: tuple[str, ...] = option(("post_attn", "post_ffn"), "pre_attn, delta_attn, post_attn, delta_ffn, post_ffn, "
                                                               "attn_out or ffn_out; the embedding always")
    layers: tuple[int, ...] | None = option(None, "layers that are probed; none: all", minimum=0)
    count: int = option(500, "rows of each task", minimum=100)
    permutations: int = option(999, "of the labels of test groups, which make the band", minimum=99)
    controls: int = option(4, "control tasks: fixed random labels of types", minimum=2)
    hidden: int | None = option(None, "width of a probe with one hidden layer, too large on purpose, to be compared; takes "
                                      "long", minimum=1)
    untrained: bool = option(True, "whether the same architecture with first weights is probed too")
    device: str = option("auto", "auto, cpu, cuda or mps", choices=("auto", "cpu", "cuda", "mps"))
    dtype: str = option("auto", "auto, float32 or bfloat16", choices=("auto", "float32", "bfloat16"))
    seed: int = option(0, "random seed of rows, splits, controls and permutations", minimum=0)
    predict: str | None = option(None, "your guess, written down before anything is computed")


def run(config: Config) -> str:
    """Probes a model, or a tuned one beside its base, and returns the id of the run that says what was readable."""
    options.validate(config)
    from lab.studies import linear_probe_look, linear_probe_tasks
    from lab.tracking.run import open_run

    linear_probe_tasks.check(config)
    of = f"run {config.run_id}" if config.run_id else config.model or "embedded"
    with open_run("linear_probe", config, name=f"linear_probe {of}"[:120]) as run:
        linear_probe_look.look(run, config, question=QUESTION, limits=LIMITS)
        return run.id
