"""The children of a sweep: one run per point, one after another in one warm process, the base loaded once."""

from collections.abc import Callable, Mapping
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
        print(f"[{number}/{len(grid)}] {name(config)}", flush=True)
        trained.append(train_child(study, setup, config, name=name(config), question=question))
    return trained


def train_child(study: str, setup: Setup, config: Any, *, name: str, question: str, tags: Mapping[str, str] | None = None
                ) -> Point:
    """Returns one finished point, kept in a child of the run that is open.

    Args:
        study: Recorded as the child's study.
        setup: Base and data.
        config: Complete configuration of a single run, whose `r` and `lr` are one value or tuples of one.
        name: Of the child.
        question: For its report.
        tags: Anything more to find it by.
    """
    config = replace(config, predict=None, register=None)  # both belong to the sweep as a whole
    with open_run(study, config, name=name, tags=tags) as child:
        child.state(hypotheses(config), None)
        return train_single(child, setup, config, r=_one(config.r), lr=_one(config.lr), question=question, quiet=True)


def _one(value: Any) -> Any:
    return value[0] if isinstance(value, tuple) else value
