"""What is known about a run before it starts: who and what started it, from which code, with which packages."""

import importlib.metadata
import platform
import shlex
import subprocess
import sys

from lab.tracking.report import project_path
from lab.tracking.store import shown

PACKAGES = ("torch", "transformers", "peft", "trl", "mlflow", "datasets", "bitsandbytes", "unsloth")
_LONGEST_COMMAND = 4000
# What a child takes over from its parent: `mlflow run` knows the source better than the process it starts.
INHERITED = (
    "mlflow.user",
    "mlflow.source.name",
    "mlflow.source.type",
    "mlflow.source.git.commit",
    "mlflow.source.git.branch",
    "mlflow.source.git.repoURL",
    "mlflow.project.entryPoint",
)


def source_tags() -> dict[str, str]:
    """MLflow's own tags for user, source and git commit."""
    from mlflow.tracking.context.registry import resolve_tags

    return {name: shown(value) for name, value in resolve_tags().items()}


def environment_tags() -> dict[str, str]:
    """Package versions, Python, platform, command line, and whether the code differs from its commit."""
    tags = {
        "lab.python": platform.python_version(),
        "lab.platform": platform.platform(),
        "lab.command": shown(shlex.join(sys.orig_argv))[:_LONGEST_COMMAND],
    }
    for package in PACKAGES:
        try:
            tags[f"lab.version.{package}"] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    dirty = _git_dirty()
    return tags if dirty is None else {**tags, "lab.git_dirty": dirty}


def _git_dirty() -> str | None:
    """Whether tracked files differ from the commit; None outside a repository."""
    command = ["git", "-C", str(project_path()), "status", "--porcelain", "--untracked-files=no"]
    try:
        result = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return str(bool(result.stdout.strip())).lower()
