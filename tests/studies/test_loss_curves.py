"""Planted curves, recorded as runs and read back: the study finds in them what was planted."""

import json
import shutil

import numpy as np
import pytest

from lab.errors import OptionError, RunNotFound
from lab.studies import curve_figures, curve_sources, loss_curves
from lab.studies.curve_figures import short_names
from lab.studies.finetune import Config as Training

STEPS = np.arange(1, 201)
EVAL = np.arange(0, 201, 10)


@pytest.fixture(scope="module", autouse=True)
def store(empty_database, tmp_path_factory):
    """One store for all the planted runs."""
    folder = tmp_path_factory.mktemp("curves")
    shutil.copy(empty_database, folder / "mlflow.db")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_ID", "MLFLOW_EXPERIMENT_NAME"):
            patch.delenv(name, raising=False)
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder / 'mlflow.db'}")
        yield


def power(floor=0.5):
    return lambda t: floor + 6 * np.maximum(t, 0.5) ** -0.8


def record(name, held_out, *, config=None, train=None, spike=None, study="finetune", until=200, batches=None, seed=0):
    """A run whose curves follow these functions of the step; diverged after `until`."""
    from lab.figures.layout import panels
    from lab.tracking.run import open_run

    rng = np.random.default_rng(seed)
    with open_run(study, config or Training(dataset="own.jsonl"), name=name) as run:
        for step in [0, *STEPS.tolist()]:
            values = {}
            if step > 0:
                loss = (train or held_out)(float(step)) + 0.02 * rng.standard_normal() + (3.0 if step == spike else 0.0)
                values = {"train/loss": float(loss) if step <= until else float("nan"),
                          "train/grad_norm": 1.0 + (step == spike)}
            if held_out is not None and step in EVAL and step <= until:
                values["eval/loss"] = float(held_out(float(step)) + 0.002 * rng.standard_normal())
            run.step(step, values)
            if step > until:
                break
        if batches is not None:
            run.figure("training", panels(1)[0], {"batches": batches})
        return run.id


def verdicts_of(run_id):
    from lab.tracking.lookup import find

    tags = find(run_id).data.tags
    return {name.removeprefix("verdict."): value for name, value in tags.items() if name.startswith("verdict.")}


def read(run_id, path):
    from lab.tracking.store import client

    with open(client().download_artifacts(run_id, path), encoding="utf-8") as file:
        return file.read()


@pytest.fixture(scope="module")
def analysed(store):
    """A power law with a spike, of a set whose entropy is known, and what the study made of it."""
    batches = np.arange(200 * 4).reshape(200, 4)
    source = record("planted power law", power(), config=Training(dataset="embedded:facts"), spike=90, batches=batches)
    return source, loss_curves.run(loss_curves.Config(run_ids=(source[:8],), predict="it plateaus"))


def test_a_planted_power_law_is_found_with_its_floor_and_exponent(analysed):
    from lab.tracking.lookup import find

    _, run_id = analysed
    metrics = find(run_id).data.metrics
    assert metrics["curves/floor_nats"] == pytest.approx(0.5, abs=0.05)
    assert metrics["curves/exponent"] == pytest.approx(0.8, abs=0.1)
    assert metrics["curves/error_power_law_nats"] < metrics["curves/error_exponential_nats"]
    found = verdicts_of(run_id)
    assert found["power_law_tail"] == "supported" and found["overfits"] == "refuted"


def test_a_floor_above_a_known_entropy_is_said_to_be(analysed):
    # new facts can be learned to a loss of 0, and the planted floor is 0.5
    assert verdicts_of(analysed[1])["floor_above_entropy"] == "supported"


def test_a_spike_is_reported_with_the_rows_of_its_batch(analysed):
    from lab.tracking.rows import table

    (spike,) = table(analysed[1], "spikes")
    assert spike["step"] == 90 and spike["batch"] == "rows 356, 357, 358, 359"
    assert spike["height (nats/token)"] == pytest.approx(3, abs=0.2) and spike["gradient norm"] == 2


def test_hypotheses_and_prediction_were_written_down_and_the_source_linked(analysed):
    from lab.tracking.lookup import find

    source, run_id = analysed
    stated = json.loads(read(run_id, "hypotheses.json"))
    assert stated["prediction"] == "it plateaus"
    assert [h["name"] for h in stated["hypotheses"]] == ["power_law_tail", "floor_above_entropy", "overfits", "plateau"]
    assert find(run_id).data.tags["lab.source_run_id"] == source
    report = read(run_id, "report.md")
    assert "learning rate that falls to zero" in report and "Highest spikes" in report


def test_the_figure_can_be_drawn_again_from_its_arrays(analysed):
    from lab.tracking.rows import arrays

    source, run_id = analysed
    kept = arrays(run_id, f"curve_{source[:8]}")
    assert len(kept["train_loss"]) == len(kept["train_smoothed"]) == 200
    assert len(kept["eval_loss"]) == 21 and len(kept["fitted_loss"]) == 20
    assert kept["floor_interval"][0] < 0.5 < kept["floor_interval"][1]


def test_a_parent_stands_for_its_children_and_every_run_has_its_row():
    from lab.tracking.rows import arrays, table
    from lab.tracking.run import open_run

    with open_run("finetune", Training(), name="parent") as parent:
        children = [record(f"finetune r={rank} seed=0", power(0.3 + 0.1 * rank), config=Training(r=rank), seed=rank)
                    for rank in (1, 2)]
    run_id = loss_curves.run(loss_curves.Config(run_ids=(parent.id, children[0])))
    rows = table(run_id, "curves")
    assert [row["id"] for row in rows] == children
    assert [row["floor (nats/token)"] for row in rows] == pytest.approx([0.4, 0.5], abs=0.05)
    assert arrays(run_id, "curves")["names"].tolist() == ["finetune r=1 seed=0", "finetune r=2 seed=0"]
    assert verdicts_of(run_id)["power_law_tail"] == "supported"


def test_overfitting_is_found_and_the_laws_end_at_the_minimum():
    from lab.tracking.rows import table

    source = record("overfit", lambda t: 0.8 + 3 * np.exp(-t / 15) + max(t - 100, 0) / 200,
                    train=lambda t: 0.1 + 3 * np.exp(-t / 80))
    run_id = loss_curves.run(loss_curves.Config(run_ids=(source,)))
    assert verdicts_of(run_id)["overfits"] == "supported"
    (row,) = table(run_id, "curves")
    assert row["overfits"] == "yes" and 80 <= row["lowest at step"] <= 110
    assert verdicts_of(run_id)["power_law_tail"] in ("refuted", "undecided")


def test_a_diverged_run_is_read_up_to_its_divergence():
    from lab.tracking.rows import table

    source = record("diverged", power(), until=60)
    run_id = loss_curves.run(loss_curves.Config(run_ids=(source,)))
    (row,) = table(run_id, "curves")
    assert row["diverged at"] == 61 and row["steps"] == 60 and row["held-out points"] == 6
    assert "power_law_tail" not in verdicts_of(run_id)  # six points: not enough to ask
    assert row["better"] == "too few points (6, need 8)"
    assert f"eval_every={Training().steps // 20}" in read(run_id, "report.md")


def test_a_given_entropy_is_compared_with_and_an_unknown_one_is_not():
    source = record("unknown data", power(), seed=4)
    assert "floor_above_entropy" not in verdicts_of(loss_curves.run(loss_curves.Config(run_ids=(source,))))
    given = loss_curves.run(loss_curves.Config(run_ids=(source,), known_floor=0.5))
    assert verdicts_of(given)["floor_above_entropy"] == "refuted"


def test_pretraining_is_judged_by_its_fresh_batches_against_the_entropy_of_the_corpus():
    from lab.studies.pretrain import Config as Pretraining

    source = record("pretrain", None, train=power(0.9), config=Pretraining(), study="pretrain")
    (loaded,) = curve_sources.load([source])
    assert loaded.held_out_is == curve_sources.FRESH and loaded.points == 60
    known = curve_sources.known_floor(loaded)
    assert known is not None and known[0] == pytest.approx(1.61, abs=0.03)
    assert "overfits" not in verdicts_of(loss_curves.run(loss_curves.Config(run_ids=(source,), known_floor=0.8)))


def test_a_run_without_losses_and_an_unknown_run_are_errors():
    from lab.tracking.run import open_run

    with open_run("ask", Training(), name="no curves") as run:
        run.step(1, {"other": 1.0})
    with pytest.raises(OptionError, match=r"logged neither train/loss nor eval/loss.*give a training run"):
        loss_curves.run(loss_curves.Config(run_ids=(run.id,)))
    with pytest.raises(RunNotFound, match="no run 0123456789abcdef"):
        loss_curves.run(loss_curves.Config(run_ids=("0123456789abcdef",)))
    with pytest.raises(OptionError, match="run_ids"):
        loss_curves.run(loss_curves.Config())


def test_many_runs_still_fit_into_one_note(monkeypatch):
    from lab.tracking.lookup import find
    from lab.tracking.rows import table
    from lab.tracking.run import open_run

    def curve(run, rank, rng):
        for step in EVAL:
            loss = power(0.1 * rank)(float(step)) + 0.01 * rng.standard_normal()
            run.step(int(step), {"eval/loss": float(loss), "train/loss": float(loss)})

    with open_run("lora_rank", Training(), name="parent") as parent:
        for rank in range(1, 15):
            with open_run("lora_rank", Training(r=rank), name=f"lora_rank r={rank} lr=1e-3 seed=0") as child:
                curve(child, rank, np.random.default_rng(rank))
    monkeypatch.setattr(curve_figures, "draw", lambda *_: None)  # a dozen figures, which the note does not hold
    run_id = loss_curves.run(loss_curves.Config(run_ids=(parent.id,)))
    assert len(table(run_id, "curves")) == 14
    tags = find(run_id).data.tags
    assert len(tags["mlflow.note.content"]) <= 8000 and "and 11 more in the table" in tags["mlflow.note.content"]


def test_names_are_shortened_to_what_tells_them_apart():
    assert short_names(["lora_rank r=1 lr=1e-3 seed=0", "lora_rank r=4 lr=1e-3 seed=0"]) == ["r=1", "r=4"]
    assert short_names(["same", "same"]) == ["same", "same"]
    assert short_names(["alone here"]) == ["alone here"]
