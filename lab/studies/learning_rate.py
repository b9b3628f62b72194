"""How does the learning rate change what is learned, and where does training come apart?"""

from dataclasses import dataclass
from typing import Any

from lab.models import backends
from lab.options import option
from lab.studies.training_options import TrainingOptions, check, compact
from lab.sweeps.grid import points

QUESTION = "How does the learning rate change what is learned, and where does training come apart?"
LIMITS = [
    "The best rate belongs to this number of steps, schedule, alpha and initialisation; more steps favour a lower one.",
    "A best rate at the edge of the grid is no best rate: widen the grid.",
    "A diverged training is a finding about the rate, not about what the rank can hold.",
]


@dataclass(frozen=True)
class Config(TrainingOptions):
    """One rate, or several; with several ranks, the best rate of each."""

    r: tuple[int, ...] = option((8,), "rank of the adapter, or several", minimum=1)
    lr: tuple[float, ...] = option((3e-4, 1e-3, 3e-3), "peak learning rate, or several: 3e-4,1e-3,3e-3", above=0,
                                    maximum=1e6)


def run(config: Config) -> str:
    """Trains one adapter per rate, rank and seed and returns the id of the run or of the sweep's parent."""
    check(config)
    backends.prepare(config.backend)
    from lab.studies import rate_verdicts
    from lab.studies.single import hypotheses, train_single
    from lab.studies.training_run import prepare, show_data
    from lab.tracking.run import open_run

    grid = points(config, ["r", "lr"])
    single = len(grid) == 1
    with open_run("learning_rate", config, name=_name(grid[0]) if single else _sweep_name(config)) as run:
        run.state(hypotheses(config) if single else rate_verdicts.hypotheses(config), config.predict)
        setup = prepare(config)
        show_data(run, setup)
        if single:
            train_single(run, setup, config, r=config.r[0], lr=config.lr[0], question=QUESTION)
        else:
            _sweep(run, setup, config, grid)
        return run.id


def _name(config: Config) -> str:
    return f"learning_rate r={config.r[0]} lr={compact(config.lr[0])} seed={config.seed}"


def _sweep_name(config: Config) -> str:
    ranks, rates = ",".join(map(str, config.r)), ",".join(map(compact, config.lr))
    return f"learning_rate r={ranks} lr={rates} seeds={config.seed}..{config.seed + config.seeds - 1}"


def _sweep(run: Any, setup: Any, config: Config, grid: list[Config]) -> None:
    from lab.studies import frontiers, rate_figures, rate_verdicts
    from lab.studies.children import train_children
    from lab.studies.closing import close
    from lab.studies.point_rows import row
    from lab.tracking.report import Report, next_command

    trained = train_children(run, "learning_rate", setup, grid, name=_name, question=QUESTION)
    fits = rate_verdicts.fits(trained)
    verdicts = rate_verdicts.verdicts(trained, fits, config)
    table = [row(point, config) for point in trained]
    run.table("rates", table)
    rate_figures.draw(run, trained, fits, config)
    learned_and_lost = frontiers.draw(run, trained, label=lambda p: rate_figures.label(p, config),
                                      value=lambda p: p.lr if len(fits) == 1 else p.r)
    best = min((p for p in trained if p.trained.best), key=lambda p: p.trained.best.loss, default=None)  # type: ignore
    close(run, verdicts, Report(
        question=QUESTION, table=table, limits=frontiers.limits(LIMITS, config), sources=[p.run_id for p in trained],
        prediction=config.predict, sections=learned_and_lost,
        next=[next_command("loss_curves", run_ids=run.id),
              *([next_command("ask", run_ids=best.run_id)] if best else [])]))
