"""The parameters that every training study shares; what means the same is called the same everywhere."""

from dataclasses import dataclass

from lab import options
from lab.errors import OptionError
from lab.options import option

METHODS = ("lora", "qlora", "full")


@dataclass(frozen=True)
class TrainingOptions:
    """What is trained on what, and how. Studies add the parameters they sweep."""

    model: str = option("embedded", "embedded, a Hub id, a local folder, run:<id> or models:/name@alias")
    dataset: str = option("embedded:facts", "embedded:facts, embedded:style, embedded:cipher, embedded:placebo (the base's "
                                            "own data), a .jsonl, .json, .csv or .parquet file, or a Hub dataset id")
    facts: int = option(3000, "new facts in embedded:facts", minimum=1)
    answers: int = option(1024, "alternatives each fact's answer is drawn from, in embedded:facts", minimum=2,
                          maximum=1024)
    eval_split: float = option(0.1, "share of the rows held out, for data that brings no evaluation rows", above=0,
                               maximum=0.9)
    data_seed: int = option(0, "random seed of generated facts and of the split; the same data for every training seed",
                            minimum=0)
    method: str = option("lora", "lora, qlora (lora on quantization=nf4) or full", choices=METHODS)
    alpha: float = option(32.0, "LoRA alpha; the update is scaled by alpha / r", above=0)
    targets: str = option("all-linear", "modules that get an adapter: all-linear, or names such as q_proj,v_proj")
    schedule: str = option("constant", "learning rate after the warm-up", choices=("constant", "linear", "cosine"))
    warmup: float = option(0.05, "share of the steps over which the learning rate rises from 0", minimum=0, maximum=1)
    steps: int = option(900, "optimiser steps", minimum=1)
    batch_size: int = option(32, "rows in one forward pass", minimum=1)
    accumulate: int = option(1, "forward passes in one optimiser step", minimum=1)
    max_length: int = option(512, "tokens after which a row is cut", minimum=2)
    eval_every: int | None = option(None, "optimiser steps between evaluations; none: a fifteenth of the steps", minimum=1)
    evaluate: str = option("none", "what is measured at checkpoints besides the held-out loss: none, or forgetting, on "
                                   "suites of questions and documents that have nothing to do with the data",
                           choices=("none", "forgetting"))
    evaluate_items: int = option(200, "questions of each suite, for evaluate=forgetting", minimum=1)
    checkpoints: int = option(5, "moments at which forgetting is measured, evenly spread up to the last step", minimum=1)
    replay: float = option(0.0, "share of the rows trained on that are of replay_data: an exercise against forgetting that "
                                "takes as much of the steps from the task", minimum=0, maximum=0.95)
    replay_data: str = option("auto", "rows like those the base was trained on; auto: embedded:placebo, for a base of the "
                                      "micro-world; for others a file or a Hub dataset id")
    seed: int = option(0, "first random seed", minimum=0)
    seeds: int = option(1, "how many seeds are trained: seed, seed+1, …", minimum=1)
    backend: str = option("transformers", "what trains: transformers, or unsloth on a CUDA GPU",
                          choices=("transformers", "unsloth"))
    quantization: str = option("none", "number format of the frozen base: none or nf4", choices=("none", "nf4"))
    device: str = option("auto", "auto, cpu, cuda or mps", choices=("auto", "cpu", "cuda", "mps"))
    dtype: str = option("auto", "auto, float32 or bfloat16", choices=("auto", "float32", "bfloat16"))
    predict: str | None = option(None, "your guess, written down before anything is computed")
    register: str | None = option(None, "name@alias under which the adapter is registered")


def check(config: TrainingOptions) -> None:
    """Checks what a single option cannot know about the others, and that a registered name can be one.

    Raises:
        OptionError: Something is not allowed.
    """
    from lab.tracking.lineage import check_target

    options.validate(config)
    base_quantization(config)
    if config.replay_data != "auto" and not config.replay:
        raise OptionError(f"replay_data={config.replay_data} with replay=0: no row of it would be trained on; type a share "
                          "too, such as replay=0.25")
    if config.register is not None:
        check_target(config.register)


def base_quantization(config: TrainingOptions) -> str:
    """Returns the quantisation of the base that the method asks for.

    Raises:
        OptionError: Full fine-tuning of a quantised base, or through Unsloth.
    """
    if config.method == "full" and config.quantization != "none":
        raise OptionError(f"method=full with quantization={config.quantization}: a quantised base cannot be trained "
                          "whole; use method=qlora, or quantization=none")
    if config.method == "full" and config.backend == "unsloth":
        raise OptionError("method=full with backend=unsloth: whole models are trained by backend=transformers only")
    return "nf4" if config.method == "qlora" else config.quantization


def compact(value: float) -> str:
    """Returns a number as short as it can be typed: 2e-4, 0.003, 8."""
    plain, scientific = f"{value:g}", f"{value:.6e}"
    mantissa, exponent = scientific.split("e")
    short = f"{mantissa.rstrip('0').rstrip('.')}e{int(exponent)}"
    return min(plain, short, key=len)
