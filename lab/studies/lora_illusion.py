"""Are LoRA and full fine-tuning the same in kind when they are equal in loss?

After Shuttleworth et al. (2024, arXiv 2410.21228), in small: intruder dimensions of LoRA ranks and of the whole model at
matched loss, whether they go with forgetting beyond the size of the update, and what is kept and lost when they are scaled
down, beside two controls of the same size.
"""

from dataclasses import dataclass
from typing import Any

from lab.errors import OptionError
from lab.options import option
from lab.studies.training_options import TrainingOptions, check
from lab.studies.trials import TrialOptions

QUESTION = "Do LoRA adapters have intruder dimensions where full fine-tuning has none, and are these what forgets?"


@dataclass(frozen=True)
class Config(TrainingOptions, TrialOptions):
    """Ranks and the whole model at several rates, and what is looked for in them."""

    r: tuple[int, ...] = option((1, 8, 64), "ranks of the adapters", minimum=1)
    lr: tuple[float, ...] = option((1e-3, 2e-3, 4e-3, 8e-3), "learning rates of every rank", above=0, maximum=1e6)
    full_lr: tuple[float, ...] = option((1e-4, 3e-4, 1e-3), "learning rates of full fine-tuning", above=0, maximum=1e6)
    facts: int = option(300, "new facts in embedded:facts", minimum=1)
    steps: int = option(150, "optimiser steps", minimum=1)
    evaluate: str = option("forgetting", "what is measured at checkpoints besides the held-out loss: forgetting",
                           choices=("forgetting",))
    evaluate_items: int = option(120, "questions of each suite, for evaluate=forgetting; documents are a quarter as many",
                                 minimum=1)
    checkpoints: int = option(1, "moments at which forgetting is measured, evenly spread; what is compared is the last",
                              minimum=1)
    k: int = option(10, "strongest directions of the tuned weight among which intruder dimensions are counted", minimum=1)
    epsilon: float = option(0.5, "cosine with every direction of the weight below which one is an intruder", above=0,
                            maximum=1)
    draws: int = option(19, "draws of random directions of the same sizes", minimum=19)
    factors: tuple[float, ...] = option((0.7, 0.5, 0.3), "what intruders are multiplied by; verdicts are on the first",
                                        minimum=0, maximum=1)
    scaled: int | None = option(None, "strongest intruders of each weight that are scaled; none: all among the k", minimum=1)


def run(config: Config) -> str:
    """Trains every arm, looks for intruders and scales them down; returns the id of the study's run."""
    from lab.studies import illusion_arms, trials
    from lab.studies.illusion_hypotheses import LIMITS, hypotheses
    from lab.studies.illusion_report import conclude
    from lab.tracking.run import open_run

    check_config(config)
    trials.check(config)
    with open_run("lora_illusion", config, name=_name(config)) as run:
        stated = hypotheses(config)
        run.state(stated, config.predict)
        trained = trials.train(run, "lora_illusion", illusion_arms.grid(config), config, name=illusion_arms.name,
                               question=QUESTION)
        if trained.left:
            trials.close_part(run, trained, stated, question=QUESTION, limits=LIMITS, prediction=config.predict)
        else:
            conclude(run, config, stated, trained.trials, question=QUESTION)
        return run.id


def check_config(config: Config) -> None:
    """Checks what a single option cannot know about the others.

    Raises:
        OptionError: An option says what the arms themselves say, or two factors are the same.
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
    if len(set(config.factors)) < len(config.factors) or 1.0 in config.factors:
        raise OptionError(f"factors={','.join(map(str, config.factors))}: each once, and below 1, which changes nothing; "
                          "type for example factors=0.7,0.3")
    check(config)


def _name(config: Any) -> str:
    part = "" if config.part == "1/1" else f" part {config.part}"
    return (f"lora_illusion r={','.join(map(str, sorted(set(config.r))))} and full, "
            f"seeds={config.seed}..{config.seed + config.seeds - 1}{part}")
