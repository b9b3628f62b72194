"""Runs: which run a block gets, what the run says about itself, and how it ends."""

import json
import math
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from mlflow.entities import Param

from lab import options
from lab.errors import OptionError, TrackingError
from lab.tracking import opening
from lab.tracking.endings import Killed
from lab.tracking.run import Run, open_run
from lab.tracking.store import client
from tests.tracking.dummy_config import Config


def refuse(points: object) -> None:
    raise OSError("no")


def stored(run_id: str):  # noqa: ANN201
    return client().get_run(run_id)


def read(run: Run, path: str, folder: Path) -> str:
    return Path(client().download_artifacts(run.id, path, str(folder))).read_text()


def test_a_run_knows_its_config_and_surroundings(store: str, tmp_path: Path) -> None:
    config = Config(r=(1, 4), lr=1e-5)
    with open_run("dummy", config, name="dummy r=1,4", tags={"extra": "x"}) as run:
        pass
    found = stored(run.id)
    assert (found.info.status, found.info.run_name) == ("FINISHED", "dummy r=1,4")
    assert found.data.params == options.as_strings(config)
    assert options.from_json(Config, json.loads(found.data.tags["lab.config"])) == config
    assert options.from_json(Config, json.loads(read(run, "config.json", tmp_path))) == config
    tags = found.data.tags
    assert (tags["lab.study"], tags["lab.ended"], tags["extra"]) == ("dummy", "finished", "x")
    assert tags["lab.python"] == sys.version.split()[0]
    torch = subprocess.run([sys.executable, "-m", "pip", "show", "torch"], capture_output=True, text=True).stdout
    assert f"Version: {tags['lab.version.torch']}" in torch
    assert {"lab.platform", "lab.command", "mlflow.user", "mlflow.source.name"} <= tags.keys()
    command = ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"]
    head = subprocess.run(command, capture_output=True, text=True).stdout.strip()
    assert tags.get("mlflow.source.git.commit", head) == head


def test_secrets_in_the_command_line_are_not_kept(store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "orig_argv", ["python", "x.py", "--model=https://me:secret@host/x"])
    with open_run("dummy", Config(), name="dummy") as run:
        pass
    assert stored(run.id).data.tags["lab.command"] == "python x.py --model=https://host/x"


def test_a_long_config_is_shown_cut_and_kept_whole(store: str, tmp_path: Path) -> None:
    config = Config(text="x" * 9000)
    with open_run("dummy", config, name="dummy") as run:
        pass
    found = stored(run.id).data
    assert found.tags["lab.config"] == "see config.json"
    assert found.params["text"].endswith("x… (whole in config.json)") and len(found.params["text"]) == 6000
    assert json.loads(read(run, "config.json", tmp_path))["text"] == config.text


def test_the_run_of_mlflow_run_is_used_once_and_its_params_are_left_alone(store: str) -> None:
    waiting = client().create_run("0", run_name="old name")
    client().log_batch(waiting.info.run_id, params=[Param("lr", "0.0002"), Param("text", "'a b'")])
    opening.adopt(waiting.info.run_id)
    with open_run("dummy", Config(), name="new name") as run:
        run.params({"lr": "2e-4"})
        with open_run("dummy", Config(), name="child") as child:
            pass
    with open_run("dummy", Config(), name="another") as another:
        pass
    found = stored(run.id)
    assert run.id == waiting.info.run_id and found.info.run_name == "new name" and found.info.status == "FINISHED"
    assert found.data.params == {"lr": "0.0002", "text": "'a b'", "r": "8", "predict": "none"}
    assert child.parent_id == run.id and child.experiment_id == "0"
    assert another.id != run.id and another.parent_id is None


def test_children_are_flat_and_in_order(store: str) -> None:
    with open_run("sweep", Config(), name="parent") as parent:
        with open_run("sweep", Config(), name="a") as a, open_run("sweep", Config(), name="a of a") as inner:
            pass
        with open_run("sweep", Config(), name="b") as b:
            pass
        assert parent.children() == [a.id, inner.id, b.id]
    with open_run("sweep", Config(), name="later", parent=parent) as later:
        pass
    assert {run.parent_id for run in (a, inner, b, later)} == {parent.id}
    tags = stored(inner.id).data.tags
    assert tags["mlflow.parentRunId"] == parent.id
    assert tags["mlflow.source.name"] == stored(parent.id).data.tags["mlflow.source.name"]


@pytest.mark.parametrize(
    ("error", "status", "ended", "message"),
    [
        (ValueError("bad"), "FAILED", "failed:ValueError", "ValueError: bad"),
        (OptionError("r=0: no"), "FAILED", "failed:OptionError", "r=0: no"),
        (SystemExit(0), "FAILED", "failed:SystemExit", "exit called with 0"),
        (Killed(signal.SIGTERM), "KILLED", "killed:SIGTERM", None),
        (Killed(signal.SIGINT), "KILLED", "killed:SIGINT", None),
        (KeyboardInterrupt(), "KILLED", "killed:SIGINT", None),
        (OSError("https://me:secret@host failed"), "FAILED", "failed:OSError", "OSError: https://host failed"),
    ],
)
def test_an_exception_ends_child_and_parent_and_metrics_are_stored(
    store: str, error: BaseException, status: str, ended: str, message: str | None
) -> None:
    with (
        pytest.raises(type(error)),
        open_run("dummy", Config(), name="parent") as parent,
        open_run("dummy", Config(), name="child") as child,
    ):
        parent.step(0, {"train/loss": 1.0})
        child.step(3, {"train/loss": 2.0})
        raise error
    for run, loss in ((parent, 1.0), (child, 2.0)):
        found = stored(run.id)
        assert found.info.status == status and found.info.end_time
        assert (found.data.tags["lab.ended"], found.data.tags.get("lab.error")) == (ended, message)
        assert found.data.metrics == {"train/loss": loss}


def test_a_caught_failure_of_a_child_leaves_the_parent_alone(store: str) -> None:
    with open_run("dummy", Config(), name="parent") as parent:
        with pytest.raises(ValueError), open_run("dummy", Config(), name="child") as child:
            raise ValueError("x")
        with open_run("dummy", Config(), name="next") as following:
            pass
    assert [stored(run.id).info.status for run in (parent, child, following)] == ["FINISHED", "FAILED", "FINISHED"]
    assert following.parent_id == parent.id


def test_metrics_that_are_not_finite_become_tags(store: str) -> None:
    with open_run("dummy", Config(), name="dummy") as run:
        run.step(0, {"train/loss": 1.0, "eval/loss": 3.0})
        run.step(1, {"train/loss": math.nan, "train/grad_norm": 2.0})
        run.step(2, {"train/loss": math.inf})
        run.summary({"score": 0.5, "ratio": math.nan})
        run.summary({"other": -math.inf}, step=7)
    found = stored(run.id).data
    assert found.tags["lab.diverged_at_step"] == "1"
    assert found.tags["lab.undefined"] == "other, ratio"
    assert found.metrics == {"train/loss": 1.0, "eval/loss": 3.0, "train/grad_norm": 2.0, "score": 0.5}
    assert [point.step for point in client().get_metric_history(run.id, "score")] == [2]


@pytest.mark.parametrize("name", ["a//b", "/a", "a/", "", "a=b", "é", "a/../b%"])
def test_a_metric_name_that_mlflow_refuses_is_an_error_at_once(store: str, name: str) -> None:
    with pytest.raises(TrackingError, match="metric name"), open_run("dummy", Config(), name="dummy") as run:
        run.step(0, {name: 1.0})


def test_a_param_is_never_changed(store: str) -> None:
    with open_run("dummy", Config(), name="dummy") as run:
        run.params({"base.fingerprint": "sha256:1", "n": 3})
        run.params({"n": 3, "r": "8"})
        with pytest.raises(TrackingError, match="parameter n of run .* is recorded as '3' and cannot become '4'"):
            run.params({"n": 4})
        with pytest.raises(TrackingError, match="parameter long has 6001 characters; allowed: 6000"):
            run.params({"long": "x" * 6001})
        with pytest.raises(TrackingError, match="tag long has 8001 characters; allowed: 8000"):
            run.tags({"long": "x" * 8001})
        run.params({f"many.{n}": n for n in range(250)})
        run.tags({f"many.{n}": n for n in range(250)})
    found = stored(run.id).data
    assert found.params["n"] == "3" and found.params["many.249"] == "249" and found.tags["many.249"] == "249"


def test_what_the_store_refuses_says_what_and_where(store: str) -> None:
    with open_run("dummy", Config(), name="dummy") as run:
        client().delete_run(run.id)
        with pytest.raises(TrackingError, match=rf"recording parameters of run {run.id} failed in sqlite:.*active"):
            run.params({"x": 1})
        run._series.add(0, {"loss": 1.0})
        client().restore_run(run.id)
    assert stored(run.id).data.metrics == {"loss": 1.0}


def test_metrics_that_cannot_be_stored_fail_the_run(store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    failure = pytest.raises(TrackingError, match="1 metric values could not be recorded: no")
    with failure, open_run("dummy", Config(), name="dummy") as run:
        run.step(0, {"loss": 1.0})
        monkeypatch.setattr(run._series._buffer, "_send", refuse)
    found = stored(run.id)
    assert (found.info.status, found.data.tags["lab.ended"]) == ("FAILED", "failed:TrackingError")


def test_an_error_is_not_hidden_by_metrics_that_cannot_be_stored(store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="the reason") as caught, open_run("dummy", Config(), name="dummy") as run:
        run.step(0, {"loss": 1.0})
        monkeypatch.setattr(run._series._buffer, "_send", refuse)
        raise ValueError("the reason")
    assert caught.value.__notes__ == ["1 metric values could not be recorded: no"]
    assert stored(run.id).data.tags["lab.ended"] == "failed:ValueError"


def test_an_end_that_cannot_be_recorded_is_an_error(store: str) -> None:
    failure = pytest.raises(TrackingError, match="recording the end of run .* failed in sqlite")
    with failure, open_run("dummy", Config(), name="dummy") as run:
        client().delete_run(run.id)


@pytest.mark.parametrize("where", ["_send", "end"])
def test_a_signal_while_a_run_finishes_is_its_ending(store: str, where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    interruptions = [Killed(signal.SIGTERM)]
    with pytest.raises(Killed), open_run("dummy", Config(), name="dummy") as run:
        owner = run._series._buffer if where == "_send" else run
        original = getattr(owner, where)

        def interrupted(*given: object) -> None:
            if interruptions:
                raise interruptions.pop()
            original(*given)

        run.step(0, {"loss": 1.0})
        monkeypatch.setattr(owner, where, interrupted)
    found = stored(run.id)
    assert (found.info.status, found.data.tags["lab.ended"]) == ("KILLED", "killed:SIGTERM")
    assert found.data.metrics == {"loss": 1.0}


def test_a_run_that_could_not_be_described_is_not_left_running(store: str) -> None:
    failure = pytest.raises(TrackingError, match="starting dummy failed in")
    with failure, open_run("dummy", Config(), name="dummy", tags={"": "a tag without a name"}):
        pass
    (found,) = client().search_runs([run_experiment()])
    assert (found.info.status, found.data.tags["lab.ended"]) == ("FAILED", "failed:MlflowException")


def run_experiment() -> str:
    return client().get_experiment_by_name("llm-learning-lab").experiment_id


def test_a_run_that_has_ended_is_not_adopted_again(store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with open_run("dummy", Config(), name="done") as done:
        pass
    opening.adopt(done.id)
    failure = pytest.raises(TrackingError, match=f"MLFLOW_RUN_ID={done.id} is a run that has already ended .finished.")
    try:
        with failure, open_run("dummy", Config(), name="again"):
            pass
    finally:
        opening.adopt(None)
    assert stored(done.id).info.run_name == "done" and stored(done.id).info.status == "FINISHED"


def test_an_adopted_run_that_does_not_exist_is_an_error(store: str) -> None:
    opening.adopt("0" * 32)
    failure = pytest.raises(TrackingError, match="starting dummy failed in sqlite.*not found")
    try:
        with failure, open_run("dummy", Config(), name="dummy"):
            pass
    finally:
        opening.adopt(None)
