"""From a command line to a finished run."""

from collections.abc import Sequence

from lab import options
from lab.studies import registry


def launch(name: str, argv: Sequence[str] | None = None) -> int:
    """Returns the exit status of one entry point; the run that `mlflow run` opened is taken over before parsing.

    Args:
        name: Of the entry point.
        argv: `--name=value` arguments; the process's own by default.
    """
    from lab.tracking.session import execute

    def body(arguments: Sequence[str]) -> str:
        study = registry.load(name)
        return study.run(options.parse(study.Config, arguments))

    return execute(name, body, argv)
