"""How many times full fine-tuning's best rate is LoRA's, and is LoRA then as good?

After "LoRA Without Regret" (Schulman and Thinking Machines, 2025), in small: LoRA at several ranks and the whole model, each
over its own grid of learning rates and three seeds, at alpha 32, with A uniform between ±1/sqrt(d_in), B zero, a constant
rate without warm-up. Attention-only and feed-forward-only adapters are compared at the same number of parameters.
"""

from dataclasses import dataclass
from typing import Any

from lab.errors import OptionError
from lab.options import option
from lab.studies.training_options import TrainingOptions, check
from lab.studies.trials import TrialOptions

QUESTION = "How many times full fine-tuning's best learning rate is LoRA's, and is LoRA as good at its own?"
FEWEST_RATES = 3


@dataclass(frozen=True)
class Config(TrainingOptions, TrialOptions):
    """Ranks, the whole model, and two placements of an adapter, each over its grid of rates."""

    r: tuple[int, ...] = option((1, 8, 64), "ranks of the adapters", minimum=1)
    lr_lowest: float = option(3.16e-4, "lowest learning rate of the adapters", above=0, maximum=1e6)
    lr_highest: float = option(3.16e-3, "highest learning rate of the adapters", above=0, maximum=1e6)
    full_lr_lowest: float = option(1e-4, "lowest learning rate of full fine-tuning", above=0, maximum=1e6)
    full_lr_highest: float = option(1e-3, "highest learning rate of full fine-tuning", above=0, maximum=1e6)
    factor: float = option(1.78, "of one learning rate to the next; 1.78 is a quarter of a decade", minimum=1.01)
    attention_r: int | None = option(12, "rank of the adapter on attention alone, whose parameters one on feed-forward "
                                         "layers alone is given; none: placements are not compared", minimum=1)
    facts: int = option(200, "new facts in embedded:facts", minimum=1)
    warmup: float = option(0.0, "share of the steps over which the learning rate rises from 0", minimum=0, maximum=1)
    steps: int = option(100, "optimiser steps", minimum=1)
    batch_size: int = option(16, "rows in one forward pass", minimum=1)
    seeds: int = option(3, "how many seeds are trained: seed, seed+1, …", minimum=3)
    evaluate: str = option("none", "no forgetting is measured here", choices=("none",))


def run(config: Config) -> str:
    """Trains every arm at every rate, compares them, and returns the id of the study's run."""
    from lab.studies import regret_arms as arms
    from lab.studies import regret_report as report
    from lab.studies import trials
    from lab.studies.regret_hypotheses import hypotheses
    from lab.tracking.run import open_run

    check_arms(config)
    trials.check(config)
    compared = arms.arms(config)
    with open_run("lora_without_regret", config, name=_name(config)) as run:
        stated = hypotheses(config)
        run.state(stated, config.predict)
        trained = trials.train(run, "lora_without_regret", arms.trainings(config, compared), config, name=arms.name,
                               question=QUESTION)
        if trained.left:
            trials.close_part(run, trained, stated, question=QUESTION, limits=report.LIMITS, prediction=config.predict)
        else:
            report.conclude(run, config, stated, compared, trained.trials, question=QUESTION)
        return run.id


def check_arms(config: Config) -> None:
    """Checks what a single option cannot know about the others.

    Raises:
        OptionError: An option says what the arms themselves say, or a grid has too few rates to have a best one.
    """
    from lab.studies.regret_arms import rates

    check(config)
    if config.method != "lora" or config.targets != "all-linear":
        raise OptionError(f"method={config.method} targets={config.targets}: this study trains adapters on all linear "
                          "layers, on a part of them, and the whole model; leave both out")
    if config.quantization != "none" or config.backend != "transformers":
        raise OptionError(f"quantization={config.quantization} backend={config.backend}: the whole model is trained too, "
                          "unquantised and by transformers; leave both out")
    if config.register is not None:
        raise OptionError(f"register={config.register}: this study trains many models; register one with finetune")
    if config.replay:
        raise OptionError(f"replay={config.replay:g}: rows of the base are a task with a best rate of their "
                          "own; leave it out")
    for name, lowest, highest in (("lr", config.lr_lowest, config.lr_highest),
                                  ("full_lr", config.full_lr_lowest, config.full_lr_highest)):
        count = len(rates(lowest, highest, config.factor))
        if count < FEWEST_RATES:
            raise OptionError(f"{name}_lowest={lowest:g} {name}_highest={highest:g} factor={config.factor:g}: {count} "
                              f"rates; needed are {FEWEST_RATES} for a best one between others, so type "
                              f"{name}_highest={lowest * config.factor ** (FEWEST_RATES - 1):.3g} or more")


def _name(config: Any) -> str:
    return (f"lora_without_regret r={','.join(map(str, sorted(set(config.r))))} and full, "
            f"seeds={config.seed}..{config.seed + config.seeds - 1}{'' if config.part == '1/1' else f' part {config.part}'}")
