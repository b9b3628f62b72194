"""What a run claims, concludes and reports, in this order and no other."""

import json
from pathlib import Path

import pytest

from lab.errors import TrackingError
from lab.tracking.hypotheses import Hypothesis, Verdict
from lab.tracking.report import Report
from lab.tracking.run import Run, open_run
from lab.tracking.store import client
from tests.tracking.dummy_config import Config

FALLS = Hypothesis("falls", "Loss falls", "supported if slope below 0", "slope 0")
SUPPORTED = Verdict("falls", "supported", -1.0, "nats", (-1.5, -0.5), "items", "0")


def read(run: Run, path: str, folder: Path) -> str:
    return Path(client().download_artifacts(run.id, path, str(folder))).read_text()


def test_the_whole_order_leaves_files_tags_and_note(store: str, tmp_path: Path) -> None:
    with open_run("dummy", Config(), name="source") as source:
        pass
    with open_run("dummy", Config(), name="dummy") as run:
        run.state([FALLS], "it falls")
        run.step(0, {"train/loss": 1.0})
        run.conclude([SUPPORTED])
        table = [{"step": n, "loss": 1 / (n + 1)} for n in range(2000)]
        run.report(Report("Does it fall?", table, ["Nothing."], [source.id], ["mlflow run x"], [], "it falls"))
    stated = json.loads(read(run, "hypotheses.json", tmp_path))
    assert stated["prediction"] == "it falls" and stated["hypotheses"][0]["rule"] == FALLS.rule
    verdict = json.loads(read(run, "verdicts.json", tmp_path))[0]
    assert verdict["interval"] == [-1.5, -0.5] and verdict["rule"] == FALLS.rule and verdict["outcome"] == "supported"
    tags = client().get_run(run.id).data.tags
    assert (tags["verdict.falls"], tags["lab.prediction"]) == ("supported", "it falls")
    note = tags["mlflow.note.content"]
    assert len(note) <= 8000
    assert f"[report.md](#/experiments/{run.experiment_id}/runs/{run.id}/artifacts/report.md)" in note
    assert f"[source](#/experiments/{run.experiment_id}/runs/{source.id}) `{source.id}`" in note
    assert read(run, "report.md", tmp_path).count("\n| ") > 2000


def test_a_source_that_does_not_exist_is_an_error(store: str) -> None:
    failure = pytest.raises(TrackingError, match="linking the sources of run .* failed in sqlite.*not found")
    with open_run("dummy", Config(), name="dummy") as run, failure:
        run.report(Report("Does it?", [], [], ["0" * 32]))


def test_hypotheses_come_before_measurements(store: str) -> None:
    with open_run("dummy", Config(), name="dummy") as run:
        run.step(0, {"train/loss": 1.0})
        with pytest.raises(TrackingError, match="metrics were recorded before these hypotheses; state all of them"):
            run.state([FALLS])
    with open_run("dummy", Config(), name="dummy") as run:
        run.summary({"score": 1.0})
        with pytest.raises(TrackingError, match="metrics were recorded before these hypotheses"):
            run.state([])
    with open_run("dummy", Config(), name="dummy") as run:
        run.state([])
        with pytest.raises(TrackingError, match="hypotheses were stated before these hypotheses"):
            run.state([FALLS])


def test_a_run_does_not_finish_or_report_without_its_verdicts(store: str) -> None:
    failure = pytest.raises(TrackingError, match="states falls and has no verdicts; call conclude")
    with failure, open_run("dummy", Config(), name="dummy") as run:
        run.state([FALLS])
    assert client().get_run(run.id).info.status == "FAILED"
    with open_run("dummy", Config(), name="dummy") as run:
        run.state([FALLS])
        with pytest.raises(TrackingError, match="states falls and has no verdicts"):
            run.report(Report("Does it?", [], []))
        run.conclude([SUPPORTED])


def test_only_what_was_stated_is_concluded(store: str) -> None:
    with open_run("dummy", Config(), name="dummy") as run:
        with pytest.raises(TrackingError, match="verdicts for falls; stated were no hypotheses"):
            run.conclude([SUPPORTED])
        run.state([FALLS])
        with pytest.raises(TrackingError, match="verdicts for nothing; stated were falls"):
            run.conclude([])
        run.conclude([SUPPORTED])
