"""What shape has an update, and what happens without parts of it?"""

from dataclasses import dataclass

from lab import options
from lab.errors import OptionError
from lab.options import option

MOST = 5  # ablations in one report
QUESTION = "What shape has the update that training made, and which parts of it matter?"


@dataclass(frozen=True)
class Config:
    """Which runs are measured, beside how much chance, and what is taken away from one."""

    run_id: tuple[str, ...] | None = option(None, "training run, or several on one base; a sweep's parent stands for its "
                                                  "children", required=True)
    model: str | None = option(None, "where the base lies, if no longer where training found it")
    k: int = option(10, "strongest directions of the tuned weight among which intruder dimensions are counted", minimum=1)
    epsilon: float = option(0.5, "cosine with every direction of the weight below which one is an intruder", above=0,
                            maximum=1)
    draws: int = option(39, "draws from each null", minimum=19)
    ablate: tuple[str, ...] | None = option(
        None, "what is taken away before the loss is measured again: scale:0.5, layers:0+1, modules:q_proj+v_proj, drop:1 "
              "or keep:1 (strongest singular directions), intruders:0.7")
    keep: bool = option(False, "whether each ablated adapter is kept as a run of its own")
    dataset: str = option("auto", "held-out rows for ablate: auto (of the run's own data), or a dataset as in finetune")
    base_text: str = option("auto", "what the base was good at, for ablate: auto (embedded:placebo, or english for other "
                                    "models), english, or a dataset as in finetune")
    rows: int = option(256, "rows of each for ablate", minimum=20)
    device: str = option("auto", "auto, cpu, cuda or mps", choices=("auto", "cpu", "cuda", "mps"))
    dtype: str = option("auto", "auto, float32 or bfloat16; of the model that ablate runs", choices=("auto", "float32",
                                                                                                     "bfloat16"))
    seed: int = option(0, "random seed of the nulls", minimum=0)
    predict: str | None = option(None, "your guess, written down before anything is computed")


def tour(run_id: str) -> Config:
    """Returns what the tour asks."""
    return Config(run_id=(run_id,), draws=19, ablate=("drop:1", "keep:1"), rows=128)


def run(config: Config) -> str:
    """Measures the updates of all runs, and one without parts of it; returns the id of the run that says what was found."""
    options.validate(config)
    from lab.adapters.ablation import parse
    from lab.studies import attention_trained
    from lab.studies.geometry_adapters import study_adapters
    from lab.studies.geometry_whole import study_whole
    from lab.tracking import capsule
    from lab.tracking.run import open_run

    assert config.run_id is not None
    ablations = [parse(text) for text in config.ablate or ()]
    if len({ablation.name for ablation in ablations}) < len(ablations):
        raise OptionError(f"ablate={','.join(config.ablate or ())}: one is given twice; name each once")
    if len(ablations) > MOST:
        raise OptionError(f"ablate names {len(ablations)} ablations; at most {MOST} fit into one report; type the others in "
                          "another run")
    if config.keep and not ablations:
        raise OptionError("keep=true without ablate: there is no ablated adapter to keep; type for example ablate=scale:0.5")
    with open_run("adapter_geometry", config, name=f"adapter_geometry {', '.join(config.run_id)}"[:120]) as run:
        trained, _ = attention_trained.fetch(config.run_id, None)
        for one in trained:
            capsule.use(run, one.capsule)
        if trained[0].capsule.kind == "model":
            study_whole(run, config, trained[0], ablations, question=QUESTION)
        else:
            study_adapters(run, config, trained, ablations, question=QUESTION)
        return run.id
