"""The life of a run: it starts, something records in it, and whatever happens it says how it ended."""

import contextlib
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from typing import Any

from lab.errors import TrackingError
from lab.tracking import opening
from lab.tracking.endings import FINISHED, Ending, ending_of
from lab.tracking.record import Run

__all__ = ["Run", "open_run"]
_current: ContextVar[Run | None] = ContextVar("lab_current_run", default=None)


@contextlib.contextmanager
def open_run(
    study: str,
    config: Any,
    *,
    name: str,
    tags: Mapping[str, str] | None = None,
    parent: Run | str | None = None,
) -> Iterator[Run]:
    """The run that a study records in, ended when the block ends.

    It is the run that `mlflow run` opened, if that waits to be used; a child of the run open around it, if there is
    one; else a fresh run. Children are flat: a child of a child gets the outermost run as its parent.

    Args:
        study: The entry point's name.
        config: The study's whole config, a dataclass of options.
        name: What tells this run from its neighbours, such as `lora_rank r=8 lr=2e-4 seed=0`.
        tags: Anything more to find it by.
        parent: The run, or its id, to nest under instead.

    Raises:
        TrackingError: The store cannot be reached, or did not take everything that was recorded.
    """
    around = _current.get()
    parent_id = around.root_id if around and parent is None else _id(parent)
    started = opening.start(
        study, config, name=name, tags=tags or {}, parent_id=parent_id, nested=parent_id is not None
    )
    run = Run(study, name, started)
    token = _current.set(run)
    try:
        yield run
        run.check_complete()
    except BaseException as error:
        _end(run, ending_of(error), error)
        raise
    else:
        _end(run, FINISHED, None)
    finally:
        _current.reset(token)


def _id(parent: Run | str | None) -> str | None:
    return parent.id if isinstance(parent, Run) else parent


def _end(run: Run, ending: Ending, error: BaseException | None) -> None:
    """Stores what is left and how the run ended; what goes wrong or interrupts meanwhile becomes the ending."""
    late = _close(run)
    if late is not None and error is None:
        ending = ending_of(late)
    try:
        run.end(ending)
    except TrackingError as lost:
        late = late or lost
    except BaseException as interruption:
        late = interruption
        run.end(ending_of(interruption))
    if late is not None and error is None:
        raise late
    if late is not None and error is not None:
        error.add_note(str(late))


def _close(run: Run) -> BaseException | None:
    try:
        run.close()
    except TrackingError as lost:
        return lost
    except BaseException as interruption:
        # Only the first signal interrupts, so this one comes to its end.
        return _close(run) or interruption
    return None
