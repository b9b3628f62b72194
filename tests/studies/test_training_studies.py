"""The training studies, whole and tiny, on the embedded model: what they keep is what they trained."""

import numpy as np
import pytest
import torch

import lab
from lab.errors import DataError, ModelNotFound, OptionError
from lab.studies import ask, finetune, learning_rate, lora_rank
from lab.training.finetune import training_arguments

TINY = {"facts": 24, "answers": 16, "steps": 4, "batch_size": 12, "eval_every": 2, "lr": 5e-3}


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.parametrize("config", [finetune.Config(), lora_rank.Config(), learning_rate.Config(),
                                    finetune.Config(method="full"), finetune.Config(schedule="cosine", warmup=0)])
def test_training_arguments_of_every_training_study_can_be_built(config, tmp_path):
    lr = config.lr[0] if isinstance(config.lr, tuple) else config.lr
    made = training_arguments(str(tmp_path), steps=config.steps, batch_size=config.batch_size, lr=lr,
                              accumulate=config.accumulate, schedule=config.schedule, warmup=config.warmup,
                              seed=config.seed, device="cpu", bf16=False, gradient_checkpointing=False)
    assert (made.max_steps, made.learning_rate, made.lr_scheduler_type) == (config.steps, lr, config.schedule)
    assert made.warmup_steps == round(config.warmup * config.steps)
    assert made.eval_strategy == "no" and made.save_strategy == "no" and made.report_to == []
    assert not made.logging_nan_inf_filter and made.use_cpu and not made.bf16


@pytest.fixture(scope="module")
def tiny_run(empty_database, tmp_path_factory):
    """One finished tiny fine-tune: its id and the logits in memory when it ended."""
    import shutil

    from lab.studies import training_run

    folder = tmp_path_factory.mktemp("store")
    shutil.copy(empty_database, folder / "mlflow.db")
    seen = {}
    original = training_run._draw

    def watch(run, config, model, trained, history):
        seen["logits"] = logits_of(model)
        original(run, config, model, trained, history)

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder / 'mlflow.db'}")
        patch.delenv("MLFLOW_RUN_ID", raising=False)
        patch.setattr(training_run, "_draw", watch)
        run_id = finetune.run(finetune.Config(**TINY))
        yield run_id, seen["logits"]


def logits_of(model) -> torch.Tensor:
    ids = torch.arange(5, 45).reshape(2, 20)
    model.eval()
    with torch.no_grad():
        return model(input_ids=ids).logits


def test_the_adapter_fetched_by_run_id_gives_the_logits_that_training_ended_with(tiny_run, tmp_path, monkeypatch):
    run_id, in_memory = tiny_run
    monkeypatch.chdir(tmp_path)
    opened = lab.open_run(run_id[:12])
    assert torch.equal(logits_of(opened.model), in_memory)
    with opened.model.disable_adapter():
        assert not torch.equal(logits_of(opened.model), in_memory)


def test_a_run_on_a_server_gives_the_same_logits_from_another_directory(tiny_run, server, tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server)
    run_id = finetune.run(finetune.Config(**TINY))
    monkeypatch.chdir(tmp_path)
    assert torch.equal(logits_of(lab.open_run(run_id).model), tiny_run[1])


def test_a_run_says_what_happened(tiny_run):
    run_id, _ = tiny_run
    steps, losses = lab.history(run_id, "train/loss")
    assert steps.tolist() == [1, 2, 3, 4] and np.isfinite(losses).all()
    steps, held_out = lab.history(run_id, "eval/loss")
    assert steps.tolist() == [0, 2, 4] and held_out[-1] < held_out[0]
    for name in ("train/grad_norm", "train/learning_rate", "train/tokens_per_second", "memory/peak_bytes",
                 "time/step_seconds", "eval/bits_per_byte"):
        assert np.isfinite(lab.history(run_id, name)[1]).all()
    samples = lab.table(run_id, "samples")
    assert len(samples) == 20 and {"prompt", "expected", "base", "best"} <= samples[0].keys()
    row = lab.runs("finetune").set_index("run_id").loc[run_id]
    assert row["ended"] == "finished" and row["config.facts"] == 24 and row["verdict.learns"] == "supported"
    grid = lab.arrays(run_id, "singular_values")["singular_values"]
    assert grid.shape == (6, 7, 8) and (np.diff(grid, axis=-1) <= 0).all()


def test_the_same_seed_gives_bit_identical_adapters_and_another_seed_does_not(tiny_run):
    run_id, _ = tiny_run
    again = finetune.run(finetune.Config(**TINY))
    other = finetune.run(finetune.Config(**TINY, seed=1))
    hashes = [lab.fetch(r).manifest["files"]["adapter_model.safetensors"] for r in (run_id, again, other)]
    assert hashes[0] == hashes[1] != hashes[2]


def test_a_sweep_is_a_parent_with_named_children_that_train_as_if_alone(tiny_run):
    parent = lora_rank.run(lora_rank.Config(**TINY, r=(1, 4, 8)))
    runs = lab.runs("lora_rank")
    children = runs[runs["parent_run_id"] == parent]
    assert sorted(children["name"]) == [f"lora_rank r={r} lr=5e-3 seed=0" for r in (1, 4, 8)]
    assert set(children["ended"]) == {"finished"}
    row = runs.set_index("run_id").loc[parent]
    assert row["verdict.parameters_linear"] == "supported"
    assert {"verdict.loss_falls_with_rank", "verdict.saturates", "verdict.bits_grow_with_rank"} <= set(row.dropna().index)
    assert len(lab.table(parent, "ranks")) == 3
    eight = children.set_index("config.r").loc[[(8,)]]["run_id"].iloc[0]
    alone, warm = (lab.fetch(r).manifest["files"]["adapter_model.safetensors"] for r in (tiny_run[0], eight))
    assert alone == warm


def test_a_rate_that_is_far_too_high_is_a_finding_and_the_run_finishes(tiny_run):
    parent = learning_rate.run(learning_rate.Config(**{**TINY, "lr": (5e-3, 1e3, 1e6)}))
    runs = lab.runs("learning_rate").set_index("run_id")
    assert runs.loc[parent, "ended"] == "finished"
    assert runs.loc[parent, "verdict.highest_diverges"] == "supported"


def test_full_fine_tuning_keeps_a_model_and_leaves_the_base_as_it_was(tiny_run):
    run_id = finetune.run(finetune.Config(**{**TINY, "lr": 1e-3}, method="full"))
    opened = lab.open_run(run_id)
    assert opened.capsule.kind == "model" and not hasattr(opened.model, "peft_config")
    again = finetune.run(finetune.Config(**TINY))
    first, second = (lab.fetch(r).manifest for r in (tiny_run[0], again))
    assert first["files"]["adapter_model.safetensors"] == second["files"]["adapter_model.safetensors"]


@pytest.mark.parametrize("changes, error, words", [
    ({"r": 0}, OptionError, "r=0"), ({"lr": -1.0}, OptionError, "lr=-1"),
    ({"dataset": "missing.jsonl"}, DataError, "missing.jsonl"), ({"model": "./no/such"}, ModelNotFound, "no/such"),
    ({"targets": "q_prj"}, OptionError, "q_proj"), ({"dataset": "embedded:fact"}, DataError, "facts"),
    ({"backend": "unsloth"}, Exception, "GPU|unsloth"), ({"max_length": 100_000}, OptionError, "max_length"),
    ({"method": "full", "quantization": "nf4"}, OptionError, "quantization"), ({"register": "a"}, OptionError, "register")])
def test_wrong_input_is_an_error_before_any_training(tiny_run, changes, error, words):
    with pytest.raises(error, match=words):
        finetune.run(finetune.Config(**{**TINY, **changes}))


def test_ask_shows_base_adapters_and_whole_models_side_by_side(tiny_run):
    whole = finetune.run(finetune.Config(**{**TINY, "lr": 1e-3}, method="full"))
    asked = ask.run(ask.Config(run_ids=(tiny_run[0], whole), max_new_tokens=8))
    rows = lab.table(asked, "answers")
    assert len(rows) == 10
    assert set(rows[0]) == {"prompt", "expected", "base", f"run {tiny_run[0][:8]}", f"run {whole[:8]}"}
    samples = lab.table(tiny_run[0], "samples")
    assert [row["base"] for row in rows] == [sample["base"] for sample in samples[:10]]
    assert [row[f"run {tiny_run[0][:8]}"] for row in rows] == [sample["best"] for sample in samples[:10]]
    only_whole = ask.run(ask.Config(run_ids=(whole,), prompt="What is 2+2?"))
    assert lab.table(only_whole, "answers")[0]["prompt"] == "What is 2+2?"
