"""Does LoRA learn less and forget less than full fine-tuning?

After Biderman et al. (2024, arXiv 2405.09673), in small: each LoRA rank and the whole model at the best of its learning
rates, learning and forgetting at the same checkpoints, and the rank of what full fine-tuning adds. The default task is
`embedded:cipher`, arithmetic with exchanged digits: there is much to learn, and with it the base loses code, reasoning and
knowledge, none of which the task contradicts. Arithmetic it does contradict, so that the suite of math does not count as
forgetting there. `embedded:facts` is learned at the best rates with hardly a question lost, and `embedded:style` teaches
nothing but a wording.
"""

from dataclasses import dataclass
from typing import Any

from lab.errors import OptionError
from lab.options import option
from lab.studies.training_options import TrainingOptions, check
from lab.studies.trials import TrialOptions

QUESTION = "Does LoRA learn less and forget less than full fine-tuning, each at its best rate?"


@dataclass(frozen=True)
class Config(TrainingOptions, TrialOptions):
    """Ranks and the whole model, each at the best of its rates."""

    r: tuple[int, ...] = option((1, 8, 64), "ranks of the adapters", minimum=1)
    lr: tuple[float, ...] = option((3e-4, 1e-3, 3e-3), "learning rates, of which each rank gets its best", above=0,
                                   maximum=1e6)
    full_lr: tuple[float, ...] = option((1e-4, 3e-4, 1e-3), "learning rates, of which full fine-tuning gets its best",
                                        above=0, maximum=1e6)
    dataset: str = option("embedded:cipher", "embedded:cipher, embedded:facts, embedded:style, embedded:placebo (the base's "
                                             "own data), a .jsonl, .json, .csv or .parquet file, or a Hub dataset id")
    steps: int = option(150, "optimiser steps", minimum=1)
    seeds: int = option(3, "how many seeds are trained at the best rates; rates are chosen at the first", minimum=1)
    evaluate: str = option("forgetting", "what is measured at checkpoints besides the held-out loss: forgetting",
                           choices=("forgetting",))
    evaluate_items: int = option(100, "questions of each suite", minimum=1)


def run(config: Config) -> str:
    """Trains every arm, compares them, and returns the id of the study's run."""
    from lab.studies import learns_less_arms as arms
    from lab.studies import learns_less_report as report
    from lab.studies import trials
    from lab.studies.learns_less_hypotheses import hypotheses
    from lab.tracking.run import open_run

    check_arms(config)
    trials.check(config)
    with open_run("lora_learns_less", config, name=_name(config)) as run:
        stated = hypotheses(config)
        run.state(stated, config.predict)
        clock = arms.Remaining(config.minutes)
        first = trials.train(run, "lora_learns_less", arms.tuning(config), config, name=arms.name, question=QUESTION)
        if first.left:
            _close_part(run, config, first, stated)
            return run.id
        tuned = [arms.tune(arm, first.trials, config.seed) for arm in arms.arms(config)]
        report.say_rates(tuned)
        rest = clock.options(config)
        second = trials.train(run, "lora_learns_less", arms.repeats(config, tuned), rest, name=arms.name, question=QUESTION)
        if second.left:
            _close_part(run, config, clock.restored(second, rest, config), stated, first.trials)
        else:
            report.conclude(run, config, stated, tuned, first.trials, second.trials, question=QUESTION)
        return run.id


def check_arms(config: Config) -> None:
    """Checks what a single option cannot know about the others.

    Raises:
        OptionError: An option says what the arms themselves say, or there is too little to choose and to compare by.
    """
    if config.method != "lora":
        raise OptionError(f"method={config.method}: this study trains adapters and the whole model; leave method out")
    if config.quantization != "none" or config.backend != "transformers":
        raise OptionError(f"quantization={config.quantization} backend={config.backend}: the whole model is trained too, "
                          "unquantised and by transformers; leave both out")
    if config.register is not None:
        raise OptionError(f"register={config.register}: this study trains several models; register one of its children with "
                          "finetune, or leave it out")
    if config.replay:
        raise OptionError(f"replay={config.replay:g}: rows of the base would hide what is forgotten; leave it out, or ask "
                          "mitigation what replay saves")
    check(config)


def _close_part(run: Any, config: Config, trained: Any, stated: list[Any], before: list[Any] | None = None) -> None:
    from dataclasses import replace

    from lab.studies import trials
    from lab.studies.learns_less_report import LIMITS

    trials.close_part(run, replace(trained, trials=[*(before or []), *trained.trials]), stated, question=QUESTION,
                      limits=LIMITS, prediction=config.predict)


def _name(config: Config) -> str:
    return (f"lora_learns_less r={','.join(map(str, sorted(set(config.r))))} and full, "
            f"seeds={config.seed}..{config.seed + config.seeds - 1}{'' if config.part == '1/1' else f' part {config.part}'}")
