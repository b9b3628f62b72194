"""What to type after a probing study: never what was just typed, with the model, file and columns it was about."""

from dataclasses import fields
from typing import Any

from lab.studies.linear_probe_tasks import AUTO, TASKS
from lab.tracking.report import next_command

HIDDEN = 64  # of 512 one task takes some minutes
_ADDED = ("delta_attn", "delta_ffn")


def commands(config: Any) -> list[str]:
    """Returns commands to type next.

    Args:
        config: Of `linear_probe`.
    """
    given = {field.name: getattr(config, field.name) for field in fields(config)
             if field.name != "predict" and getattr(config, field.name) != field.default}
    again = next_command("linear_probe", **{**given, **_changed(config)})
    if config.run_id is not None:
        return [again, next_command("probing", run_id=config.run_id),
                next_command("attention_compare", run_id=config.run_id)]
    model = {} if config.model in (None, "embedded") else {"model": config.model}
    return [again, next_command("lora_rank", r=8, **model)]


def _changed(config: Any) -> dict[str, Any]:
    """The options that ask something new: a probe that is too large, what each sublayer adds, or another split."""
    typed = config.file is None or config.type_column is not None or config.word_column is not None
    if config.hidden is None and config.run_id is None and typed:
        one = AUTO if config.file is not None else TASKS[0] if config.tasks[0] == AUTO else config.tasks[0]
        return {"hidden": HIDDEN, "tasks": (one,)}
    if set(config.sites) != set(_ADDED):
        return {"sites": _ADDED}
    return {"seed": config.seed + 1}
