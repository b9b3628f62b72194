"""A patching study, from loaded model to report."""

from collections.abc import Sequence
from typing import Any

from lab.data.questions import Question
from lab.errors import ModelUnsupported
from lab.models.loading import Base
from lab.models.tuned import open_several
from lab.probing.decomposition import decompose
from lab.probing.patching_effects import SUFFICIENCY
from lab.studies import patching_cells, patching_ranking, patching_report, patching_verdicts, probing_questions
from lab.studies.closing import close
from lab.studies.opening import facts, open_model
from lab.studies.patching_cells import Plan
from lab.studies.patching_contrasts import SUBJECT, Candidate, Chosen, choose, of_pairs, of_training, read
from lab.studies.patching_verdicts import Asked
from lab.tracking import capsule
from lab.tracking.report import Report, next_command
from lab.tracking.run import Run


def look(run: Run, config: Any, *, question: str, limits: Sequence[str], tuned_limits: Sequence[str]) -> None:
    """Patches base and tuned, or two prompts, into each other and closes the run.

    Args:
        run: Open.
        config: Of `patching`.
        question: For the report.
        limits: Likewise.
        tuned_limits: Likewise, where a training is looked at.
    """
    model, tokenizer, base, name = _opened(run, config)
    source = None if name is None else name.removesuffix("_last")
    questions = read(config, base, tokenizer, source)
    decomposition = decompose(base.model)
    candidates = _candidates(config, model, tokenizer, questions, name)
    chosen = choose(model, decomposition, candidates, count=config.count, draws=config.draws, seed=config.seed)
    plan = patching_cells.plan(config, model, decomposition, chosen.roles)
    patching_report.check_positions(config, chosen)
    contrasts = [each.contrast for each in chosen.candidates]
    asked = _asked(config, plan, chosen)
    run.state(patching_verdicts.hypotheses(asked, len(contrasts), trained=name is not None), config.predict)
    run.params(_facts(base, questions, chosen))
    probing_questions.record(run, questions)
    found = patching_cells.effects(config, model, decomposition, contrasts, plan)
    ranking = patching_ranking.rank(config, model, decomposition, contrasts, plan, found) if asked.ranked else None
    every = patching_report.rows(plan, found)
    patching_report.record(run, config, plan, chosen, found, ranking, every, trained=name is not None)
    patching_report.draw_tokens(run, config, model, decomposition, chosen, trained=name is not None)
    close(run, patching_verdicts.verdicts(asked, plan, found, ranking, chosen.roles), Report(
        question=question, table=every[:10],
        limits=[*limits, *(tuned_limits if name is not None else [])],
        sections=patching_report.sections(config, plan, chosen, found, trained=name is not None),
        sources=[source] if source else [], prediction=config.predict, next=_next(config, source)))


def _opened(run: Run, config: Any) -> tuple[Any, Any, Base, str | None]:
    """Returns the model, its tokenizer, what it stands on and the adapter's name; a run's capsule is recorded as source."""
    if config.run_id is not None:
        kept = capsule.fetch(config.run_id)
        if kept.kind == "model":
            raise ModelUnsupported(f"run {kept.run_id} kept a whole model: a full fine-tune changes the unembedding "
                                   "too, so patching layers cannot reproduce what it says. Type `mlflow run . -e probing "
                                   f"-P run_id={kept.run_id}`, which looks into base and tuned model; or train with "
                                   "method=lora and patch that run")
        opened = open_several([config.run_id], device=config.device, dtype=config.dtype, base=config.model)
        (name, one), = opened.capsules.items()
        capsule.use(run, one)
        return opened.model, opened.tokenizer, opened.base, name
    base = open_model(run, config)
    return base.model, base.tokenizer, base, None


def _candidates(config: Any, model: Any, tokenizer: Any, questions: Sequence[Question], name: str | None) -> list[Candidate]:
    if name is None:
        return of_pairs(tokenizer, questions)
    return of_training(model, tokenizer, questions, name, config.contrast)


def _asked(config: Any, plan: Plan, chosen: Chosen) -> Asked:
    subject = SUBJECT in chosen.roles and SUFFICIENCY in config.directions
    pool = sum(cell.site in patching_cells.BLOCKS for cell in plan.places)
    return Asked(subject, patching_ranking.possible(plan, len(chosen.candidates), config.top), config.top, pool)


def _facts(base: Base, questions: Sequence[Question], chosen: Chosen) -> dict[str, Any]:
    lengths = [len(each.labels) for each in chosen.candidates]
    return {**facts(base), "questions.count": len(questions), "contrasts.candidates": len(chosen.rows),
            "contrasts.count": len(chosen.candidates), "contrasts.longest": max(lengths),
            "contrasts.roles": ", ".join(chosen.roles)}


def _next(config: Any, source: str | None) -> list[str]:
    if source is None:
        reference = config.model or "embedded"
        return [next_command("probing", model=reference), next_command("attention", model=reference)]
    return [next_command("patching", model=f"run:{source}"), next_command("probing", run_id=source),
            next_command("attention_compare", run_id=source)]
