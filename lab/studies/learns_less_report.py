"""From finished trainings to verdicts, tables, figures and the report."""

from collections.abc import Sequence
from typing import Any

from lab.studies import learns_less_arms as arms
from lab.studies import learns_less_figures as figures
from lab.studies import learns_less_paper as paper
from lab.studies import learns_less_tables as tables
from lab.studies import learns_less_updates as updates
from lab.studies import paper_rows
from lab.studies.closing import close
from lab.studies.learns_less_arms import Tuned
from lab.studies.learns_less_curves import CONTRADICTED, collateral, curves
from lab.studies.learns_less_verdicts import Evidence, verdicts
from lab.studies.training_options import compact
from lab.studies.trials import Trial
from lab.tracking.hypotheses import Hypothesis
from lab.tracking.report import Report, next_command, table
from lab.tracking.run import Run

LIMITS = [
    "The paper's model has 7 billion parameters and is judged by benchmarks; a claim refuted on a small model, another task "
    "and another measure is not refuted there, and one that is supported here is not supported there.",
    "Learning is the fall of the loss on held-out rows, not the accuracy of answers; forgetting is the accuracy of ranked "
    "alternatives in generated suites. What the suites do not ask may be lost unseen.",
    "Rates are the best of those tried, at one seed and this number of steps; forgetting depends on the rate too, and a "
    "lower one would forget less and learn less.",
    "alpha is the same for all ranks and the update is scaled by alpha / r; the paper uses alpha = 2 r.",
    "The intervals do not cover another draw of the data, another order of tuning, or another model.",
]


def say_rates(tuned: Sequence[Tuned]) -> None:
    """Prints the rate that each arm is given from now on."""
    said = [f"{one.arm.name} lr={'none' if one.lr is None else compact(one.lr)}" + (f" ({one.remark})" if one.remark else "")
            for one in tuned]
    print(f"best rates: {', '.join(said)}", flush=True)


def conclude(run: Run, config: Any, stated: Sequence[Hypothesis], tuned: Sequence[Tuned], tuning: Sequence[Trial],
             repeats: Sequence[Trial], *, question: str) -> None:
    """Judges what was stated and closes the run.

    Args:
        run: Open, with `stated` stated.
        config: Of the study.
        stated: Its hypotheses.
        tuned: The arms with their rates.
        tuning: Trainings of all rates, first seed.
        repeats: Of the best rates, other seeds.
        question: For the report.
    """
    trials = [*tuning, *repeats]
    chosen = arms.chosen(tuned, trials)
    whole = [of_seed[arms.FULL] for of_seed in chosen.values() if arms.FULL in of_seed]
    judged = {seed: {arm: collateral(one, config.dataset) for arm, one in of_seed.items()}
              for seed, of_seed in chosen.items()}
    evidence = Evidence(config, tuned, curves(judged), updates.measure(run, whole, config))
    found = verdicts(stated, evidence)
    run.summary(tables.metrics(evidence, found))
    figures.draw_frontier(run, tuned, evidence.curves)
    figures.draw_rates(run, tuned)
    beside = paper_rows.rows(paper.CLAIMS, found, here(config))
    kept = {"arms": tables.arms(evidence, trials), "paper": beside, "rates": tables.rates(tuned),
            "checkpoints": tables.checkpoints(evidence),
            "suites": tables.suites(evidence, [(arm, one) for of_seed in chosen.values() for arm, one in of_seed.items()])}
    if evidence.ranks:
        figures.draw_update(run, evidence.ranks)
        kept["full_update"] = updates.rows(evidence.ranks)
    for name, rows in kept.items():
        run.table(name, rows)
    close(run, found, Report(
        question=question, table=kept["arms"], limits=LIMITS, sources=[trial.run_id for trial in trials],
        sections=_sections(kept, config), prediction=config.predict, next=_next(chosen)))


def here(config: Any) -> str:
    """Returns this study's setup in words."""
    facts = f" ({config.facts} facts)" if config.dataset == "embedded:facts" else ""
    return (f"{config.model}, {config.dataset}{facts}, {config.steps} steps of {config.batch_size * config.accumulate} "
            f"rows, r={', '.join(map(str, sorted(set(config.r))))} on {config.targets}, alpha {config.alpha:g}, "
            f"{config.schedule} rate after {config.warmup:.0%} warm-up, {config.seeds} seed{'s' * (config.seeds > 1)}")


def _sections(kept: dict[str, list[dict[str, Any]]], config: Any) -> list[tuple[str, str]]:
    short = [{name: row[name] for name in ("claim", "paper: number", "here: number", "here: 95 % interval", "verdict",
                                           "not the same")} for row in kept["paper"]]
    asked = f"{paper.SOURCE}. Setups and nulls are in the table `paper`. Here: {here(config)}."
    sections = [
        ("The paper and this run", f"{asked}\n\n{table(short)}"),
        ("Rates", "Chosen by the last loss on half of the held-out rows, at the first seed; everything else here is "
                  f"measured on the other half.\n\n{table(kept['rates'])}"),
        ("What there was to lose", "Lost at the last step, mean over seeds. A suite that the base cannot do cannot be lost."
                                   f"{_not_counted(config)}\n\n{table(kept['suites'])}")]
    if "full_update" in kept:
        sections.append(("What full fine-tuning added", "rank-90 is the fewest directions that hold 90 % of the squared "
                         "singular values; noise fills half of all and more, and stable rank (squared Frobenius over "
                         "squared spectral norm) is what noise cannot fill alone. Trained and kept in float32, mean "
                         f"over layers and seeds.\n\n{table(kept['full_update'])}"))
    return sections


def _not_counted(config: Any) -> str:
    without = CONTRADICTED.get(config.dataset, ())
    return f" Not counted, since {config.dataset} contradicts it: {', '.join(without)}." if without else ""


def _next(chosen: dict[int, dict[str, Trial]]) -> list[str]:
    first = next(iter(chosen.values()), {})
    commands = [next_command("forgetting", run_id=trial.run_id) for trial in list(first.values())[-2:]]
    if arms.FULL in first:
        commands.append(next_command("adapter_geometry", run_id=first[arms.FULL].run_id))
    return commands
