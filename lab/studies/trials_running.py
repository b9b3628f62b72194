"""The trainings of a study, one after another: those that are finished are read, the others trained."""

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from lab.studies import opening, training_run, trials_kept
from lab.studies.children import train_child
from lab.studies.closing import close
from lab.studies.rules import undecided
from lab.studies.training_options import base_quantization, check
from lab.studies.training_run import Setup
from lab.studies.trials import Trained, Trial
from lab.studies.trials_part import Clock, Part
from lab.tracking.hypotheses import Hypothesis
from lab.tracking.report import Report, next_command
from lab.tracking.run import Run

if TYPE_CHECKING:
    from mlflow.entities import Run as MlflowRun

STUDY = "finetune"  # a child's configuration is one of this study


def train(run: Run, study: str, grid: list[Any], options: Any, *, name: Callable[[Any], str], question: str) -> Trained:
    """See `lab.studies.trials.train`."""
    part, clock, setups = Part.read(options.part), Clock(options.minutes), _setups(run)
    for config in grid:
        check(config)
    found = _reused(grid, trials_kept.finished((*(options.resume or ()), run.id)), setups, clock)
    wanted = [config for config in _together(part.of(grid)) if trials_kept.key(config) not in found]
    late = False
    try:
        for number, config in enumerate(wanted, 1):
            if trials_kept.key(config) in found:
                continue
            if not clock.allows(config):
                late = True
                continue
            print(f"[{number}/{len(wanted)}] {name(config)}", flush=True)
            began = time.monotonic()
            found[trials_kept.key(config)] = _one(setups, config, name(config), question)
            clock.took(config, time.monotonic() - began)
    except BaseException:
        print(f"to go on, with what is finished: {_command(run, study, options, options.part)}", flush=True)
        raise
    left = [config for config in grid if trials_kept.key(config) not in found]
    done = [found[trials_kept.key(config)] for config in grid if trials_kept.key(config) in found]
    command = _command(run, study, options, options.part if late else part.next) if left else ""
    return Trained(done, left, command)


def close_part(run: Run, trained: Trained, hypotheses: Sequence[Hypothesis], *, question: str, limits: list[str],
               prediction: str | None) -> None:
    """See `lab.studies.trials.close_part`."""
    done = f"{len(trained.trials)} of {len(trained.trials) + len(trained.left)} trained"
    print(f"\n{done}; verdicts follow when all are")
    table = [row(trial) for trial in trained.trials]
    run.table("trials", table)
    close(run, [undecided(each.name, unit="", null=each.null, detail=done) for each in hypotheses], Report(
        question=question, table=table, limits=[f"Only {done}: nothing can be concluded yet.", *limits],
        sources=[trial.run_id for trial in trained.trials], next=[trained.command], prediction=prediction))


def row(trial: Trial) -> dict[str, Any]:
    """Returns a training as a line of a table, at its last checkpoint."""
    cells: dict[str, Any] = {
        "method": trial.method, "r": trial.r, "lr": trial.lr, "seed": trial.seed, "replay (share)": trial.replay or None,
        "trainable parameters": trial.parameters, "steps": int(trial.steps[-1]),
        "loss, base (nats/token)": float(trial.loss[0]), "loss (nats/token)": float(trial.loss[-1])}
    if trial.correct:
        low, high = trial.lost_interval[-1]
        cells |= {"lost (points)": float(trial.lost_points[-1]), "95 % interval": f"{low:.2f} to {high:.2f}"}
    return {**cells, "diverged at step": trial.diverged_at, "run": trial.run_id}


class Setups:
    """Base, data and suites, each loaded once for all trainings that share it; one base at a time is in memory."""

    def __init__(self) -> None:
        self._base: tuple[Any, Any] | None = None
        self._data: dict[Any, Any] = {}
        self._suites: dict[Any, Any] = {}
        self._setups: dict[Any, Setup] = {}

    def of(self, config: Any) -> Setup:
        """Returns what a training needs."""
        named = base_of(config)
        if self._base is None or self._base[0] != named:
            self._base, self._suites, self._setups = None, {}, {}
            opening.free()
            self._base = named, training_run.load(config)
        base = self._base[1]
        data = (base.tokenizer_sha256, config.dataset, config.facts, config.answers, config.eval_split, config.data_seed,
                config.max_length, config.replay, config.replay_data)
        if data not in self._data:
            self._data[data] = training_run.read_data(config, base)
        asked = (config.evaluate, config.evaluate_items)
        if asked not in self._suites:
            self._suites[asked] = training_run.read_suites(config, base)
        return self._setups.setdefault((data, asked), Setup(base, self._data[data], self._suites[asked]))


_latest: tuple[str, Setups] | None = None


def _setups(run: Run) -> Setups:
    """What is loaded for a study, which may train in several rounds."""
    global _latest
    if _latest is None or _latest[0] != run.id:
        _latest = run.id, Setups()
    return _latest[1]


def base_of(config: Any) -> tuple[Any, ...]:
    """Returns what trainings on one loaded base have in common."""
    from lab.devices import choose

    placement = choose(config.device, training_run.base_dtype(config))
    return (config.model, base_quantization(config), config.backend, placement.device, placement.dtype, config.max_length)


def _one(setups: Setups, config: Any, name: str, question: str) -> Trial:
    tags = {trials_kept.TAG: trials_kept.key(config)}
    return trials_kept.read(train_child(STUDY, setups.of(config), config, name=name, question=question, tags=tags).run_id)


def _together(grid: Sequence[Any]) -> list[Any]:
    """The grid with trainings on one base next to one another, otherwise in its order."""
    bases = [base_of(config) for config in grid]
    return [config for _, config in sorted(zip(bases, grid, strict=True), key=lambda pair: bases.index(pair[0]))]


def _reused(grid: Sequence[Any], kept: "dict[str, list[MlflowRun]]", setups: Setups, clock: Clock) -> dict[str, Trial]:
    """Trainings of the grid that earlier parts finished on the same base and data, by key."""
    found: dict[str, Trial] = {}
    for config in _together(grid):
        key = trials_kept.key(config)
        for run in kept.get(key, []) if key not in found else []:
            if _same(run, setups.of(config)):
                found[key] = trials_kept.read(run.info.run_id)
                clock.took(config, trials_kept.seconds(run))
                break
    if found:
        print(f"{len(found)} of {len(grid)} trainings are finished and are reused", flush=True)
    return found


def _same(run: "MlflowRun", setup: Setup) -> bool:
    params = run.data.params
    replayed = setup.data.replay.sha256 if setup.data.replay else None
    here = {"base.fingerprint": setup.base.fingerprint, "data.sha256": setup.data.sha256,
            "data.eval_sha256": setup.data.eval_sha256, "data.replay_sha256": replayed}
    return all(params.get(name) == value for name, value in here.items())


def _command(run: Run, study: str, options: Any, part: str) -> str:
    """What goes on with what is left: the study with the same options, this run's trainings reused."""
    default = type(options)()
    given = {name: value for name, value in vars(options).items() if value != getattr(default, name)}
    return next_command(study, **{**given, "resume": (run.id,), "part": part})
