"""Fetching: a capsule of exactly the run that was meant, or an error that says what to type."""

import re
from pathlib import Path

import pytest
from mlflow.exceptions import MlflowException

from lab.errors import AmbiguousRun, CapsuleChanged, NoAdapter, OptionError, RunNotFound, TrackingError
from lab.tracking import capsule, lineage
from lab.tracking.lookup import RunReference, resolve
from lab.tracking.run import Run, open_run
from lab.tracking.store import client
from tests.tracking.dummy_config import Config


def keep(run: Run, folder: Path, *, which: str = "best", kind: str = "adapter", register: str | None = None) -> Path:
    """Where the run's files lie on disk."""
    folder.mkdir()
    needed = {"adapter": ["adapter_config.json", "adapter_model.safetensors"], "model": ["config.json"]}[kind]
    for name in needed:
        (folder / name).write_text(f"{run.id} {which}")
    capsule.seal(folder, kind, {"step": 5, "eval_loss": 2.5})  # type: ignore[arg-type]
    capsule.keep(run, folder, kind, which, register=register)  # type: ignore[arg-type]
    return Path(run.artifact_uri.removeprefix("file://")) / (kind if which == "best" else f"{kind}_last")


def test_a_changed_byte_a_missing_file_and_a_missing_folder_name_the_run(store: str, tmp_path: Path) -> None:
    with open_run("finetune", Config(), name="finetune") as run:
        files = keep(run, tmp_path / "adapter")
    weights = files / "adapter_model.safetensors"
    original = weights.read_bytes()
    weights.write_bytes(b"X" + original[1:])
    with pytest.raises(CapsuleChanged, match=rf"run {run.id}, adapter: files .*\n  adapter_model.safetensors: expec"):
        capsule.fetch(run.id)
    weights.unlink()
    with pytest.raises(CapsuleChanged, match="adapter_model.safetensors: missing"):
        capsule.fetch(run.id)
    weights.write_bytes(original)
    assert capsule.fetch(run.id).manifest["eval_loss"] == 2.5
    (files / "capsule.json").write_text((files / "capsule.json").read_text().replace("2.5", "1.5"))
    with pytest.raises(CapsuleChanged, match="capsule.json has sha256:.*, the run recorded sha256:"):
        capsule.fetch(run.id)


def test_a_folder_that_was_not_sealed_when_kept_is_refused(store: str, tmp_path: Path) -> None:
    folder = tmp_path / "adapter"
    folder.mkdir()
    (folder / "adapter_config.json").write_text("{}")
    with open_run("finetune", Config(), name="finetune") as run:
        with pytest.raises(CapsuleChanged, match="capsule.json is missing"):
            capsule.keep(run, folder, "adapter", "best")
        run.files(folder, "adapter")
    with pytest.raises(CapsuleChanged, match="capsule.json is missing"):
        capsule.fetch(run.id)


def test_the_last_is_the_best_only_where_training_ended_with_it(store: str, tmp_path: Path) -> None:
    with open_run("finetune", Config(), name="ended with its best") as same:
        keep(same, tmp_path / "a")
    with open_run("finetune", Config(), name="overfitted") as overfitted:
        keep(overfitted, tmp_path / "b", which="last", kind="model")
        keep(overfitted, tmp_path / "c", kind="model")
    with pytest.raises(KeyboardInterrupt), open_run("finetune", Config(), name="stopped") as stopped:
        keep(stopped, tmp_path / "e", which="last")
        raise KeyboardInterrupt
    with open_run("finetune", Config(), name="diverged") as diverged:
        keep(diverged, tmp_path / "d")
        diverged.step(7, {"train/loss": float("nan")})
    assert capsule.fetch(f"{same.id}@last").folder == capsule.fetch(same.id).folder
    assert [capsule.fetch(f"{overfitted.id}{suffix}").folder.name for suffix in ("", "@best", "@last")] == [
        "model",
        "model",
        "model_last",
    ]
    assert capsule.fetch(f"{stopped.id}@last").which == "last"
    only = f"run {stopped.id} ended killed:SIGINT and keeps only its last adapter, not its best; write {stopped.id}@last"
    with pytest.raises(NoAdapter, match=only):
        capsule.fetch(stopped.id)
    assert capsule.fetch(diverged.id).which == "best"
    with pytest.raises(NoAdapter, match=f"run {diverged.id} diverged at step 7 and kept nothing from its end; leave"):
        capsule.fetch(f"{diverged.id}@last")


def test_a_run_without_adapter_says_why_and_never_gives_another(store: str, tmp_path: Path) -> None:
    with open_run("finetune", Config(), name="neighbour") as neighbour:
        keep(neighbour, tmp_path / "a")
    with open_run("attention", Config(), name="analysis") as analysis:
        capsule.use(analysis, capsule.fetch(neighbour.id))
    with pytest.raises(ValueError), open_run("finetune", Config(), name="broken") as broken:
        broken.step(3, {"train/loss": float("inf")})
        raise ValueError
    bare = client().create_run("0").info.run_id
    expected = {
        analysis.id: f"attention, its status FINISHED, it ended finished, it analysed run_id={neighbour.id}",
        broken.id: "its study is finetune, its status FAILED, it ended failed:ValueError, it diverged at step 3",
        bare: "its study is not one of this lab, its status RUNNING",
    }
    for run_id, reason in expected.items():
        with pytest.raises(NoAdapter, match=re.escape(reason)) as caught:
            capsule.fetch(run_id)
        assert f"run {run_id} (" in str(caught.value) and "Give a training run that finished" in str(caught.value)
        with pytest.raises(NoAdapter):
            capsule.several([neighbour.id, run_id])


def test_a_sweeps_parent_lists_its_children(store: str, tmp_path: Path) -> None:
    with open_run("lora_rank", Config(r=(1, 4, 16)), name="sweep") as parent:
        children = []
        for r in (1, 4, 16):
            with open_run("lora_rank", Config(r=(r,)), name=f"child {r}") as child:
                if r != 16:
                    keep(child, tmp_path / str(r))
            children.append(child.id)
    with pytest.raises(NoAdapter) as caught:
        capsule.fetch(parent.id)
    assert str(caught.value) == (
        f"run {parent.id} (sweep) keeps no adapter or model: it is the parent of a sweep; give one of its children:\n"
        f"  run_id={children[0]}  child 1  r=1  lr=2e-4  eval/loss=2.5\n"
        f"  run_id={children[1]}  child 4  r=4  lr=2e-4  eval/loss=2.5"
    )
    assert [found.run_id for found in capsule.several([f"{parent.id[:10]}@best"])] == children[:2]


def test_references(store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with open_run("finetune", Config(), name="finetune") as run:
        keep(run, tmp_path / "a", register="facts@last")
    assert resolve(f" {run.id}@last ") == RunReference(run.id, "last")
    assert resolve(f"runs:/{run.id}/adapter_last") == RunReference(run.id, "last")
    assert resolve(f"runs:/{run.id[:9]}") == RunReference(run.id, "best")
    assert resolve("models:/facts@last") == RunReference(run.id, "best")
    assert resolve("models:/facts@last@last") == RunReference(run.id, "last")
    assert resolve("models:/facts/1") == RunReference(run.id, "best")


@pytest.mark.parametrize("reference", ["", "abc", "run 1", "ABCDEF", "../adapter", "g" * 32, "%", "run:"])
def test_what_is_no_reference_says_what_is(store: str, reference: str) -> None:
    with pytest.raises(RunNotFound, match=r"allowed: a run id or its first 4 or more digits, run:<id>, runs:/<id>"):
        resolve(reference)


@pytest.mark.parametrize("reference", ["abcd1234", "0" * 32, "run:0000", "runs:/00000000/adapter"])
def test_an_unknown_run_names_the_store(store: str, reference: str) -> None:
    with pytest.raises(RunNotFound, match=rf"no run [0-9a-d]+ in {store}; if it was recorded elsewhere, set MLFLOW"):
        resolve(reference)


@pytest.mark.parametrize("reference", ["models:/none@best", "models:/none/3", "models:/m-00", "models:/none/x"])
def test_an_unknown_model_names_the_store(store: str, reference: str) -> None:
    with pytest.raises(RunNotFound, match=rf"run_id={reference}: {store} has no such registered model"):
        resolve(reference)


def test_other_artifacts_are_no_models(store: str) -> None:
    with pytest.raises(RunNotFound, match=r"run_id=runs:/abcd/figures: no run keeps figures as a model"):
        resolve("runs:/abcd/figures")


def test_a_model_from_elsewhere_has_no_run(store: str) -> None:
    client().create_registered_model("other")
    client().create_model_version("other", "file:///somewhere")
    with pytest.raises(RunNotFound, match="this model was not registered from a run"):
        resolve("models:/other/1")


def test_a_deleted_run_can_be_restored(store: str) -> None:
    with open_run("finetune", Config(), name="finetune") as run:
        pass
    client().delete_run(run.id)
    with pytest.raises(RunNotFound, match=f"run {run.id} was deleted from .*`mlflow runs restore --run-id {run.id}`"):
        resolve(run.id)


def test_an_ambiguous_beginning_lists_the_runs(store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import uuid

    ids = iter(["abcd1" + "0" * 27, "abcd2" + "0" * 27])
    monkeypatch.setattr(uuid, "uuid4", lambda: uuid.UUID(next(ids)))
    created = [client().create_run(experiment, run_name=f"run {experiment}").info for experiment in ("0", "0")]
    monkeypatch.undo()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store)
    assert resolve("abcd1").run_id == created[0].run_id
    with pytest.raises(AmbiguousRun, match="run_id=run:abcd: these runs begin so; write more") as caught:
        resolve("run:abcd")
    for info in created:
        assert f"  {info.run_id}  {info.run_name}" in str(caught.value)


def test_registering_again_makes_the_next_version(store: str, tmp_path: Path) -> None:
    ids = []
    for number in (1, 2):
        with open_run("finetune", Config(), name="finetune") as run:
            keep(run, tmp_path / str(number), register="facts@best")
        ids.append(run.id)
    assert [resolve(f"models:/facts/{version}").run_id for version in (1, 2)] == ids
    assert resolve("models:/facts@best").run_id == ids[1]
    version = client().get_model_version("facts", "2")
    assert (version.source, version.run_id) == (f"runs:/{ids[1]}/adapter", ids[1])


def test_a_failed_registration_leaves_no_empty_model(
    store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise MlflowException("the registry is full")

    def keep_registered(folder: str) -> None:
        failure = pytest.raises(TrackingError, match="keeping the adapter of run .* failed in .*: the registry is full")
        with open_run("finetune", Config(), name="finetune") as run, failure:
            keep(run, tmp_path / folder, register="facts@best")

    with monkeypatch.context() as patched:
        patched.setattr(type(client()), "create_model_version", fail)
        keep_registered("a")
        assert client().search_registered_models() == []
        client().create_registered_model("facts")
        keep_registered("b")
    assert [model.name for model in client().search_registered_models()] == ["facts"]


@pytest.mark.parametrize("target", ["facts", "facts@", "@best", "a/b@best", "a:b@best", "a@b@c", "a@latest", "a@V2"])
def test_a_registration_that_cannot_work_is_refused_before_training(target: str) -> None:
    with pytest.raises(OptionError, match=rf"register={target}: allowed: name@alias"):
        lineage.check_target(target)


def test_a_registration_that_can_work() -> None:
    assert lineage.check_target("my facts.v2@best-1") == ("my facts.v2", "best-1")
