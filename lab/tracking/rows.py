"""What runs recorded, read back: runs as table rows, a metric's history, a table, the arrays behind a figure."""

import contextlib
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lab.errors import TrackingError
from lab.tracking.lookup import resolve
from lab.tracking.opening import PARENT_TAG
from lab.tracking.store import client, failing_as, tracking_uri

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from mlflow.entities import Run as MlflowRun

_PAGE = 500


def runs(study: str | None = None) -> "pd.DataFrame":
    """One row per run of the store, newest first, in columns of their true types.

    Columns: run_id, name, study, status, ended, parent_run_id, start, end, then `config.<option>`,
    `metric.<last value>` and `verdict.<hypothesis>`. Options of several values are tuples.

    Args:
        study: Only runs of this entry point.
    """
    import pandas as pd

    with failing_as("reading the runs", tracking_uri()):
        rows = [_row(run) for run in _found(study)]
    first = list(_about(None))
    names = sorted({name for row in rows for name in row} - set(first))
    frame = pd.DataFrame(rows, columns=[*first, *names])
    configs = [name for name in names if name.startswith("config.")]
    # Integers stay integers in a column with gaps.
    return frame.astype({name: frame[name].convert_dtypes().dtype for name in configs})


def history(reference: str, metric: str) -> tuple["np.ndarray", "np.ndarray"]:
    """Steps and values of one of a run's metrics, by step.

    Raises:
        RunNotFound: The reference means no run.
        TrackingError: The run has no such metric.
    """
    import numpy as np

    run_id = resolve(reference).run_id
    with failing_as(f"reading {metric} of run {run_id}", tracking_uri()):
        points = client().get_metric_history(run_id, metric)
        if not points:
            known = ", ".join(sorted(client().get_run(run_id).data.metrics)) or "none"
            raise TrackingError(f"run {run_id} has no metric {metric}; it has: {known}")
    points.sort(key=lambda point: (point.step, point.timestamp))
    return np.array([point.step for point in points]), np.array([point.value for point in points])


def table(reference: str, name: str) -> list[dict[str, Any]]:
    """The rows of a run's table `name`; empty if the run keeps no such table.

    Raises:
        RunNotFound: The reference means no run.
    """
    run_id = resolve(reference).run_id
    path = f"tables/{name}.json"
    if path not in _kept(run_id, "tables"):
        return []
    with _downloaded(run_id, path) as file:
        content = json.loads(file.read_text(encoding="utf-8"))
    return [dict(zip(content["columns"], values, strict=True)) for values in content["data"]]


def arrays(reference: str, figure: str) -> "dict[str, np.ndarray]":
    """The arrays behind a run's figure, from which it can be drawn again.

    Raises:
        RunNotFound: The reference means no run.
        TrackingError: The run keeps no such figure.
    """
    import numpy as np

    run_id = resolve(reference).run_id
    path = f"data/{figure}.npz"
    if path not in _kept(run_id, path.rpartition("/")[0]):
        known = [name.removeprefix("data/").removesuffix(".npz") for name in _kept(run_id, "data")]
        raise TrackingError(f"run {run_id} keeps no figure {figure}; it keeps: {', '.join(known) or 'none'}")
    with _downloaded(run_id, path) as file, np.load(file, allow_pickle=False) as content:
        return {name: content[name] for name in content.files}


def _found(study: str | None) -> "Iterator[MlflowRun]":
    experiments = [experiment.experiment_id for experiment in client().search_experiments()]
    which = "LIKE '%'" if study is None else f"= '{study}'"
    token = None
    while True:
        page = client().search_runs(experiments, f"tags.`lab.study` {which}", max_results=_PAGE, page_token=token)
        yield from page
        token = page.token
        if not token:
            return


def _row(run: "MlflowRun") -> dict[str, Any]:
    tags = run.data.tags
    row = _about(run)
    row |= {f"config.{name}": _hashable(value) for name, value in config_of(run).items()}
    row |= {f"metric.{name}": value for name, value in run.data.metrics.items()}
    return row | {name: value for name, value in tags.items() if name.startswith("verdict.")}


def _about(run: "MlflowRun | None") -> dict[str, Any]:
    import pandas as pd

    info, tags = (None, {}) if run is None else (run.info, run.data.tags)
    return {
        "run_id": info and info.run_id,
        "name": info and info.run_name,
        "study": tags.get("lab.study"),
        "status": info and info.status,
        "ended": tags.get("lab.ended"),
        "parent_run_id": tags.get(PARENT_TAG),
        "start": info and pd.Timestamp(info.start_time, unit="ms", tz="UTC"),
        "end": info and (pd.Timestamp(info.end_time, unit="ms", tz="UTC") if info.end_time else pd.NaT),
    }


def config_of(run: "MlflowRun") -> dict[str, Any]:
    """The options of a run of the lab as it recorded them; empty for other runs."""
    text = run.data.tags.get("lab.config", "{}")
    if text.startswith("{"):
        return json.loads(text)
    with _downloaded(run.info.run_id, "config.json") as file:
        return json.loads(file.read_text(encoding="utf-8"))


def _hashable(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _kept(run_id: str, folder: str) -> list[str]:
    with failing_as(f"reading the files of run {run_id}", tracking_uri()):
        return [entry.path for entry in client().list_artifacts(run_id, folder)]


@contextlib.contextmanager
def _downloaded(run_id: str, path: str) -> Iterator[Path]:
    """A kept file on this machine while the block runs."""
    with tempfile.TemporaryDirectory() as folder:
        with failing_as(f"reading {path} of run {run_id}", tracking_uri()):
            file = client().download_artifacts(run_id, path, folder)
        yield Path(file)
