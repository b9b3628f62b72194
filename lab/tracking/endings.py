"""How a run can end, and what MLflow is told about it."""

import signal
from dataclasses import dataclass

from lab.errors import LabError
from lab.tracking.store import shown

_LONGEST_MESSAGE = 2000


class Killed(BaseException):
    """A signal asked the process to end; not an Exception, so that no library swallows it on the way out."""

    def __init__(self, signum: int) -> None:
        super().__init__(signal.Signals(signum).name)
        self.signum = signum
        self.noticed = False  # from here on the clean-up runs, and later signals wait for it


@dataclass(frozen=True)
class Ending:
    """Status for MLflow, the tag `lab.ended`, the exit status, and the message for the tag `lab.error`."""

    status: str
    ended: str
    exit_status: int
    message: str = ""


FINISHED = Ending("FINISHED", "finished", 0)


def ending_of(error: BaseException) -> Ending:
    """The ending that an exception means; a signal counts as noticed from here on."""
    if isinstance(error, Killed):
        error.noticed = True
    if isinstance(error, Killed | KeyboardInterrupt):
        signum = error.signum if isinstance(error, Killed) else signal.SIGINT
        return Ending("KILLED", f"killed:{signal.Signals(signum).name}", 128 + signum)
    if isinstance(error, SystemExit):
        status = error.code if isinstance(error.code, int) and error.code else 1
        return Ending("FAILED", "failed:SystemExit", status, f"exit called with {error.code!r}")
    message = str(error) if isinstance(error, LabError) else f"{type(error).__name__}: {error}"
    return Ending(
        "FAILED",
        f"failed:{type(error).__name__}",
        2 if isinstance(error, LabError) else 1,
        shown(message)[:_LONGEST_MESSAGE],
    )
