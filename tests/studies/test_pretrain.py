"""Pretraining as a run, tiny: the model it keeps is a base like any other."""

import shutil

import pytest
import torch

import lab
from lab.errors import BaseMismatch
from lab.studies import ask, finetune, pretrain
from lab.tracking.lookup import find

TINY = pretrain.Config(steps=3, batch_tokens=256, sequence_length=128, width=32, feed_forward=64, layers=1, heads=1,
                       kv_heads=1, questions=4, workers=0, eval_every=2)


@pytest.fixture
def store(empty_database, tmp_path, monkeypatch):
    shutil.copy(empty_database, tmp_path / "mlflow.db")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def test_a_pretrained_model_is_kept_judged_and_can_be_fine_tuned(store):
    run_id = pretrain.run(TINY)
    rows = lab.table(run_id, "accuracy")
    assert {row["category"] for row in rows} >= {"knowledge", "arithmetic", "reasoning", "code", "copying"}
    assert all(0 <= row["low"] <= row["accuracy"] <= row["high"] <= 1 and row["chance"] > 0 for row in rows)
    copied = next(row for row in rows if row["category"] == "random_copy")
    assert copied["chance"] == pytest.approx(1 / 2044, abs=1e-4) and copied["questions"] == 4
    verdict = find(run_id).data.tags["verdict.copies_random_tokens"]
    assert verdict == ("supported" if copied["low"] > copied["chance"] else "undecided")
    assert lab.history(run_id, "accuracy/random_copy")[0].tolist() == [2, 3]
    assert lab.history(run_id, "train/loss")[0].tolist() == [1, 2, 3]
    assert lab.history(run_id, "accuracy/code")[0].tolist() == [2, 3]
    base = lab.open_run(run_id)
    assert base.capsule.kind == "model" and base.model.config.hidden_size == 32
    tuned = finetune.run(finetune.Config(model=f"run:{run_id}", facts=8, answers=4, steps=2, batch_size=4, eval_every=1))
    manifest = lab.fetch(tuned).manifest
    assert manifest["base_fingerprint"] == base.base.fingerprint
    assert lab.open_run(tuned).base.reference.path_or_id == run_id
    other = finetune.run(finetune.Config(facts=8, answers=4, steps=2, batch_size=4, eval_every=1))
    with pytest.raises(BaseMismatch, match=f"different bases.*{other}"):
        ask.run(ask.Config(run_ids=(tuned, other), prompt="1+1?"))
