"""What do base and tuned models answer, side by side?"""

from dataclasses import dataclass
from typing import Any

from lab import options
from lab.errors import OptionError
from lab.options import option

QUESTION = "What do the base and the tuned models answer to the same prompts?"
LIMITS = [
    "Greedy answers: one most likely token after another, not what sampling would give.",
    "A few prompts show how a model answers, not how often it is right.",
]
OWN = 10


@dataclass(frozen=True)
class Config:
    """Which runs are asked what."""

    run_ids: tuple[str, ...] | None = option(None, "training runs whose adapters answer; a sweep's parent stands for its "
                                                   "children; all on the same base", required=True)
    model: str | None = option(None, "where the adapters' base lies, if no longer where training found it")
    prompt: str | None = option(None, "the question; none: held-out prompts that the first run kept")
    max_new_tokens: int = option(64, "tokens after which an answer is cut", minimum=1)
    device: str = option("auto", "auto, cpu, cuda or mps", choices=("auto", "cpu", "cuda", "mps"))
    dtype: str = option("auto", "auto, float32 or bfloat16", choices=("auto", "float32", "bfloat16"))
    predict: str | None = option(None, "your guess, written down before anything is computed")


def tour(run_id: str) -> Config:
    """Returns what the tour asks."""
    return Config(run_ids=(run_id,))


def run(config: Config) -> str:
    """Answers every prompt with the base and with each adapter, from one loaded base, and returns the run's id."""
    options.validate(config)
    from lab.models.answering import answering
    from lab.studies.closing import close
    from lab.tracking import capsule
    from lab.tracking.report import Report, next_command
    from lab.tracking.run import open_run
    from lab.training.evaluate import greedy_answers

    assert config.run_ids is not None
    with open_run("ask", config, name=f"ask {', '.join(config.run_ids)}"[:120]) as run:
        run.state([], config.predict)
        capsules = capsule.several(config.run_ids)
        for kept in capsules:
            capsule.use(run, kept)
        table: list[dict[str, Any]] = []
        for name, model, tokenizer in answering(capsules, base=config.model, device=config.device, dtype=config.dtype):
            if not table:
                prompts, table = _prompts(config, capsules[0], tokenizer)
            answers = greedy_answers(model, tokenizer, prompts, config.max_new_tokens)
            for row, answer in zip(table, answers, strict=True):
                row[name] = answer
        run.table("answers", table)
        print("\n" + _as_text(table))
        close(run, [], Report(question=QUESTION, table=table, limits=LIMITS, sources=[c.run_id for c in capsules],
                              prediction=config.predict,
                              next=[next_command("loss_curves", run_ids=tuple(c.run_id for c in capsules))]))
        return run.id


def _prompts(config: Config, kept: Any, tokenizer: Any) -> tuple[list[list[int]], list[dict[str, Any]]]:
    """Returns prompts as token ids, just as training would have them, and the table's rows with the expected answers."""
    if config.prompt is not None:
        text = config.prompt
        if tokenizer.chat_template:
            turn = [{"role": "user", "content": text}]
            text = tokenizer.apply_chat_template(turn, tokenize=False, add_generation_prompt=True)
        return ([tokenizer.encode(text, add_special_tokens=not tokenizer.chat_template)], [{"prompt": config.prompt}])
    from lab.tracking.rows import table

    samples = table(kept.run_id, "samples")
    if not samples:
        raise OptionError(f"prompt=none: run {kept.run_id} keeps no held-out prompts (it was not trained here); "
                          "give one with -P prompt='…'")
    chosen = samples[:OWN]
    return ([tokenizer.encode(row["rendered"], add_special_tokens=False) for row in chosen],
            [{"prompt": row["prompt"], "expected": row["expected"]} for row in chosen])


def _as_text(table: list[dict[str, Any]]) -> str:
    width = max(len(name) for row in table for name in row)
    return "\n\n".join("\n".join(f"{name:<{width}}  {' '.join(str(value).split())}" for name, value in row.items())
                       for row in table)
