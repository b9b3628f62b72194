"""What does a loss curve say?"""

from dataclasses import dataclass
from typing import Any

from lab import options
from lab.options import option

QUESTION = "What do the loss curves of these runs say?"
LIMITS = [
    "A law that fits these steps need not hold beyond them, and a learning rate that falls to zero flattens every curve by "
    "itself: a floor belongs to the schedule too.",
    "Intervals cover the noise along one curve, not another training seed. In simulations with correlated noise the "
    "nominal 95 % intervals of floor and exponent covered 90 to 99 %.",
    "All held-out points of a run share their rows; which rows were held out moves the floor, and is in no interval.",
    "A spike may be a batch that is harder than others, and nothing that the optimiser did.",
]
MOST_SOURCES = 12  # named in the report; the table has all


@dataclass(frozen=True)
class Config:
    """Which runs are read, and how."""

    run_ids: tuple[str, ...] | None = option(None, "training runs; a sweep's parent stands for its children", required=True)
    smoothing: str = option("centred", "of the train loss: centred, or exponential, which lags",
                            choices=("centred", "exponential"))
    window: int = option(21, "steps that the smoothing averages; 1: none", minimum=1)
    fit_after: int = option(0, "laws are fitted to held-out points after this step", minimum=0)
    plateau_share: float = option(0.01, "improvement, as a share of the loss, below which the loss is flat", above=0,
                                  maximum=1)
    plateau_steps: int | None = option(None, "steps in which it would have to improve; none: a fifth of the run", minimum=1)
    spike_threshold: float = option(6.0, "robust z-score from which a step is a spike", above=0)
    known_floor: float | None = option(None, "entropy of the data in nats per token, if you know it; none: of the lab's own "
                                             "data it is known", minimum=0)
    seed: int = option(0, "random seed of the bootstrap", minimum=0)
    predict: str | None = option(None, "your guess, written down before anything is computed")


def tour(run_id: str) -> Config:
    """Returns what the tour asks."""
    return Config(run_ids=(run_id,))


def run(config: Config) -> str:
    """Reads the runs' curves and returns the id of the run that says what they show."""
    options.validate(config)
    from lab.studies import curve_figures, curve_sources, curve_verdicts
    from lab.studies.closing import close
    from lab.studies.curve_readings import read, row
    from lab.tracking.report import Report
    from lab.tracking.run import open_run

    assert config.run_ids is not None
    with open_run("loss_curves", config, name=f"loss_curves {', '.join(config.run_ids)}"[:120]) as run:
        sources = curve_sources.load(config.run_ids)
        for source in sources:
            run.came_from(source.run_id, None)
        floors = [curve_sources.known_floor(s) if config.known_floor is None else (config.known_floor, "as given")
                  for s in sources]
        stated = curve_verdicts.hypotheses(sources, config, floors)
        run.state(stated, config.predict)
        readings = [read(source, config, floor) for source, floor in zip(sources, floors, strict=True)]
        table = [row(reading) for reading in readings]
        run.table("curves", table)
        sections = _record(run, readings)
        curve_figures.draw(run, readings, config)
        close(run, curve_verdicts.verdicts(stated, readings), Report(
            question=QUESTION, table=table, limits=LIMITS, sections=sections, next=_next(sources),
            sources=[source.run_id for source in sources[:MOST_SOURCES]], prediction=config.predict))
        return run.id


def _record(run: Any, readings: list[Any]) -> list[tuple[str, str]]:
    """Records fits and spikes and returns what the report says of them in words."""
    from lab.studies.curve_readings import spike_rows
    from lab.tracking.report import table

    found = [line for reading in readings for line in spike_rows(reading, _batches(reading.source.run_id))]
    if found:
        run.table("spikes", found)
    if len(readings) == 1 and readings[0].usable:
        power, compared = readings[0].power, readings[0].comparison
        exponent = {"curves/exponent": power.shape} if power.shape_identified else {}
        run.summary({"curves/floor_nats": power.floor, "curves/error_power_law_nats": compared.power_error,
                     "curves/error_exponential_nats": compared.exponential_error,
                     "curves/spikes": float(len(readings[0].spikes.found)), **exponent})
    words = [f"- **{r.source.name}**: {r.power.words}. {r.comparison.words}. {r.plateau.words}. {r.overfitting.words}. "
             f"Train loss: {r.smoothed.method}; {r.spikes.problem or f'{len(r.spikes.found)} spikes'}." for r in readings]
    sections = [("In words", "\n".join(words))]
    return [*sections, ("Highest spikes", table(found[:10]))] if found else sections


def _batches(run_id: str) -> Any:
    """Returns which rows each step trained on, if the run kept it."""
    from lab.errors import TrackingError
    from lab.tracking.rows import arrays

    try:
        return arrays(run_id, "training").get("batches")
    except TrackingError:  # a run of another program, or one that ended before its figures
        return None


def _next(sources: list[Any]) -> list[str]:
    from lab.tracking.report import next_command
    from lab.training.curve_fits import POINTS_NEEDED

    commands = []
    short = next((s for s in sources if s.points < POINTS_NEEDED and s.config.get("steps")), None)
    if short is not None and short.study != "pretrain":
        commands.append(next_command(short.study, eval_every=max(1, short.config["steps"] // 20)))
    return [*commands, next_command("ask", run_ids=tuple(source.run_id for source in sources[:4]))]
