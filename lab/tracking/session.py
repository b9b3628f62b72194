"""A study as a process: whatever happens, its run says how it ended, and the exit status agrees."""

import os
import sys
import traceback
from collections.abc import Callable, Sequence

from lab.errors import LabError, OptionError
from lab.options import HelpRequested
from lab.tracking import opening
from lab.tracking.endings import Ending, ending_of
from lab.tracking.signals import die_with_launcher, signals_as_exceptions


def execute(entry_point: str, body: Callable[[Sequence[str]], str], argv: Sequence[str] | None = None) -> int:
    """The exit status of running a study: 0 only if it finished.

    The run that `mlflow run` opened is taken over before anything else, so that it never stays RUNNING: a parameter
    that cannot be read, or an import that fails, leaves it FAILED with the message in its tag `lab.error`. Without
    `mlflow run` a run is made for that.

    Args:
        body: Gets the arguments, does everything (heavy imports too) and gives the id of the study's run.
        argv: Command line without the program's name; this process's own unless given.
    """
    argv = sys.argv[1:] if argv is None else argv
    launched = os.environ.pop("MLFLOW_RUN_ID", None) or None
    opening.adopt(launched)
    with signals_as_exceptions():
        try:
            if launched is not None:
                die_with_launcher()
            body(argv)
        except HelpRequested as help_text:
            if launched is None:
                print(f"{entry_point}\n{help_text}")
                return 0
            return _fail(entry_point, OptionError("--help does not run a study; leave it out"))
        except BaseException as error:
            return _fail(entry_point, error)
        finally:
            opening.adopt(None)
    return 0


def _fail(entry_point: str, error: BaseException) -> int:
    ending = ending_of(error)
    _say(error, ending)
    try:
        run_id = opening.record_ending(entry_point, ending)
    except LabError as lost:
        if str(lost) != str(error):
            print(f"error: this ending could not be recorded: {lost}", file=sys.stderr)
    else:
        if run_id is not None:
            print(f"run {run_id}: {ending.ended}", file=sys.stderr)
    return ending.exit_status


def _say(error: BaseException, ending: Ending) -> None:
    """A message for errors made for people, a traceback for all others."""
    if ending.status == "KILLED":
        print(ending.ended, file=sys.stderr)
    elif isinstance(error, LabError) and os.environ.get("LAB_TRACEBACK") != "1":
        notes = getattr(error, "__notes__", [])
        print("\n".join([f"error: {ending.message}", *notes]), file=sys.stderr)
    else:
        traceback.print_exception(error)
