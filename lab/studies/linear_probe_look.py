"""A probing study from loaded model to report."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from lab.models.anatomy import plain_model
from lab.models.loading import Base
from lab.models.rows import BASE as BASE_ROWS
from lab.models.tuned import Tuned, open_base, open_run
from lab.probing.decomposition import decompose
from lab.probing.linear_untrained import untrained
from lab.studies import linear_probe_figures, linear_probe_next, linear_probe_report, linear_probe_tasks, linear_probe_words
from lab.studies.closing import close
from lab.studies.linear_probe_features import Place, entropy, features, places
from lab.studies.linear_probe_measured import BASE, TUNED, UNTRAINED, Asked, ask, measure
from lab.studies.linear_probe_verdicts import hypotheses, verdicts
from lab.studies.opening import free, open_model
from lab.tracking import capsule
from lab.tracking.capsule import Capsule
from lab.tracking.report import Report
from lab.tracking.run import Run

_ADAPTER = "default"


@dataclass
class _Opened:
    """What is probed.

    Attributes:
        model: The base, with the adapter on it if the run kept one.
        tokenizer: That the prompts go through.
        base: What it stands on.
        source: The run's capsule; None for a model alone.
        rows: Names of base and adapter as rows of a batch; None where there is no adapter.
    """

    model: Any
    tokenizer: Any
    base: Base
    source: Capsule | None
    rows: list[str] | None


def look(run: Run, config: Any, *, question: str, limits: Sequence[str]) -> None:
    """Probes a model, or base and tuned one, and closes the run.

    Args:
        run: Open.
        config: Of `linear_probe`, checked.
        question: For the report.
        limits: Likewise.
    """
    opened = _open(run, config)
    layers = linear_probe_tasks.check_model(config, opened.base)
    last = opened.base.model.config.get_text_config(decoder=True).num_hidden_layers - 1
    alone = None if opened.rows is None else opened.rows[:1]
    asked = ask(linear_probe_tasks.build(config, opened.base, opened.tokenizer, entropy(opened.model, alone)), config)
    at = places(config.sites, layers)
    stated = hypotheses(asked, tuned=opened.source is not None, untrained=config.untrained)
    run.state(stated, config.predict)
    run.params(linear_probe_report.facts(opened.base, asked))
    linear_probe_tasks.record(run, [one.task for one in asked])
    captured = _captured(opened, asked, at, config)
    found = [measure(one, values, at, last, config) for one, values in zip(asked, captured, strict=True)]
    run.summary(linear_probe_report.summary(found))
    for name, rows in (("tasks", linear_probe_report.tasks(asked)), ("places", linear_probe_report.places(found)),
                       ("changes", linear_probe_report.changes(found))):
        if rows:
            run.table(name, rows)
    linear_probe_figures.draw(run, found, config.sites)
    source = None if opened.source is None else opened.source.run_id
    close(run, verdicts(found, stated), Report(
        question=question, table=linear_probe_report.main(found), limits=[*limits, *linear_probe_words.limits(found)],
        sections=linear_probe_words.sections(found, asked, config.hidden), sources=[source] if source else [],
        next=linear_probe_next.commands(config), prediction=config.predict))


def _open(run: Run, config: Any) -> _Opened:
    if config.run_id is None:
        base = open_model(run, config)
        return _Opened(base.model, base.tokenizer, base, None, None)
    kept = capsule.fetch(config.run_id)
    capsule.use(run, kept)
    if kept.kind == "model":
        base = open_base(kept, base=config.model, device=config.device, dtype=config.dtype)
        return _Opened(base.model, base.tokenizer, base, kept, None)
    tuned: Tuned = open_run(config.run_id, device=config.device, dtype=config.dtype, base=config.model)
    return _Opened(tuned.model, tuned.tokenizer, tuned.base, kept, [BASE_ROWS, _ADAPTER])


def _captured(opened: _Opened, asked: Sequence[Asked], at: Sequence[Place], config: Any) -> list[dict[str, torch.Tensor]]:
    """Activations [S, N, D] of every task by model; whole models one after the other, never two in memory."""
    names = [BASE] if opened.rows is None else [BASE, TUNED]
    parts = decompose(opened.model)
    found = [dict(zip(names, features(opened.model, parts, one.task, at, opened.rows), strict=True)) for one in asked]
    if config.untrained:
        _also(found, UNTRAINED, untrained(plain_model(opened.model), seed=config.seed), asked, at)
    if opened.source is not None and opened.rows is None:
        opened.model = opened.base = None  # type: ignore[assignment]
        free()
        assert config.run_id is not None
        _also(found, TUNED, open_run(config.run_id, device=config.device, dtype=config.dtype).model, asked, at)
    return found


def _also(found: list[dict[str, torch.Tensor]], name: str, model: Any, asked: Sequence[Asked], at: Sequence[Place]) -> None:
    parts = decompose(model)
    for values, one in zip(found, asked, strict=True):
        values[name] = features(model, parts, one.task, at)[0]
