"""How does rank change what is learned?"""

from dataclasses import dataclass, replace
from typing import Any

from lab.models import backends
from lab.options import option
from lab.studies.training_options import TrainingOptions, check, compact
from lab.sweeps.grid import points

QUESTION = "How does the rank of a LoRA adapter change what is learned, at one rate, schedule and budget?"
LIMITS = [
    "Ranks are compared at one learning rate and one number of steps; a rank may be better at another rate "
    "(learning_rate with a list of ranks asks that).",
    "In few steps a small rank is slower and less stable, seldom full: a higher loss is not yet a want of capacity.",
    "An interval over evaluation items does not cover another training seed; seeds=3 does.",
]


@dataclass(frozen=True)
class Config(TrainingOptions):
    """One rank, or several trained alike and compared."""

    r: tuple[int, ...] = option((8,), "rank of the adapter, or several: 1,4,16", minimum=1)
    lr: float = option(1e-3, "peak learning rate", above=0, maximum=1e6)
    capacity: bool = option(False, "train the smallest rank again with twice the steps and with twice the facts, to "
                                   "tell short from full")


def run(config: Config) -> str:
    """Trains one adapter per rank and seed and returns the id of the run that holds it, or of the sweep's parent."""
    check(config)
    backends.prepare(config.backend)
    from lab.studies.single import hypotheses, train_single
    from lab.studies.training_run import prepare, show_data
    from lab.tracking.run import open_run

    grid = points(config, ["r"])
    single = len(grid) == 1 and not config.capacity
    with open_run("lora_rank", config, name=_name(grid[0]) if single else _sweep_name(config)) as run:
        run.state(hypotheses(config) if single else _hypotheses(config), config.predict)
        setup = prepare(config)
        show_data(run, setup)
        if single:
            train_single(run, setup, config, r=config.r[0], lr=config.lr, question=QUESTION)
        else:
            _sweep(run, setup, config, grid)
        return run.id


def _name(config: Config) -> str:
    return f"lora_rank r={config.r[0]} lr={compact(config.lr)} seed={config.seed}"


def _sweep_name(config: Config) -> str:
    ranks = ",".join(map(str, config.r))
    return f"lora_rank r={ranks} lr={compact(config.lr)} seeds={config.seed}..{config.seed + config.seeds - 1}"


def _hypotheses(config: Config) -> list[Any]:
    from lab.studies import capacity, rank_verdicts

    stated = rank_verdicts.hypotheses(config)
    return stated + (capacity.hypotheses(config) if config.capacity else [])


def _sweep(run: Any, setup: Any, config: Config, grid: list[Config]) -> None:
    from lab.studies import frontiers, rank_figures, rank_verdicts
    from lab.studies.children import train_children
    from lab.studies.closing import close
    from lab.studies.point_rows import row
    from lab.tracking.report import Report, next_command

    trained = train_children(run, "lora_rank", setup, grid, name=_name, question=QUESTION)
    verdicts = rank_verdicts.verdicts(trained, config)
    if config.capacity:
        verdicts += _capacity_check(run, setup, config, trained)
    table = [row(point, config) for point in trained]
    run.table("ranks", table)
    rank_figures.draw(run, trained, config)
    learned_and_lost = frontiers.draw(run, trained, label=lambda p: rank_figures.label(p, config), value=lambda p: p.r)
    best = min((p for p in trained if p.trained.best), key=lambda p: p.trained.best.loss, default=None)  # type: ignore
    close(run, verdicts, Report(
        question=QUESTION, table=table, limits=frontiers.limits(LIMITS, config), sources=[p.run_id for p in trained],
        prediction=config.predict, sections=learned_and_lost,
        next=[next_command("loss_curves", run_ids=run.id),
              *([next_command("ask", run_ids=best.run_id)] if best else [])]))


def _capacity_check(run: Any, setup: Any, config: Config, trained: list[Any]) -> list[Any]:
    """Trains the smallest rank again with twice the steps, and with twice the facts."""
    from lab.studies import capacity
    from lab.studies.children import train_children
    from lab.studies.training_run import prepare

    if not capacity.hypotheses(config):
        return []
    smallest = replace(config, r=(min(config.r),), seeds=1, capacity=False)
    point = next(p for p in trained if p.r == smallest.r[0] and p.seed == config.seed)
    steps, facts = replace(smallest, steps=2 * config.steps), replace(smallest, facts=2 * config.facts)
    longer = train_children(run, "lora_rank", setup, [steps], question=QUESTION,
                            name=lambda c: f"{_name(c)} steps={c.steps} (capacity check)")[0]
    larger = train_children(run, "lora_rank", prepare(facts), [facts], question=QUESTION,
                            name=lambda c: f"{_name(c)} facts={c.facts} (capacity check)")[0]
    return [capacity.checked(point, longer, larger, config)]
