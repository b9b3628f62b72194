"""One model's residual stream, or base and tuned, from loaded models to report."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lab.data.questions import Question
from lab.models import anatomy
from lab.models.loading import Base
from lab.models.rows import BASE
from lab.models.tuned import open_base, open_run, open_several
from lab.probing.decomposition import decompose
from lab.probing.final import find_final
from lab.probing.linear_untrained import untrained as make_untrained
from lab.probing.similarity import Similarity
from lab.probing.sites import check_layers
from lab.studies import (
    probing_activations,
    probing_figures,
    probing_questions,
    probing_readable,
    probing_report,
    probing_shown,
    probing_verdicts,
)
from lab.studies.attention_shown import token_range
from lab.studies.closing import close
from lab.studies.opening import free, open_model, reference
from lab.studies.probing_alike import draw as draw_similarities
from lab.studies.probing_alike import similarities
from lab.studies.probing_hypotheses import hypotheses
from lab.studies.probing_intervals import Clusters, clusters
from lab.studies.probing_lenses import Lenses, without_adapters
from lab.studies.probing_measure import Measured, measure, measure_norms
from lab.tracking import capsule
from lab.tracking.hypotheses import Hypothesis
from lab.tracking.run import Run

ONE, BASE_NAME, TUNED = "this model", "base", "tuned"


@dataclass
class Opened:
    """What is in memory.

    Attributes:
        base: The base, or the only model; a whole tuned model takes its place.
        model: What is run: plain, or PEFT with the adapter.
        tokenizer: Of the questions.
        adapters: Rows of a batch, or None for a model alone.
        kept: The run's capsule, or None.
    """

    base: Base
    model: Any
    tokenizer: Any
    adapters: list[str] | None
    kept: Any

    @property
    def names(self) -> list[str]:
        """Of the models that are looked at, the base first."""
        return [ONE] if self.kept is None else [BASE_NAME, TUNED]

    @property
    def whole(self) -> bool:
        """Whether the tuned model is one of its own, which is loaded once the base is put away."""
        return self.kept is not None and self.kept.kind == "model"

    def exchange(self, config: Any) -> None:
        """Puts the base away and loads the whole tuned model."""
        self.model = self.base = None  # type: ignore[assignment]
        free()
        tuned = open_run(reference(self.kept), device=config.device, dtype=config.dtype)
        self.model, self.base = tuned.model, tuned.base


def check(config: Any) -> None:
    """Refuses what can be seen before anything is loaded.

    Raises:
        OptionError: An attribute, range of tokens, or place whose activations are kept is not allowed.
    """
    probing_activations.place(config)
    probing_readable.check_name(config.readable)
    token_range(config.tokens)


def look(run: Run, config: Any, *, question: str, limits: Sequence[str], tuned_limits: Sequence[str]) -> None:
    """Measures and closes the run.

    Args:
        run: Open.
        config: Of `probing`.
        question: For the report.
        limits: Likewise.
        tuned_limits: Likewise, of base and tuned.
    """
    opened = _opened(run, config)
    source = None if opened.kept is None else opened.kept.run_id
    questions = probing_questions.read(config, opened.base, opened.tokenizer, source)
    layers = anatomy.n_layers(opened.model)
    check_layers(config.layers, layers)
    place = probing_activations.place(config)
    probing_activations.check(place, opened.kept, layers)
    probing_shown.check(config, questions)
    knows = probing_questions.knows_the_world(opened.base)
    kind = probing_readable.attribute(config, knows=knows)
    lenses = (Lenses(config, opened.tokenizer, questions, knows=knows, alone=source is None)
              if config.lens == "tuned" else None)
    stated = _stated(config, opened, kind, layers)
    run.state(stated, config.predict)
    run.params(probing_report.facts(opened.base, questions))
    probing_questions.record(run, questions)
    grouped = clusters(questions, config.resample)
    chosen = probing_shown.choose(questions, config.shown)
    kept = None if place is None else _keep(run, opened, place, questions)
    told = None if kind is None else _readable(opened, kind, config.seed)
    models, drawn, alike = _measured(opened, config, questions, chosen, lenses)
    if lenses is not None:
        lenses.record(run)
    fresh = _untrained(config, opened.model, questions)
    probing_figures.draw(run, models, questions, grouped, fresh)
    draw_similarities(run, alike)
    probing_shown.draw(run, config, opened.tokenizer, [questions[i] for i in chosen], drawn)
    probing_report.record(run, models, questions, grouped, fresh)
    verdicts = probing_verdicts.verdicts(_evidence(config, models, questions, grouped, fresh), stated)
    if told is not None:
        probing_readable.record(run, told, config.threshold)
        verdicts += probing_readable.verdicts(told, config.threshold)
    close(run, verdicts, probing_report.report(
        config, models, questions, grouped, question=question, limits=[*limits, *(tuned_limits if source else [])],
        source=source, whole=opened.whole, kept=kept, lenses=[] if lenses is None else [lenses.section()]))


def _keep(run: Run, opened: Opened, place: probing_activations.Place, questions: Sequence[Question]) -> str:
    assert opened.adapters is not None
    return probing_activations.keep(run, place, opened.model, opened.adapters[-1], questions, decompose(opened.model),
                                    fingerprint=opened.base.fingerprint, source=opened.kept.run_id)


def _opened(run: Run, config: Any) -> Opened:
    if config.run_id is None:
        base = open_model(run, config)
        return Opened(base, base.model, base.tokenizer, None, None)
    kept = capsule.fetch(config.run_id)
    capsule.use(run, kept)
    if kept.kind == "model":
        base = open_base(kept, base=config.model, device=config.device, dtype=config.dtype)
        return Opened(base, base.model, base.tokenizer, None, kept)
    several = open_several([config.run_id], device=config.device, dtype=config.dtype, base=config.model)
    several.model.set_adapter(next(iter(several.capsules)))
    return Opened(several.base, several.model, several.tokenizer, [BASE, *several.capsules], kept)


def _stated(config: Any, opened: Opened, kind: str | None, layers: int) -> list[Hypothesis]:
    stated = hypotheses(layers=layers, tuned=opened.kept is not None, untrained=config.untrained)
    return stated + (probing_readable.hypotheses(kind, config.threshold, of_base=opened.kept is not None) if kind else [])


def _measured(opened: Opened, config: Any, questions: Sequence[Question], chosen: Sequence[int], lenses: Lenses | None
              ) -> tuple[dict[str, Measured], dict[str, list[probing_shown.Read]], dict[str, Similarity]]:
    """Every model on all questions, token by token on the chosen ones, and its similarities; all by name.

    A whole tuned model comes after its base.
    """
    models: dict[str, Measured] = {}
    drawn: dict[str, list[probing_shown.Read]] = {}
    alike: dict[str, Similarity] = {}
    shown = [questions[i] for i in chosen]
    for name in opened.names if opened.whole else [""]:
        if name == TUNED:
            opened.exchange(config)
        parts, final = decompose(opened.model), find_final(opened.model)
        names = [name] if name else opened.names
        if lenses is not None:
            with without_adapters(opened.model, opened.adapters) as first:
                lenses.fit(names[0], first, parts, final)
            for own in names[1:]:
                lenses.fit(own, opened.model, parts, final)
        alike |= dict(zip(names, similarities(opened.model, questions, parts, opened.adapters), strict=True))
        models |= dict(zip(names, measure(opened.model, questions, parts, final, adapters=opened.adapters,
                                          translate=lenses.base if lenses else None), strict=True))
        drawn |= dict(zip(names, probing_shown.read(opened.model, shown, parts, final, opened.adapters), strict=True))
    return models, drawn, alike


def _readable(opened: Opened, kind: str, seed: int) -> probing_readable.Readable:
    """Of the base where there are two: a training on something else may have made the tuned model forget what is asked."""
    with without_adapters(opened.model, opened.adapters) as model:
        return probing_readable.measure(model, opened.tokenizer, decompose(model), find_final(model), kind, seed=seed)


def _untrained(config: Any, model: Any, questions: Sequence[Question]) -> Measured | None:
    if not config.untrained:
        return None
    fresh = make_untrained(model, seed=config.seed)
    return measure_norms(fresh, questions, decompose(fresh))


def _evidence(config: Any, models: dict[str, Measured], questions: Sequence[Question], grouped: Clusters,
              fresh: Measured | None) -> probing_verdicts.Evidence:
    """Verdicts on one model are about the last one."""
    *others, last = models.values()
    taught = np.array([question.category == probing_questions.HELD_OUT for question in questions])
    words = "the run's held-out rows" if taught.any() else "all questions"
    taught = taught if taught.any() else ~taught
    own = clusters([questions[int(i)] for i in np.flatnonzero(taught)], config.resample)
    return probing_verdicts.Evidence(last, grouped, None if fresh is None else fresh.growth, others[0] if others else None,
                                     taught, words, own)
