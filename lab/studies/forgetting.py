"""What did the model lose while it learned?"""

from dataclasses import dataclass

from lab import options
from lab.errors import OptionError
from lab.options import option

QUESTION = "What did the model lose while it learned?"


@dataclass(frozen=True)
class Config:
    """Which training is held against its base, on which suites."""

    run_id: str | None = option(None, "training run; none with model=… scores that model twice, which must change nothing")
    model: str | None = option(None, "where the base lies, if no longer where training found it")
    tasks: tuple[str, ...] = option(("auto",), "math, reasoning, code, knowledge, text (auto: all that the language has), "
                                               "and any tasks of the lm-eval harness: arc_easy,hellaswag")
    items: int = option(800, "questions in each suite", minimum=1)
    documents: int = option(200, "texts whose loss is measured", minimum=1)
    language: str = option("auto", "of the suites: world (the embedded model's), english, or auto (by the tokenizer)",
                           choices=("auto", "world", "english"))
    chat: str = option("auto", "whether questions go through the chat template: auto (where there is one), true or false",
                       choices=("auto", "true", "false"))
    greedy: bool = option(True, "whether questions are answered too, beside ranking their alternatives")
    batch_size: int = option(32, "rows in one forward pass; the last digits depend on it", minimum=1)
    seed: int = option(0, "random seed of the questions and texts", minimum=0)
    device: str = option("auto", "auto, cpu, cuda or mps", choices=("auto", "cpu", "cuda", "mps"))
    dtype: str = option("auto", "auto, float32 or bfloat16", choices=("auto", "float32", "bfloat16"))
    predict: str | None = option(None, "your guess, written down before anything is computed")


def tour(run_id: str) -> Config:
    """Returns what the tour asks."""
    return Config(run_id=run_id, items=100, documents=50)


def run(config: Config) -> str:
    """Scores base and tuned model on the same items, compares them one by one, and returns the run's id."""
    options.validate(config)
    if config.run_id is None and config.model is None:
        raise OptionError("run_id=none: say which training; type run_id=<its id>, or model=embedded to score a base twice")
    from lab.studies import (
        forgetting_calibration,
        forgetting_report,
        forgetting_scored,
        forgetting_shown,
        forgetting_tasks,
    )
    from lab.studies.forgetting_compared import compared
    from lab.studies.forgetting_verdicts import hypotheses, verdicts
    from lab.tracking.run import open_run

    with open_run("forgetting", config, name=f"forgetting {_subject(config)}"[:120]) as run:
        named = forgetting_tasks.named(config)
        models = forgetting_scored.open_models(run, config)
        suites = forgetting_tasks.build(run, config, models.base, named)
        run.state(hypotheses(suites, config), config.predict)
        measured = forgetting_scored.measure(models, suites, config)
        found = compared(measured.base, measured.tuned)
        calibrated = forgetting_calibration.measure(found)
        forgetting_shown.record(run, suites, measured, found, calibrated)
        forgetting_report.close_run(run, config, suites, measured, found, calibrated, models,
                                    verdicts(found, config), question=QUESTION)
        return run.id


def _subject(config: Config) -> str:
    return f"run {config.run_id}" if config.run_id is not None else f"{config.model} against itself"
