"""The children of a sweep: one run per point, one after another in one warm process, the base loaded once."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from lab.studies.single import hypotheses, train_single
from lab.studies.training_run import Point, Setup
from lab.tracking.run import Run, open_run


def train_children(parent: Run, study: str, setup: Setup, grid: list[Any], *, name: Callable[[Any], str], question: str
                   ) -> list[Point]:
    """Returns one finished point per configuration, each kept in its own child run.

    Args:
        parent: Open; the children are nested in it.
        study: Recorded as the children's study.
        setup: Base and data, shared.
        grid: Complete configurations of single runs, whose `r` and `lr` are one value or tuples of one.
        name: Gives a child its name.
        question: For the children's reports.
    """
    trained = []
    for number, config in enumerate(grid, 1):
        config = replace(config, predict=None, register=None)  # both belong to the sweep as a whole
        print(f"[{number}/{len(grid)}] {name(config)}", flush=True)
        with open_run(study, config, name=name(config)) as child:
            child.state(hypotheses(config), None)
            trained.append(train_single(child, setup, config, r=_one(config.r), lr=_one(config.lr), question=question,
                                        quiet=True))
    return trained


def _one(value: Any) -> Any:
    return value[0] if isinstance(value, tuple) else value
