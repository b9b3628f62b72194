"""Where runs are recorded: one absolute tracking URI, a store that exists, and an experiment in it."""

import contextlib
import functools
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote

from lab.errors import TrackingError

if TYPE_CHECKING:
    from mlflow import MlflowClient

EXPERIMENT = "llm-learning-lab"
_SQLITE = "sqlite:///"
_CREDENTIALS = re.compile(r"(?<=://)[^/@\s]+@")


def tracking_uri() -> str:
    """The absolute URI of the store: `MLFLOW_TRACKING_URI`, or MLflow's default in the working directory.

    Raises:
        TrackingError: The variable holds a relative path, which would mean another store in every directory.
    """
    uri = os.environ.get("MLFLOW_TRACKING_URI", "").strip()
    if not uri:
        # MLflow's own rule: folders of its older file store win over a new database.
        old_files = any(Path.cwd().glob("mlruns/[0-9]*/meta.yaml"))
        return (Path.cwd() / "mlruns").as_uri() if old_files else _sqlite_uri(Path.cwd() / "mlflow.db")
    relative = _relative_part(uri)
    if relative is not None:
        absolute = Path.cwd() / relative
        meant = _sqlite_uri(absolute) if uri.startswith("sqlite:") else absolute.as_uri()
        raise TrackingError(
            f"MLFLOW_TRACKING_URI={uri} is relative and would name another store in every directory; "
            f"write it absolutely: MLFLOW_TRACKING_URI={meant}"
        )
    return uri


def shown(text: str) -> str:
    """Text without the user names and passwords of the URLs in it, fit to print and to store."""
    return _CREDENTIALS.sub("", text)


def ensure_store(uri: str | None = None) -> str:
    """Makes the SQLite store if it does not exist, checks that a server answers, and gives the URI back.

    Several processes may call this at once; MLflow's own first start cannot do that.

    Raises:
        TrackingError: The store cannot be made or reached.
    """
    uri = uri or tracking_uri()
    database = database_path(uri)
    if database is not None and not database.exists():
        _create_database(database)
    elif uri.startswith(("http://", "https://")):
        _check_server(uri)
    return uri


def client(uri: str | None = None) -> "MlflowClient":
    """The MLflow client of the store, which exists after this.

    Raises:
        TrackingError: The store cannot be made or reached.
    """
    return _client(uri or tracking_uri())


def experiment_id(name: str | None = None, uri: str | None = None) -> str:
    """The experiment for new runs: `MLFLOW_EXPERIMENT_ID`, `MLFLOW_EXPERIMENT_NAME`, or the lab's own.

    Args:
        name: Used instead of what the environment says.

    Raises:
        TrackingError: The experiment was deleted.
    """
    if name is None and os.environ.get("MLFLOW_EXPERIMENT_ID"):
        return os.environ["MLFLOW_EXPERIMENT_ID"]
    uri = uri or tracking_uri()
    name = name or os.environ.get("MLFLOW_EXPERIMENT_NAME") or EXPERIMENT
    found = client(uri).get_experiment_by_name(name)
    if found is None:
        return _create_experiment(name, uri)
    if found.lifecycle_stage != "active":
        raise TrackingError(
            f"the experiment {name} of {shown(uri)} was deleted; restore it with "
            f"`mlflow experiments restore -x {found.experiment_id}` or set MLFLOW_EXPERIMENT_NAME to another name"
        )
    return found.experiment_id


@contextlib.contextmanager
def failing_as(what: str, uri: str) -> Iterator[None]:
    """Turns the store's errors inside the block into one that says what failed, and where.

    Args:
        what: Such as `reading run 12`.

    Raises:
        TrackingError: The store refused or did not answer.
    """
    try:
        yield
    except _store_errors() as error:
        raise TrackingError(f"{what} failed in {shown(uri)}: {shown(str(error))[:1000]}") from error


def database_path(uri: str) -> Path | None:
    """The file of a SQLite store, None of any other store."""
    if not uri.startswith(_SQLITE):
        return None
    return Path(unquote(uri.removeprefix(_SQLITE).partition("?")[0]))


@functools.lru_cache(maxsize=8)
def _client(uri: str) -> "MlflowClient":
    ensure_store(uri)
    from mlflow import MlflowClient

    _quieten()
    try:
        return MlflowClient(tracking_uri=uri, registry_uri=uri)
    except _store_errors() as error:
        raise TrackingError(f"the tracking store {shown(uri)} cannot be opened: {shown(str(error))[:1000]}") from error


def _quieten() -> None:
    """Studies print their own links; MLflow's hold the password of the URI, and its bars are for terminals."""
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    if not sys.stderr.isatty():
        os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")


def _store_errors() -> tuple[type[Exception], ...]:
    """What MLflow lets through when a store refuses or does not answer."""
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    return MlflowException, SQLAlchemyError, OSError


def _relative_part(uri: str) -> str | None:
    """The relative path in a URI of a local store, None if the URI is absolute."""
    for prefix in (_SQLITE, "file:"):
        if uri.startswith(prefix):
            path = uri.removeprefix(prefix)
            return None if path.startswith("/") or re.match(r"[A-Za-z]:", path) else path
    return None if ":" in uri or uri.startswith(("/", "databricks")) else uri


def _sqlite_uri(database: Path) -> str:
    return _SQLITE + quote(str(database))


def _create_database(database: Path) -> None:
    """Makes the schema in a file beside the database and links it into place, so that no one sees half of it."""
    from filelock import FileLock

    if not database.parent.is_dir():
        raise TrackingError(f"no folder {database.parent} for the tracking store {database.name}; make it first")
    try:
        with FileLock(database.with_name(f".{database.name}.lock")):
            if not database.exists():
                _link_new_database(database)
    except _store_errors() as error:
        raise TrackingError(f"cannot make the tracking store {database}: {error}") from error


def _link_new_database(database: Path) -> None:
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    fresh = database.with_name(f".{database.name}.{os.getpid()}")
    try:
        store = SqlAlchemyStore(_sqlite_uri(fresh), (database.parent / "mlruns").as_uri())
        store.engine.dispose()
        os.link(fresh, database)
    except FileExistsError:
        pass  # someone who does not use this lock, `mlflow run` itself, was faster
    finally:
        for left in database.parent.glob(f"{fresh.name}*"):
            left.unlink()


def _check_server(uri: str) -> None:
    """MLflow itself retries an address where nothing listens for minutes."""
    from mlflow.utils.credentials import get_default_host_creds
    from mlflow.utils.rest_utils import http_request

    try:
        http_request(get_default_host_creds(uri), "/health", "GET", max_retries=0, timeout=10, raise_on_status=False)
    except _store_errors() as error:
        raise TrackingError(
            f"no tracking server answers at {shown(uri)}; start one (`mlflow server`) or set MLFLOW_TRACKING_URI "
            f"to another store ({shown(str(error))[:300]})"
        ) from error


def _create_experiment(name: str, uri: str) -> str:
    from mlflow.exceptions import MlflowException

    database = database_path(uri)
    # A bare SQLite store would put artifacts into the working directory of whoever creates the experiment.
    location = None if database is None else (database.parent / "mlruns" / quote(name, safe=" ")).as_uri()
    try:
        return client(uri).create_experiment(name, artifact_location=location)
    except MlflowException as error:
        found = client(uri).get_experiment_by_name(name)
        if found is None:
            raise TrackingError(f"cannot create the experiment {name} in {shown(uri)}: {error}") from error
        return found.experiment_id
