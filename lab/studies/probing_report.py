"""What a look at the residual stream records and says."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from lab.data.questions import Question
from lab.models.loading import Base
from lab.studies import opening
from lab.studies import probing_tables as tables
from lab.studies.attention_intervals import between
from lab.studies.probing_figures import Models
from lab.studies.probing_intervals import Clusters, over_clusters
from lab.studies.probing_measure import Measured
from lab.tracking.report import Report, next_command, table
from lab.tracking.run import Run

_OF_LAYER = ("model", "layer", "stream (rms)", "attention / stream", "feed-forward / stream", "attention (nats)",
             "feed-forward (nats)", "lens: answer − foil (nats)", "lens: answer first (share)")


def facts(base: Base, questions: Sequence[Question]) -> dict[str, Any]:
    """Returns what a run records of the model and the questions."""
    lengths = [len(question.input_ids) for question in questions]
    return {**opening.facts(base), "questions.count": len(questions), "questions.tokens": sum(lengths),
            "questions.longest": max(lengths),
            "questions.templates": len({(question.category, question.template) for question in questions}),
            "questions.categories": ", ".join(dict.fromkeys(question.category for question in questions))}


def record(run: Run, models: Models, questions: Sequence[Question], grouped: Clusters, untrained: Measured | None) -> None:
    """Keeps tables and metrics."""
    run.summary(tables.summary(models, untrained))
    run.table("layers", tables.layers(models, grouped))
    run.table("parts", tables.parts(models, grouped))
    if heads := tables.heads(models, grouped):
        run.table("heads", heads)
    run.table("categories", tables.categories(models, questions))
    run.table("questions", tables.of_questions(models, questions, grouped))


def report(config: Any, models: Models, questions: Sequence[Question], grouped: Clusters, *, question: str,
           limits: Sequence[str], source: str | None, whole: bool, kept: str | None,
           lenses: Sequence[tuple[str, str]] = ()) -> Report:
    """Returns the report.

    Args:
        config: Of the study.
        models: One, or base and tuned.
        questions: N.
        grouped: Their clusters.
        question: What is asked.
        limits: What may not be concluded.
        source: The training run, or None.
        whole: Whether that run kept a whole model, which cannot be patched into its base.
        kept: What is said of activations that were kept; None where none were.
        lenses: Sections on lenses that were trained.
    """
    sections = [("In words", "\n\n".join(in_words(name, each, grouped) for name, each in models.items()) + "\n\n"
                 f"Intervals cover {grouped.covers}; in tables and figures by category, questions "
                 "about one entity are resampled together or, where all hang together so, the two that exchange answers."),
                ("By layer", table(tables.short(tables.layers(models, grouped), _OF_LAYER)))]
    if heads := tables.heads(models, grouped):
        sections.append(("Heads with the largest direct contributions", table(heads[:8])))
    without = next(iter(models.values())).without_heads
    if without:
        sections.append(("Without heads", "\n".join(f"- layer {layer}: {why}" for layer, why in without.items())))
    sections += lenses
    if kept is not None:
        sections.append(("Activations", kept))
    return Report(question=question, table=tables.categories(models, questions), limits=list(limits), sections=sections,
                  sources=[source] if source else [], next=_next(config, source, whole=whole), prediction=config.predict)


def in_words(name: str, each: Measured, grouped: Clusters) -> str:
    """Returns what one model does, in sentences."""
    total, low, high = map(float, over_clusters(each.parts["total"], grouped))
    first = each.first_layer()
    answered = int(each.right.sum())
    text = (f"**{name}**: the answer leads its foil by {total:.3g} nats at the output (95 % interval "
            f"{between(low, high) or 'none, over so few'}; 0: even). Of them "
            f"{each.parts['embedding'].mean():.3g} come directly from the embedding, "
            f"{each.parts['attention'].sum(1).mean():.3g} from attention and {each.parts['feed_forward'].sum(1).mean():.3g} "
            f"from feed-forward; rounding leaves {np.abs(each.parts['left']).max():.1g}. The model puts the answer's first "
            f"token first in {answered} of {len(first)} questions")
    if not answered:
        return f"{text}."
    return (f"{text}, and the lens reads it for good from layer {np.nanmedian(first):.3g} on (median; the last layer is "
            f"{each.lens['rank'].shape[1] - 1}).")


def _next(config: Any, source: str | None, *, whole: bool) -> list[str]:
    asked = {"run_id": source} if source else {"model": config.model or "embedded"}
    commands = [next_command(study, **asked) for study in ("patching", "linear_probe") if study != "patching" or not whole]
    if source:
        return [*commands, next_command("attention_compare", run_id=source), next_command("adapter_geometry", run_id=source)]
    return [*commands, next_command("attention", **asked)]
