"""The calls to MLflow behind a run: start or adopt it, record, list its children, end it."""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lab import options
from lab.errors import TrackingError
from lab.tracking import artifacts, identity
from lab.tracking.endings import Ending, ending_of
from lab.tracking.store import client, experiment_id, failing_as, shown, tracking_uri

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run as MlflowRun

    from lab.tracking.metrics import Point

PARENT_TAG = "mlflow.parentRunId"
_LONGEST_CONFIG_TAG = 5000
_LONGEST_PARAM = 6000
_PER_CALL = 100  # params or tags that MLflow takes at once
# Of this process: the run that `mlflow run` opened and nobody used yet, and the outermost run opened since.
_adopted: str | None = None
_outermost: str | None = None


@dataclass(frozen=True)
class Started:
    """A run that was started or adopted; `params` are what it shows of its config."""

    run_id: str
    experiment_id: str
    artifact_uri: str | None
    parent_id: str | None
    params: Mapping[str, str] = field(default_factory=dict)


def adopt(run_id: str | None) -> None:
    """Makes the next outermost run of this process the one with this id."""
    global _adopted, _outermost
    _adopted, _outermost = run_id, None


def start(
    study: str, config: Any, *, name: str, tags: Mapping[str, str], parent_id: str | None = None, nested: bool = False
) -> Started:
    """Adopts the waiting run, or makes a new one; records what is known before it computes.

    Args:
        config: A dataclass of options, or None where it could not be read.
        nested: Leave the waiting run to others.

    Raises:
        TrackingError: The store cannot be reached or does not know the run.
    """
    uri = tracking_uri()
    with failing_as(f"starting {name}", uri):
        if _adopted is not None and not nested:
            run = _waiting(client(uri), _adopted)
            client(uri).update_run(_adopted, status="RUNNING", name=name)
            # MLflow keeps the address of the project's repository as it is, with any token in it.
            own_tags = {tag: shown(text) for tag, text in run.data.tags.items() if shown(text) != text}
        else:
            run, own_tags = _create(client(uri), uri, name, parent_id)
        try:
            params = _describe(client(uri), run, config, {**own_tags, "lab.study": study, **tags})
        except BaseException as error:
            # An adopted run still waits and is ended by whoever adopted it; nobody else knows of a new one.
            if run.info.run_id != _adopted:
                end(client(uri), run.info.run_id, ending_of(error))
            raise
    if not nested:
        _use(run.info.run_id)
    return Started(run.info.run_id, run.info.experiment_id, run.info.artifact_uri, parent_id, params)


def log(
    store: "MlflowClient",
    run_id: str,
    *,
    points: Sequence["Point"] = (),
    params: Mapping[str, str] | None = None,
    tags: Mapping[str, str] | None = None,
) -> None:
    """Records metrics, params and tags in as few calls as MLflow allows."""
    from mlflow.entities import Metric, Param, RunTag

    metrics = [
        Metric(point.key, point.value, point.timestamp, point.step, point.model_id, *(point.dataset or ()))
        for point in points
    ]
    param_list = [Param(name, text) for name, text in (params or {}).items()]
    tag_list = [RunTag(name, text) for name, text in (tags or {}).items()]
    store.log_batch(run_id, metrics=metrics, params=param_list[:_PER_CALL], tags=tag_list[:_PER_CALL])
    for begin in range(_PER_CALL, max(len(param_list), len(tag_list)), _PER_CALL):
        part = slice(begin, begin + _PER_CALL)
        store.log_batch(run_id, params=param_list[part], tags=tag_list[part])


def end(store: "MlflowClient", run_id: str, ending: Ending) -> None:
    """Records how the run ended."""
    tags = {"lab.ended": ending.ended}
    if ending.message:
        tags["lab.error"] = ending.message
    log(store, run_id, tags=tags)
    store.set_terminated(run_id, ending.status)


def record_ending(study: str, ending: Ending) -> str | None:
    """Records how the process ended: in its outermost run, or where it opened none, in the waiting or a new run.

    Returns:
        The run's id; None if the process was killed before there was any run.

    Raises:
        TrackingError: The store cannot be reached.
    """
    if _outermost is None and _adopted is None and ending.status == "KILLED":
        return None
    run_id = _outermost or start(study, None, name=study, tags={}).run_id
    with failing_as(f"recording the end of run {run_id}", tracking_uri()):
        ended = client().get_run(run_id).data.tags.get("lab.ended")
        if ended in (None, "finished"):
            end(client(), run_id, ending)
    return run_id


def _use(run_id: str) -> None:
    global _adopted, _outermost
    _adopted, _outermost = None, run_id


def log_dataset(
    store: "MlflowClient",
    run_id: str,
    name: str,
    digest: str,
    source: str,
    context: str,
    profile: Mapping[str, Any],
) -> None:
    """Records a dataset as MLflow's dataset input; without `mlflow.data`, which imports pandas and more."""
    from mlflow.entities import Dataset, DatasetInput, InputTag

    kind, where = _source(source)
    dataset = Dataset(name, digest, kind, json.dumps(where), profile=artifacts.json_line(profile))
    store.log_inputs(run_id, datasets=[DatasetInput(dataset, tags=[InputTag("mlflow.data.context", context)])])


def children(store: "MlflowClient", experiment: str, run_id: str) -> list[str]:
    """Ids of the runs nested under a run, oldest first."""
    found: list[str] = []
    token = None
    while True:
        page = store.search_runs(
            [experiment],
            f"tags.`{PARENT_TAG}` = '{run_id}'",
            order_by=["attributes.start_time ASC"],
            page_token=token,
        )
        found += [run.info.run_id for run in page]
        token = page.token
        if not token:
            return found


def link(store: "MlflowClient", run_id: str) -> str:
    """Markdown that leads to a run in the MLflow UI."""
    run = store.get_run(run_id)
    return f"[{run.info.run_name}](#/experiments/{run.info.experiment_id}/runs/{run_id}) `{run_id}`"


def _describe(store: "MlflowClient", run: "MlflowRun", config: Any, tags: Mapping[str, str]) -> dict[str, str]:
    """Records a run's config and everything known about it; gives the params it shows."""
    known = dict(run.data.params)
    given = {} if config is None else options.as_strings(config)
    log(
        store,
        run.info.run_id,
        params={name: _cut(text) for name, text in given.items() if name not in known},
        tags={**identity.environment_tags(), **tags, **_config_tag(config)},
    )
    if config is not None:
        store.log_text(run.info.run_id, artifacts.json_text(options.as_json(config)), "config.json")
    # The launcher's spelling of a value (`0.0001`, `'a b'`) is display; the config's is what the lab goes by.
    return {**known, **given}


def _waiting(store: "MlflowClient", run_id: str) -> "MlflowRun":
    run = store.get_run(run_id)
    ended = run.data.tags.get("lab.ended")
    if ended is not None:
        raise TrackingError(
            f"MLFLOW_RUN_ID={run_id} is a run that has already ended ({ended}) and cannot be continued; "
            "unset MLFLOW_RUN_ID to start a new one"
        )
    return run


def _create(
    store: "MlflowClient", uri: str, name: str, parent_id: str | None
) -> tuple["MlflowRun", dict[str, str]]:
    if parent_id is None:
        return store.create_run(experiment_id(uri=uri), run_name=name), identity.source_tags()
    parent = store.get_run(parent_id)
    inherited = {tag: parent.data.tags[tag] for tag in identity.INHERITED if tag in parent.data.tags}
    run = store.create_run(parent.info.experiment_id, run_name=name, tags={PARENT_TAG: parent_id})
    return run, inherited


def _config_tag(config: Any) -> dict[str, str]:
    if config is None:
        return {}
    text = artifacts.json_line(options.as_json(config))
    return {"lab.config": text if len(text) <= _LONGEST_CONFIG_TAG else "see config.json"}


def _cut(text: str) -> str:
    rest = "… (whole in config.json)"
    return text if len(text) <= _LONGEST_PARAM else text[: _LONGEST_PARAM - len(rest)] + rest


def _source(source: str) -> tuple[str, dict[str, Any]]:
    """MLflow's kind of a dataset source, and where it is."""
    if source.startswith("embedded:"):
        return "code", {"tags": {"mlflow.source.name": source, "mlflow.source.type": "LOCAL"}}
    if "://" in source:
        return "http", {"url": shown(source)}
    if Path(source).exists() or os.path.isabs(source):
        return "local", {"uri": str(Path(source).resolve())}
    return "hugging_face", {"path": source}
