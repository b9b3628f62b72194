"""Kept adapters in MLflow's own terms: logged models that rank a sweep, registered versions, model inputs."""

import json
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from lab.errors import OptionError
from lab.options import text_of
from lab.tracking.store import client

if TYPE_CHECKING:
    from lab.tracking.run import Run

_NOT_IN_NAMES = re.compile(r"[/:.%\"']")
_TARGET = re.compile(r"(?P<name>[^/:@]+)@(?P<alias>[A-Za-z0-9_-]+)")
_LONGEST_PARAM = 500
# `MLFLOW_MODEL_IS_EXTERNAL`: the files are under the run, the model is a record of them.
_EXTERNAL = {"mlflow.model.isExternal": "true"}


def log_model(run: "Run", manifest: Mapping[str, Any], path: str) -> str:
    """Records kept files as a logged model of the run, with their evaluation, and gives the model's id.

    Args:
        manifest: From `seal`.
        path: Of the files among the run's artifacts.
    """
    from mlflow.entities import LoggedModelOutput
    from mlflow.entities.logged_model_status import LoggedModelStatus

    store = client()
    facts = {name: value for name, value in manifest.items() if name != "files" and value is not None}
    model = store.create_logged_model(
        run.experiment_id,
        name=_NOT_IN_NAMES.sub("-", f"{run.name} {path}".replace(".", "·")),
        source_run_id=run.id,
        tags={**_EXTERNAL, "adapter_uri": f"runs:/{run.id}/{path}", "lab.study": run.study, "lab.kept_as": path},
        params={name: text_of(value)[:_LONGEST_PARAM] for name, value in _flat(facts).items()},
        model_type=f"lab-{manifest['kind']}",
    )
    store.finalize_logged_model(model.model_id, LoggedModelStatus.READY)
    step = int(manifest.get("step") or 0)
    store.log_outputs(run.id, [LoggedModelOutput(model.model_id, step)])
    run.evaluated(model.model_id, step)
    return model.model_id


def register(run_id: str, path: str, target: str, model_id: str) -> None:
    """Makes kept files the newest version of a registered model, under an alias.

    Args:
        path: Of the files among the run's artifacts.
        target: `name@alias`.
        model_id: Of the logged model that the version is of.

    Raises:
        OptionError: The target is not written so.
    """
    from mlflow.exceptions import MlflowException

    name, alias = check_target(target)
    store = client()
    try:
        store.create_registered_model(name)
        created = True
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
        created = False
    try:
        version = store.create_model_version(name, f"runs:/{run_id}/{path}", run_id)
        store.set_registered_model_alias(name, alias, version.version)
    except BaseException:
        if created:
            store.delete_registered_model(name)
        raise
    # What MLflow's own registration of a logged model leaves there, and its UI reads.
    versions = json.dumps([{"name": name, "version": str(version.version)}])
    store.set_logged_model_tags(model_id, {"mlflow.modelVersions": versions})


def check_target(target: str) -> tuple[str, str]:
    """Name and alias of `name@alias`; a study checks it before it trains.

    Raises:
        OptionError: It is not written so.
    """
    matched = _TARGET.fullmatch(target)
    if not matched or matched["alias"].lower() == "latest" or re.fullmatch(r"v\d+", matched["alias"], re.IGNORECASE):
        raise OptionError(
            f"register={target}: allowed: name@alias, such as facts@best; no / or : in the name, letters, digits, "
            "- and _ in the alias, which is neither latest nor v and a number"
        )
    return matched["name"], matched["alias"]


def log_use(run: "Run", source_run_id: str, model_id: str | None) -> None:
    """Records that a run works on what another one kept."""
    from mlflow.entities import LoggedModelInput

    if model_id is not None:
        client().log_inputs(run.id, models=[LoggedModelInput(model_id)])
    run.came_from(source_run_id, model_id)


def _flat(facts: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """`{"lora": {"r": 8}}` as `{"lora.r": 8}`."""
    flat: dict[str, Any] = {}
    for name, value in facts.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{name}.")
        else:
            flat[prefix + name] = value
    return flat
