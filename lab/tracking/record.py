"""Everything an open run records."""

import contextlib
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lab.errors import TrackingError
from lab.tracking import artifacts, opening, report
from lab.tracking.endings import Ending
from lab.tracking.hypotheses import Hypothesis, Verdict, check_answered, check_stated
from lab.tracking.metrics import Point
from lab.tracking.series import Series
from lab.tracking.store import client, failing_as, tracking_uri

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.figure import Figure

_TAG_LIMIT = 8000
_PARAM_LIMIT = 6000
_SOURCES = 200  # ids that fit into one tag


class Run:
    """What an open run records; made by `open_run`."""

    def __init__(self, study: str, name: str, started: "opening.Started") -> None:
        self.study = study
        self.name = name
        self.id = started.run_id
        self.parent_id = started.parent_id
        self.root_id = started.parent_id or started.run_id
        self.experiment_id = started.experiment_id
        self.artifact_uri = started.artifact_uri
        self._datasets: dict[str, tuple[str, str]] = {}  # name and digest by context
        self._sources: dict[str, str | None] = {}  # runs this one works on, and their logged models
        self._store = tracking_uri()
        self._params = dict(started.params)
        self._hypotheses: list[Hypothesis] | None = None
        self._prediction: str | None = None
        self._verdicts: list[Verdict] | None = None
        self._tables: list[dict[str, str]] = []
        self._undefined: set[str] = set()
        self._diverged = False
        self._series = Series(self._send)

    def params(self, values: Mapping[str, Any]) -> None:
        """Records resolved facts; MLflow can never change one.

        Raises:
            TrackingError: A name already has another value, or a value is too long.
        """
        fresh = {}
        for name, value in values.items():
            text = value if isinstance(value, str) else str(value)
            known = self._params.get(name)
            if known is not None and known != text:
                raise TrackingError(
                    f"parameter {name} of run {self.id} is recorded as {known!r} and cannot become {text!r}; "
                    "record a resolved value under a name of its own"
                )
            if len(text) > _PARAM_LIMIT:
                raise TrackingError(
                    f"parameter {name} has {len(text)} characters; allowed: {_PARAM_LIMIT}, keep longer text as a file"
                )
            if known is None:
                fresh[name] = text
        if fresh:
            with self._failing_as("recording parameters"):
                opening.log(client(self._store), self.id, params=fresh)
            self._params |= fresh

    def tags(self, values: Mapping[str, Any]) -> None:
        """Sets tags, by which runs are found.

        Raises:
            TrackingError: A value is longer than MLflow keeps.
        """
        texts = {name: str(value) for name, value in values.items()}
        for name, text in texts.items():
            if len(text) > _TAG_LIMIT:
                raise TrackingError(f"tag {name} has {len(text)} characters; allowed: {_TAG_LIMIT}")
        with self._failing_as("recording tags"):
            opening.log(client(self._store), self.id, tags=texts)

    def step(self, step: int, values: Mapping[str, float]) -> None:
        """Records one step's metrics; returns at once, the store gets them within seconds.

        A value that is not finite becomes no point: the first such step becomes the tag `lab.diverged_at_step`.

        Raises:
            TrackingError: A name is none that MLflow takes.
        """
        undefined = self._series.add(step, values)
        if undefined and not self._diverged:
            self._diverged = True
            self.tags({"lab.diverged_at_step": step})

    def summary(self, values: Mapping[str, float], step: int | None = None) -> None:
        """Records final metrics, at the last step unless told; the tag `lab.undefined` names those not finite."""
        models = list(self._sources.values())
        model_id = models[0] if len(models) == 1 else None
        undefined = self._series.add(self._series.last_step if step is None else step, values, model_id)
        if set(undefined) - self._undefined:
            self._undefined |= set(undefined)
            self.tags({"lab.undefined": ", ".join(sorted(self._undefined))})

    def flush(self) -> None:
        """Returns when every metric so far is stored.

        Raises:
            TrackingError: The store did not take them.
        """
        self._series.flush()

    def json(self, path: str, value: Any) -> None:
        """Keeps a value as a JSON file; nan and inf become null."""
        self.text(path, artifacts.json_text(value))

    def text(self, path: str, text: str) -> None:
        """Keeps text as a file."""
        with self._folder() as folder:
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(text, encoding="utf-8")

    def files(self, folder: Path, artifact_path: str) -> None:
        """Keeps every file of a folder."""
        with self._failing_as(f"keeping {artifact_path}"):
            client(self._store).log_artifacts(self.id, str(folder), artifact_path)

    def table(self, name: str, rows: Sequence[Mapping[str, Any]]) -> None:
        """Keeps rows as `tables/<name>.json`, which the MLflow UI shows as a table."""
        path = f"tables/{name}.json"
        self.text(path, artifacts.table_text(rows))
        if not any(entry["path"] == path for entry in self._tables):
            self._tables.append({"path": path, "type": "table"})
            self.tags({"mlflow.loggedArtifacts": artifacts.json_line(self._tables)})

    def figure(self, name: str, fig: "Figure", arrays: Mapping[str, "np.ndarray"]) -> None:
        """Keeps a figure as `figures/<name>.png`, closes it, and keeps the arrays behind it as `data/<name>.npz`.

        Raises:
            TrackingError: An array holds Python objects.
        """
        with self._folder() as folder:
            artifacts.write_arrays(arrays, folder / f"data/{name}.npz")
            artifacts.write_figure(fig, folder / f"figures/{name}.png")

    def dataset(
        self, name: str, sha256: str, source: str, context: str, rows: int, profile: Mapping[str, Any]
    ) -> None:
        """Records a dataset as input of this run.

        Args:
            sha256: Of all its rows; MLflow shows the first 36 digits, the whole is a tag.
            source: A path, URL, Hub id or `embedded:…` name.
            context: What it was used for, such as `training`.
            profile: Counts to show beside it.
        """
        digest = sha256.removeprefix("sha256:")[:36]
        with self._failing_as(f"recording dataset {name}"):
            opening.log_dataset(client(self._store), self.id, name, digest, source, context, {"rows": rows, **profile})
        self._datasets[context] = name, digest
        self.tags({f"lab.dataset.{context}": sha256})

    def state(self, hypotheses: Sequence[Hypothesis], prediction: str | None = None) -> None:
        """Writes down what the run claims, and the user's guess, before anything is computed.

        Raises:
            TrackingError: Something was measured already, or a name is not usable.
        """
        if self._series.started or self._hypotheses is not None:
            before = "metrics were recorded" if self._series.started else "hypotheses were stated"
            raise TrackingError(f"{before} before these hypotheses; state all of them once, before computing")
        check_stated(hypotheses)
        self._hypotheses, self._prediction = list(hypotheses), prediction
        stated = {"stated_at": time.strftime("%Y-%m-%dT%H:%M:%S%z"), "prediction": prediction}
        self.json("hypotheses.json", {**stated, "hypotheses": [asdict(hypothesis) for hypothesis in hypotheses]})
        if prediction:
            self.tags({"lab.prediction": prediction[:_TAG_LIMIT]})

    def conclude(self, verdicts: Sequence[Verdict]) -> None:
        """Records one verdict for each stated hypothesis.

        Raises:
            TrackingError: A verdict is missing, double, or about something that was not stated.
        """
        stated = self._hypotheses or []
        check_answered(stated, verdicts)
        rules = {hypothesis.name: asdict(hypothesis) for hypothesis in stated}
        self.json("verdicts.json", [{**rules[verdict.name], **asdict(verdict)} for verdict in verdicts])
        self._verdicts = list(verdicts)
        if verdicts:
            self.tags({f"verdict.{verdict.name}": verdict.outcome for verdict in verdicts})

    def report(self, content: report.Report) -> None:
        """Keeps the report whole as `report.md`, and as the run's note in the MLflow UI.

        Raises:
            TrackingError: Stated hypotheses have no verdicts yet, or the note cannot be made short enough.
        """
        self.check_complete()
        with self._failing_as("linking the sources"):
            links = {run_id: opening.link(client(self._store), run_id) for run_id in content.sources}
        about = (content, self._hypotheses or [], self._verdicts or [], links)
        here = f"[report.md](#/experiments/{self.experiment_id}/runs/{self.id}/artifacts/report.md)"
        note = report.note(*about, here)
        self.text("report.md", report.whole(*about))
        self.tags({"mlflow.note.content": note})

    def evaluated(self, model_id: str, step: int) -> None:
        """Links this run's evaluation at a step to the logged model that it kept there."""
        dataset = self._datasets.get("evaluation", self._datasets.get("training"))
        points = [point._replace(model_id=model_id, dataset=dataset) for point in self._series.evaluation(step)]
        if points:
            self.flush()
            self._send(points)

    def came_from(self, run_id: str, model_id: str | None) -> None:
        """Tags the runs that this one works on; with a single one, final metrics are also shown at its model."""
        self._sources[run_id] = model_id
        self.tags({"lab.source_run_id": ",".join(list(self._sources)[:_SOURCES])})

    def children(self) -> list[str]:
        """Ids of the runs nested under this one, in the order they started."""
        with self._failing_as("finding the children"):
            return opening.children(client(self._store), self.experiment_id, self.id)

    def check_complete(self) -> None:
        """Raises unless every stated hypothesis has its verdict.

        Raises:
            TrackingError: Names the hypotheses that have none.
        """
        if self._hypotheses and self._verdicts is None:
            names = ", ".join(hypothesis.name for hypothesis in self._hypotheses)
            raise TrackingError(f"run {self.id} states {names} and has no verdicts; call conclude() before its end")

    def close(self) -> None:
        """Stores every metric and takes no more.

        Raises:
            TrackingError: The store did not take them.
        """
        self._series.close()

    def end(self, ending: Ending) -> None:
        """Records how the run ended.

        Raises:
            TrackingError: The store did not take it.
        """
        with self._failing_as("recording the end"):
            opening.end(client(self._store), self.id, ending)

    def _send(self, points: Sequence[Point]) -> None:
        opening.log(client(self._store), self.id, points=points)

    @contextlib.contextmanager
    def _folder(self) -> Iterator[Path]:
        """A folder whose files become artifacts of the same relative paths."""
        with tempfile.TemporaryDirectory() as folder:
            yield Path(folder)
            with self._failing_as("keeping files"):
                client(self._store).log_artifacts(self.id, folder)

    def _failing_as(self, what: str) -> contextlib.AbstractContextManager[None]:
        return failing_as(f"{what} of run {self.id}", self._store)
