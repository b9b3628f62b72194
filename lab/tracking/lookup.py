"""From what a user types to the run it means."""

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from lab.errors import AmbiguousRun, RunNotFound
from lab.tracking.store import client, failing_as, shown, tracking_uri

if TYPE_CHECKING:
    from mlflow.entities import Run as MlflowRun

Which = Literal["best", "last"]
ALLOWED = (
    "a run id or its first 4 or more digits, run:<id>, runs:/<id>/adapter, models:/name@alias or models:/name/3; "
    "@last behind it means the last instead of the best adapter"
)
_ID = re.compile(r"[0-9a-f]{4,32}")
_FOLDERS: dict[str, Which] = {"adapter": "best", "model": "best", "adapter_last": "last", "model_last": "last"}
_LISTED = 20


@dataclass(frozen=True)
class RunReference:
    """A run of the store, and which of its adapters is meant."""

    run_id: str
    which: Which = "best"


def resolve(reference: str) -> RunReference:
    """The run that a reference means: a full id, an unambiguous beginning of one, a run or model URI.

    Args:
        reference: As typed; `@last` behind it asks for the last adapter instead of the best.

    Raises:
        RunNotFound: Nothing in the store searched is meant; names the store.
        AmbiguousRun: Several runs are meant; lists them.
    """
    text = reference.strip()
    with failing_as(f"reading run {text}", tracking_uri()):
        if text.startswith("models:/"):
            return _registered(text)
        text, which = _split_which(text)
        if text.startswith("runs:/"):
            text, _, folder = text.removeprefix("runs:/").partition("/")
            if folder and folder.strip("/") not in _FOLDERS:
                raise RunNotFound(f"run_id={reference}: no run keeps {folder} as a model; allowed: {ALLOWED}")
            which = _FOLDERS.get(folder.strip("/"), which)
        return RunReference(_by_id(text.removeprefix("run:"), reference), which)


def find(run_id: str) -> "MlflowRun":
    """The MLflow run with this full id.

    Raises:
        RunNotFound: The store searched has none.
    """
    from mlflow.exceptions import MlflowException

    with failing_as(f"reading run {run_id}", tracking_uri()):
        try:
            run = client().get_run(run_id)
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            raise _not_found(run_id) from error
    if run.info.lifecycle_stage != "active":
        raise RunNotFound(
            f"run {run_id} was deleted from {shown(tracking_uri())}; bring it back with "
            f"`mlflow runs restore --run-id {run_id}`"
        )
    return run


def _split_which(text: str) -> tuple[str, Which]:
    for which in ("last", "best"):
        if text.endswith(f"@{which}"):
            return text.removesuffix(f"@{which}"), which
    return text, "best"


def _by_id(text: str, reference: str) -> str:
    if not _ID.fullmatch(text):
        raise RunNotFound(f"run_id={reference}: allowed: {ALLOWED}")
    if len(text) == 32:
        return find(text).info.run_id
    experiments = [experiment.experiment_id for experiment in client().search_experiments()]
    found = list(client().search_runs(experiments, f"attributes.run_id LIKE '{text}%'", max_results=_LISTED))
    if not found:
        raise _not_found(text)
    if len(found) > 1:
        listed = "\n".join(f"  {run.info.run_id}  {run.info.run_name}" for run in found)
        more = "\n  …" if len(found) == _LISTED else ""
        raise AmbiguousRun(f"run_id={reference}: these runs begin so; write more of the one meant:\n{listed}{more}")
    return found[0].info.run_id


def _registered(text: str) -> RunReference:
    """The run that a registered version, or a logged model, came from."""
    from mlflow.exceptions import MlflowException

    name, at, alias = text.removeprefix("models:/").partition("@")
    which: Which = "best"
    if at:
        alias, which = _split_which(alias)
    try:
        if at:
            run_id = client().get_model_version_by_alias(name, alias).run_id
        elif "/" in name:
            run_id = client().get_model_version(*name.split("/", 1)).run_id
        else:
            model = client().get_logged_model(name)
            run_id, which = model.source_run_id, _FOLDERS.get(model.tags.get("lab.kept_as", ""), which)
    except MlflowException as error:
        if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            raise
        raise RunNotFound(
            f"run_id={text}: {shown(tracking_uri())} has no such registered model ({error.message}); "
            f"allowed: {ALLOWED}"
        ) from error
    if not run_id:
        raise RunNotFound(f"run_id={text}: this model was not registered from a run; allowed: {ALLOWED}")
    return RunReference(find(run_id).info.run_id, which)


def _not_found(text: str) -> RunNotFound:
    uri = shown(tracking_uri())
    return RunNotFound(
        f"no run {text} in {uri}; if it was recorded elsewhere, set MLFLOW_TRACKING_URI to that store "
        "(without it, the store is the file mlflow.db of the working directory)"
    )
