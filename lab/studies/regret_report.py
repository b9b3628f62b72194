"""The end of the study: tables, figures, verdicts and the report."""

from collections.abc import Mapping, Sequence
from typing import Any

from lab.evaluation.intervals import Estimate, over_seeds
from lab.studies import paper_rows, regret_figures, regret_paper
from lab.studies.closing import close
from lab.studies.regret_arms import FULL, Arm
from lab.studies.regret_hypotheses import NATS
from lab.studies.regret_measured import Measured, gap, measure
from lab.studies.regret_verdicts import verdicts
from lab.studies.training_options import compact
from lab.studies.trials import Trial
from lab.tracking.hypotheses import Hypothesis
from lab.tracking.report import Report, cell, next_command, table
from lab.tracking.run import Run
from lab.training.curve_rate_ratio import RateRatio, ratio

LIMITS = [
    "An interval over three seeds is wide: it may hold the source's number and exclude little else.",
    "A best rate belongs to this number of steps, batch, schedule, alpha and initialisation. The source saw about 15 times "
    "instead of 10 in runs of under 100 steps: a short run is no test of a long one.",
    "A ratio says nothing without alpha: at another alpha / r the same adapter wants another rate.",
    "Losses are compared at the best of the rates tried, chosen on the same seeds; a finer grid could move either a little.",
    "Whether LoRA reaches full's loss depends on how much there is to learn; no rank's capacity is filled in a short run.",
    "No forgetting is measured here; lora_learns_less does that.",
]
SETUP = ("alpha {alpha:g}, the update scaled by alpha / r; A uniform between ±1/sqrt(d_in), B zero (PEFT's default); AdamW "
         "without weight decay, the same rate for A and B")


def conclude(run: Run, config: Any, stated: Sequence[Hypothesis], compared: Sequence[Arm], trials: Sequence[Trial], *,
             question: str) -> None:
    """Measures, draws, judges and reports.

    Args:
        run: Of the study, open, its hypotheses stated.
        config: Of the study.
        stated: Its hypotheses.
        compared: Its arms.
        trials: All its trainings.
        question: For the report.
    """
    measured = measure(compared, trials)
    found = verdicts(stated, measured, config)
    run.summary(metrics(measured))
    regret_figures.draw(run, measured)
    arms = [row(each, measured[FULL]) for each in measured.values()]
    beside = paper_rows.rows(regret_paper.CLAIMS, found, here(config))
    kept = {"arms": arms, "paper": beside, "trainings": trainings(measured, trials)}
    for name, rows in kept.items():
        run.table(name, rows)
    close(run, found, Report(
        question=question, table=arms, limits=LIMITS, sources=[trial.run_id for trial in trials],
        sections=[_paper(beside, config), ("How a best rate is found", FITTED)], prediction=config.predict,
        next=_next(measured, trials)))


FITTED = (
    "log(loss) after the last step against log(rate): each seed a cubic through the five rates nearest to the best one "
    "tried. The interval holds all rates at which a t-test over the seeds does not tell the slope from 0, and where a "
    "quartic would put the best one. In simulations with three seeds it covered the planted rate in 94 to 98 % of sweeps, a "
    "ratio's in 98 to 99 %; with the losses of a real sweep for a truth in 93 to 99 % and 98 to 100 %, but where the best "
    "rate is next to an end of its grid in 88 to 98 %. A rate at which any seed diverged is left out and marked.")


def here(config: Any) -> str:
    """Returns this study's setup in words."""
    facts = f" ({config.facts} facts)" if config.dataset == "embedded:facts" else ""
    warmup = f"after {config.warmup:.0%} warm-up" if config.warmup else "without warm-up"
    return (f"{config.model}, {config.dataset}{facts}, {config.steps} steps of {config.batch_size * config.accumulate} "
            f"rows, {config.schedule} rate {warmup}, {config.seeds} seeds; {SETUP.format(alpha=config.alpha)}")


def row(each: Measured, full: Measured) -> dict[str, Any]:
    """Returns an arm as a line of the table: its best rate, how many times full's that is, and its loss there."""
    fit, losses = each.fit, list(each.at_best.values())
    loss = over_seeds(losses) if len(losses) > 1 else None
    times, behind = ratio(fit, full.fit), gap(each, full)
    itself = each is full
    return {
        "arm": each.arm.name, "trainable parameters": each.parameters,
        "rates tried": f"{compact(each.arm.rates[0])} to {compact(each.arm.rates[-1])}, {len(each.arm.rates)}",
        "best rate": float(f"{fit.best:.3g}") if fit.best else None, "95 % interval": _ends(fit.interval),
        "times full's": None if itself or times is None else _shown(times),
        "best rate tried": None if fit.grid_best is None else compact(fit.grid_best),
        f"loss there ({NATS})": None if loss is None else _shown(loss),
        f"above full's ({NATS})": None if itself or behind is None else _shown(behind),
        f"bare base ({NATS})": round(each.base_loss, 4),
        "remark": "; ".join(filter(None, [fit.problem or ("" if fit.interval else fit.words),
                                          f"diverged: {', '.join(each.lost)}" if each.lost else ""])) or None}


def trainings(measured: Mapping[str, Measured], trials: Sequence[Trial]) -> list[dict[str, Any]]:
    """Returns one line for each training."""
    return [{"arm": each.arm.name, "lr": compact(trial.lr), "seed": trial.seed,
             f"loss ({NATS})": None if trial.diverged_at is not None else round(float(trial.loss[-1]), 5),
             "diverged at step": trial.diverged_at, "run": trial.run_id}
            for each in measured.values() for trial in trials if each.arm.owns(trial)]


def metrics(measured: Mapping[str, Measured]) -> dict[str, float]:
    """Returns the figures by which studies are compared, under their metric names."""
    found, full = {}, measured[FULL]
    for name, each in measured.items():
        short = name.replace(", ", "_").replace(" ", "_").replace("=", "_").replace("-", "_")
        if each.fit.best is not None:
            found[f"best/{short}_rate"] = each.fit.best
        if each.at_best:
            found[f"best/{short}_loss_nats_per_token"] = sum(each.at_best.values()) / len(each.at_best)
        times = ratio(each.fit, full.fit)
        if times is not None and each is not full:
            found[f"best/{short}_rate_times_full"] = times.value
    return found


def _paper(beside: Sequence[Mapping[str, Any]], config: Any) -> tuple[str, str]:
    short = [{name: line[name] for name in ("claim", "paper: number", "here: number", "here: 95 % interval", "verdict",
                                            "not the same")} for line in beside]
    asked = f"{regret_paper.SOURCE}. Setups and nulls are in the table `paper`. Here: {here(config)}."
    return "The paper and this run", f"{asked}\n\n{table(short)}"


def _next(measured: Mapping[str, Measured], trials: Sequence[Trial]) -> list[str]:
    """Looks into the best training of the highest rank and of the whole model."""
    commands = []
    for each in ([one for one in measured.values() if one.arm.ranked][-1], measured[FULL]):
        mine = [trial for trial in trials if each.arm.owns(trial) and trial.lr == each.fit.grid_best]
        commands += [next_command("adapter_geometry", run_id=trial.run_id) for trial in mine[:1]]
    return commands


def _shown(found: Estimate | RateRatio) -> str:
    return f"{cell(found.value)} ({cell(found.low)} to {cell(found.high)})"


def _ends(interval: tuple[float, float] | None) -> str | None:
    return None if interval is None else f"{interval[0]:.2g} to {interval[1]:.2g}"
