"""From finished trainings to the closed record: measured, scaled, judged, tabled, drawn."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from lab.errors import ModelUnsupported
from lab.models.tuned import Several, open_several
from lab.studies import illusion_figures as figures
from lab.studies import illusion_hypotheses as stated_as
from lab.studies import illusion_paper as papers
from lab.studies import illusion_tables as tables
from lab.studies.closing import close
from lab.studies.illusion_arms import Match, for_scaling, matches, whole
from lab.studies.illusion_correlation import correlate
from lab.studies.illusion_effects import learning_lost, text_saved
from lab.studies.illusion_measured import Looked, fetch, look
from lab.studies.illusion_scaling import INTRUDERS, NEIGHBOURS, SHRUNK, Scaled, measure
from lab.studies.illusion_scores import scorer
from lab.studies.illusion_verdicts import Counts, Evidence, verdicts
from lab.studies.learns_less_curves import check_same_items
from lab.studies.opening import facts, free
from lab.studies.trials import Trial
from lab.tracking import capsule
from lab.tracking.hypotheses import Hypothesis
from lab.tracking.report import Report, next_command, table
from lab.tracking.run import Run

NOTHING_SCALED = ("no adapter that learned enough and forgot has an intruder in every tenth weight at ε = {:g}: nothing was "
                  "scaled; higher rates make more")


def conclude(run: Run, config: Any, stated: Sequence[Hypothesis], trials: Sequence[Trial], *, question: str) -> None:
    """Looks for intruders in every training, scales those of adapters, and closes the study's run.

    Args:
        run: Open, with the hypotheses stated.
        config: Of the study.
        stated: The hypotheses.
        trials: All trainings of the grid.
        question: For the report.

    Raises:
        ModelUnsupported: No training ran to its end.
        OptionError: A weight has fewer than k directions, or trainings were measured on different items.
    """
    ended = whole(trials)
    if not ended:
        raise ModelUnsupported(f"all {len(trials)} trainings diverged: nothing can be looked at; type lower rates, such as "
                               f"lr={min(config.lr) / 10:g}")
    check_same_items(ended)
    kept = fetch(ended)
    for one in kept.values():
        capsule.use(run, one)
    adapters = [f"{trial.run_id}@last" for trial in ended if trial.r is not None]
    free()
    opened = open_several(adapters, device=config.device, dtype=config.dtype) if adapters else None
    if opened is not None:
        run.params(facts(opened.base))
    print(f"looking for intruders in {len(ended)} trainings", flush=True)
    looked = look(ended, kept, opened, config)
    matched = matches(ended)
    scaled = _scale(opened, looked, kept, config)
    _record(run, config, trials, looked, matched, scaled, stated, question)


def _scale(opened: Several | None, looked: Sequence[Looked], kept: Any, config: Any) -> list[Scaled]:
    if opened is None:
        return []
    named = {one.run_id: name for name, one in opened.capsules.items()}
    chosen = for_scaling([one.trial for one in looked], {one.trial.run_id: one.per_weight for one in looked})
    found = []
    for number, trial in enumerate(chosen, 1):
        print(f"[{number}/{len(chosen)}] scaling the intruders of {tables.label(trial)}", flush=True)
        found.append(measure(opened.model, named[trial.run_id], trial, kept[trial.run_id], scorer(opened.base, trial),
                             factors=config.factors, k=config.k, threshold=config.epsilon, most=config.scaled))
    return [one for one in found if one is not None]


def _record(run: Run, config: Any, trials: Sequence[Trial], looked: Sequence[Looked], matched: Sequence[Match],
            scaled: Sequence[Scaled], stated: Sequence[Hypothesis], question: str) -> None:
    evidence = gather(looked, matched, scaled, config)
    answers = verdicts(stated, evidence)
    paper = papers.rows(answers, papers.setup(config, trials))
    of_trials, of_matches = tables.trials(trials, looked), tables.matches(matched, looked)
    of_scaling = tables.scaling(scaled, config.factors)
    run.table("trials", of_trials)
    run.table("matched", of_matches)
    run.table("thresholds", tables.thresholds(matched, looked))
    run.table("scaling", of_scaling)
    run.table("paper", paper)
    run.summary(tables.metrics(looked, matched, scaled, evidence, config.factors))
    figures.draw(run, looked, matched, scaled, config)
    sections = [("Trainings", table(of_trials)), ("At matched loss", table(of_matches)),
                ("Intruders against the threshold", table(tables.thresholds(matched, looked)))]
    if scaled:
        sections += [("Intruders scaled down", table(of_scaling)), ("Scored again", tables.again(scaled))]
    adapters = [one for one in looked if one.trial.r is not None]
    most = max(adapters, key=lambda one: one.per_weight, default=looked[0])
    close(run, answers, Report(
        question=question, table=paper, limits=stated_as.LIMITS, sections=sections, prediction=config.predict,
        sources=[one.trial.run_id for one in looked],
        next=[next_command("adapter_geometry", run_id=most.trial.run_id, ablate="intruders:0.5"),
              next_command("forgetting", run_id=most.trial.run_id)]))


def gather(looked: Sequence[Looked], matched: Sequence[Match], scaled: Sequence[Scaled], config: Any) -> Evidence:
    """Returns what the verdicts are read from.

    Args:
        looked: Every training that ran to its end.
        matched: Adapters and whole models of like loss.
        scaled: Adapters whose intruders were scaled.
        config: Of the study.
    """
    by_id = {one.trial.run_id: one for one in looked}
    pairs = [Counts(one.lora.seed, one.full.run_id, by_id[one.lora.run_id].intruders, by_id[one.full.run_id].intruders,
                    by_id[one.lora.run_id].null_intruders) for one in matched if one.near]
    adapters = [one for one in looked if one.trial.r is not None]
    count, forgot, size = (np.array([pick(one) for one in adapters]) for pick in tables.CORRELATED)
    effects = {}
    if scaled:
        at = config.factors[0]
        lost = learning_lost(scaled, (at, INTRUDERS))
        effects = {stated_as.SAVES: text_saved(scaled, (at, INTRUDERS)),
                   stated_as.BEYOND_SHRINKING: text_saved(scaled, (at, INTRUDERS), (at, SHRUNK)),
                   stated_as.BEYOND_NEIGHBOURS: text_saved(scaled, (at, INTRUDERS), (at, NEIGHBOURS)),
                   **({stated_as.LEARNING_KEPT: lost} if lost else {})}
    why = "the adapters learned nothing" if scaled else NOTHING_SCALED.format(config.epsilon)
    return Evidence(pairs, config.k, len(adapters), correlate(count, forgot), correlate(count, forgot, given=size), effects,
                    tables.remarks(looked, matched, scaled, config.factors[0]), why)
