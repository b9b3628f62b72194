"""What a run keeps comes back the same, on a SQLite file and through a server with proxied artifacts."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import matplotlib
import numpy as np
import pytest

from lab.errors import RunNotFound, TrackingError
from lab.tracking import capsule, rows, store
from lab.tracking.run import open_run
from lab.tracking.sealing import seal
from lab.tracking.store import client
from tests.tracking.dummy_config import Config

matplotlib.use("Agg")


@pytest.fixture(params=["sqlite", "http"])
def any_store(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    if request.param == "sqlite":
        yield request.getfixturevalue("store")
    else:
        url = request.getfixturevalue("server")
        monkeypatch.setenv("MLFLOW_TRACKING_URI", url)
        yield url


def adapter(folder: Path, content: bytes = b"weights") -> Path:
    folder.mkdir()
    (folder / "adapter_config.json").write_text("{}")
    (folder / "adapter_model.safetensors").write_bytes(content)
    return folder


def test_files_tables_figures_and_datasets_come_back(any_store: str, tmp_path: Path) -> None:
    import matplotlib.pyplot as plt

    (tmp_path / "kept/deep").mkdir(parents=True)
    (tmp_path / "kept/deep/x.txt").write_text("é")
    table = [{"r": 1, "loss": 0.5, "word": "a|b"}, {"r": 2, "loss": None, "word": "é"}]
    with open_run("dummy", Config(), name="dummy") as run:
        run.files(tmp_path / "kept", "folder")
        run.table("ranks", table)
        run.table("ranks", table)
        run.table("others", [])
        run.figure("loss", plt.figure(), {"steps": np.arange(3)})
        run.dataset("facts", "sha256:" + "ab" * 32, "embedded:facts", "training", 10, {"duplicates": 1})
        run.dataset("rows", "cd" * 32, str(tmp_path), "evaluation", 5, {})
        for step in range(1500):
            run.step(step, {"train/loss": 1 / (step + 1)})
        run.summary({"score": 0.25})
    assert rows.table(run.id, "ranks") == table
    assert rows.table(run.id[:8], "none") == []
    np.testing.assert_array_equal(rows.arrays(run.id, "loss")["steps"], np.arange(3))
    steps, values = rows.history(run.id, "train/loss")
    np.testing.assert_array_equal(steps, np.arange(1500))
    np.testing.assert_array_equal(values, 1 / (np.arange(1500) + 1))
    with pytest.raises(TrackingError, match="keeps no figure los; it keeps: loss"):
        rows.arrays(run.id, "los")
    with pytest.raises(TrackingError, match="has no metric train/los; it has: score, train/loss"):
        rows.history(run.id, "train/los")
    file = client().download_artifacts(run.id, "folder/deep/x.txt", str(tmp_path))
    assert Path(file).read_text() == "é"
    found = client().get_run(run.id)
    assert found.data.tags["lab.dataset.training"] == "sha256:" + "ab" * 32
    assert found.data.tags["mlflow.loggedArtifacts"].count("tables/") == 2
    facts, local = sorted((entry.dataset for entry in found.inputs.dataset_inputs), key=lambda entry: entry.name)
    assert (facts.name, facts.digest, facts.source_type) == ("facts", ("ab" * 32)[:36], "code")
    assert (local.source_type, str(tmp_path) in local.source) == ("local", True)
    assert client().load_table(run.experiment_id, "tables/ranks.json", [run.id]).word.tolist() == ["a|b", "é"]


def test_mlflow_finds_datasets_again(any_store: str) -> None:
    import mlflow

    with open_run("dummy", Config(), name="dummy") as run:
        run.dataset("a", "ab" * 32, "tatsu-lab/alpaca", "training", 10, {})
        run.dataset("b", "cd" * 32, "https://me:secret@host/x.csv", "training", 10, {})
    hub, url = sorted((entry.dataset for entry in client().get_run(run.id).inputs.dataset_inputs), key=lambda d: d.name)
    assert mlflow.data.get_source(hub).path == "tatsu-lab/alpaca"
    assert mlflow.data.get_source(url).url == "https://host/x.csv"


def test_an_adapter_is_fetched_from_anywhere(
    any_store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import mlflow

    (tmp_path / "mlflow").mkdir()
    with open_run("finetune", Config(), name="finetune r=8") as run:
        run.dataset("facts", "ab" * 32, "embedded:facts", "training", 10, {})
        run.step(0, {"eval/loss": 9.0})
        run.step(5, {"eval/loss": 2.0, "eval/bits_per_byte": 1.0})
        folder = adapter(tmp_path / "adapter")
        manifest = seal(folder, "adapter", {"step": 5, "eval_loss": 2.0, "lora": {"r": 8, "targets": ["q", "v"]}})
        capsule.keep(run, folder, "adapter", "best", register="facts@best")
        last = adapter(tmp_path / "last", b"last")
        seal(last, "adapter", {"step": 9, "eval_loss": 3.0})
        capsule.keep(run, last, "adapter", "last")
    for reference in (run.id, run.id[:12], f"run:{run.id}", f"runs:/{run.id}/adapter", "models:/facts@best"):
        found = capsule.fetch(reference)
        assert (found.run_id, found.kind, found.which, found.manifest) == (run.id, "adapter", "best", manifest)
        assert (found.folder / "adapter_model.safetensors").read_bytes() == b"weights"
    for reference in (f"{run.id}@last", f"runs:/{run.id}/adapter_last"):
        assert (capsule.fetch(reference).folder / "adapter_model.safetensors").read_bytes() == b"last"
    # MLflow's own way to the files of a registered version.
    version = mlflow.artifacts.download_artifacts("models:/facts@best", dst_path=str(tmp_path / "mlflow"))
    assert sorted(os.listdir(version)) == ["adapter_config.json", "adapter_model.safetensors", "capsule.json"]
    monkeypatch.chdir("/")
    store._client.cache_clear()
    assert capsule.fetch(run.id).manifest == manifest
    with pytest.raises(RunNotFound, match=rf"no run {'0' * 32} in {any_store}; if it was recorded elsewhere"):
        capsule.fetch("0" * 32)


def test_lineage_can_be_followed_both_ways(any_store: str, tmp_path: Path) -> None:
    losses = {1: 3.0, 4: 1.0, 16: 2.0}
    kept = {}
    with open_run("lora_rank", Config(r=tuple(losses)), name="sweep") as parent:
        for r, loss in losses.items():
            with open_run("lora_rank", Config(r=(r,)), name=f"lora_rank r={r} lr=0.5") as run:
                run.dataset("facts", "ab" * 32, "embedded:facts", "evaluation", 10, {})
                run.step(5, {"eval/loss": loss, "train/loss": 0.1})
                folder = adapter(tmp_path / str(r))
                seal(folder, "adapter", {"step": 5, "eval_loss": loss, "lora": {"r": r}, "base_reference": None})
                capsule.keep(run, folder, "adapter", "best")
            kept[r] = run.id
    with open_run("attention", Config(), name="analysis") as analysis:
        capsule.use(analysis, capsule.fetch(kept[4]))
        analysis.summary({"attention/entropy_bits": 0.5})
    found = client().search_logged_models(
        [parent.experiment_id],
        filter_string="metrics.`eval/loss` < 10 AND params.`lora.r` != '99' AND model_type = 'lab-adapter'",
        order_by=[{"field_name": "metrics.eval/loss", "ascending": True}],
    )
    ranked = [model for model in found if model.source_run_id in kept.values()]
    assert [model.params["lora.r"] for model in ranked] == ["4", "16", "1"]
    best = ranked[0]
    assert best.tags["adapter_uri"] == f"runs:/{kept[4]}/adapter"
    assert {(m.key, m.value, m.run_id) for m in best.metrics} == {
        ("eval/loss", 1.0, kept[4]),
        ("attention/entropy_bits", 0.5, analysis.id),
    }
    assert {m.dataset_name for m in best.metrics if m.key == "eval/loss"} == {"facts"}
    assert len(client().get_metric_history(kept[4], "eval/loss")) == 1
    assert [output.model_id for output in client().get_run(kept[4]).outputs.model_outputs] == [best.model_id]
    assert [entry.model_id for entry in client().get_run(analysis.id).inputs.model_inputs] == [best.model_id]
    using = client().search_runs([parent.experiment_id], f"tags.`lab.source_run_id` = '{kept[4]}'")
    assert [run.info.run_id for run in using] == [analysis.id]
    assert capsule.fetch(f"models:/{best.model_id}").run_id == kept[4]
    assert [one.run_id for one in capsule.several([parent.id, kept[1]])] == [*kept.values(), kept[1]]
    with open_run("ask", Config(), name="ask") as asking:
        for one in capsule.several([kept[1], kept[16]]):
            capsule.use(asking, one)
        asking.summary({"ask/score": 1.0})
    tags = client().get_run(asking.id).data.tags
    assert tags["lab.source_run_id"] == f"{kept[1]},{kept[16]}"
    assert len(client().get_run(asking.id).inputs.model_inputs) == 2


def test_more_sources_than_a_tag_holds_are_no_error(store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with open_run("loss_curves", Config(), name="loss_curves") as run:
        for number in range(300):
            run._sources[f"{number:032x}"] = None
        run.came_from("f" * 32, None)
    kept = client().get_run(run.id).data.tags["lab.source_run_id"].split(",")
    assert kept == [f"{number:032x}" for number in range(200)]


def test_the_password_of_a_store_is_nowhere(
    server: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    from lab.tracking.report import Report, next_command

    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.replace("//", "//me:secret@"))
    monkeypatch.setattr(sys, "orig_argv", ["python", f"--store={server.replace('//', '//me:secret@')}"])
    with pytest.raises(OSError), open_run("dummy", Config(), name="dummy") as run:
        run.report(Report("Does it?", [], [], [run.id], [next_command("ask", run_ids=run.id)]))
        folder = adapter(tmp_path / "adapter")
        seal(folder, "adapter", {"step": 0})
        capsule.keep(run, folder, "adapter", "best")
        raise OSError(f"{os.environ['MLFLOW_TRACKING_URI']} is away")
    found = client().get_run(run.id)
    assert found.data.tags["lab.error"] == f"OSError: {server} is away"
    client().download_artifacts(run.id, "", str(tmp_path))
    texts = [path.read_text() for path in tmp_path.rglob("*") if path.is_file()]
    model = client().get_logged_model(found.data.tags["lab.model.adapter"])
    assert "secret" not in repr((found.to_dictionary(), model.to_dictionary(), texts, capfd.readouterr()))


def test_the_run_of_mlflow_run_is_adopted(any_store: str) -> None:
    from mlflow.entities import Param, RunTag

    from lab.tracking import opening

    waiting = client().create_run("0", run_name="old name").info.run_id
    tag = RunTag("mlflow.gitRepoURL", "https://token@github.com/x/y")
    client().log_batch(waiting, params=[Param("lr", "0.0002")], tags=[tag])
    opening.adopt(waiting)
    with open_run("dummy", Config(), name="new name") as run, open_run("dummy", Config(), name="child") as child:
        child.step(0, {"train/loss": 1.0})
    found = client().get_run(waiting)
    assert (run.id, found.info.run_name, found.info.status) == (waiting, "new name", "FINISHED")
    assert (found.data.params["lr"], found.data.params["r"]) == ("0.0002", "8")
    assert found.data.tags["mlflow.gitRepoURL"] == "https://github.com/x/y"
    assert client().get_run(child.id).data.tags["mlflow.parentRunId"] == waiting
