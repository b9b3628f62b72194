"""From a run id to the model it kept: the very numbers of the end of training, or an error that says what is wrong."""

import json
import shutil
from dataclasses import dataclass

import pytest
import torch

from lab.errors import BaseMismatch, CapsuleChanged, ModelNotFound, ModelUnsupported, NoAdapter
from lab.models.adapters import attach, detach, facts_of, save_adapter, save_model
from lab.models.fingerprint import fingerprint_of_state_dict
from lab.models.loading import load_base
from lab.models.references import resolve
from lab.models.tuned import open_base, open_run, open_several
from lab.tracking import capsule
from lab.tracking.run import open_run as new_run

NF4_TOLERANCE = 1e-5  # of a logit; on one machine it is 0, between kinds of CPU sums of float32 round differently


@dataclass(frozen=True)
class Config:
    """A study without options."""


@pytest.fixture
def train_run(tmp_path, ids, train, logits):
    """A function that trains on a base, keeps the result under a run, and returns the run id and the last logits."""
    count = iter(range(99))

    def do(base, *, seed=0, whole=False, which="best"):
        folder = tmp_path / f"kept{next(count)}"
        model = base.model.requires_grad_(True) if whole else attach(base, r=4, alpha=8, seed=seed)
        train(model, ids, lr=0.05 if whole else 0.1)
        expected = logits(model, ids)
        kind, save = ("model", save_model) if whole else ("adapter", save_adapter)
        save(model, folder, base)
        capsule.seal(folder, kind, facts_of(base, model=model, step=3, eval_loss=1.0))
        with new_run("test", Config(), name=f"test {folder.name}") as run:
            capsule.keep(run, folder, kind, which)
        if not whole:
            detach(model)
        return run.id, expected

    return do


@pytest.fixture
def base(folder):
    return load_base(str(folder), device="cpu")


def test_an_adapter_by_run_id_gives_the_logits_of_the_end_of_training(base, train_run, ids, logits, tmp_path,
                                                                      monkeypatch):
    from peft import PeftModel

    run_id, expected = train_run(base)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    for reference in (run_id, run_id[:8], f"runs:/{run_id}/adapter"):
        tuned = open_run(reference, device="cpu")
        assert isinstance(tuned.model, PeftModel) and logits(tuned.model, ids).equal(expected)
    assert tuned.capsule.run_id == run_id and tuned.base.fingerprint == base.fingerprint
    assert tuned.tokenizer.chat_template == base.tokenizer.chat_template
    assert not any(p.requires_grad for n, p in tuned.model.named_parameters() if "lora_" in n)


def test_so_does_an_adapter_on_nf4(make_model, train_run, ids, logits):
    folder = make_model(hidden_size=64, intermediate_size=128, head_dim=16)
    base = load_base(str(folder), device="cpu", quantization="nf4")
    run_id, expected = train_run(base)
    tuned = open_run(run_id, device="cpu")
    assert tuned.base.quantization == "nf4"
    assert (logits(tuned.model, ids) - expected).abs().max() <= NF4_TOLERANCE
    with pytest.raises(BaseMismatch, match=f"run {run_id}: .*quantization=nf4; the loaded base has quantization=none"):
        open_run(run_id, base=load_base(str(folder), device="cpu"))
    with pytest.raises(ModelUnsupported, match="merge=True writes into the base's weights.*not quantised"):
        open_run(run_id, device="cpu", merge=True)


def test_so_does_a_whole_model(base, train_run, ids, logits):
    run_id, expected = train_run(base, whole=True)
    tuned = open_run(run_id, device="cpu")
    assert logits(tuned.model, ids).equal(expected)
    assert tuned.base.reference.resolved == f"run:{run_id}" and tuned.base.fingerprint != base.fingerprint
    assert load_base(f"run:{run_id}", device="cpu").fingerprint == tuned.base.fingerprint
    with pytest.raises(ModelUnsupported, match="kept a whole model, which needs no base; leave base out"):
        open_run(run_id, base=base)


def test_a_base_in_memory_serves_again_and_again(base, train_run, ids, logits):
    runs = [train_run(base, seed=seed) for seed in (0, 1)]
    before = fingerprint_of_state_dict(base.model.state_dict())
    for run_id, expected in runs:
        tuned = open_run(run_id, base=base)
        assert logits(tuned.model, ids).equal(expected)
        with pytest.raises(ModelUnsupported, match="still carries an adapter"):
            open_run(run_id, base=base)
        detach(tuned.model)
    assert fingerprint_of_state_dict(base.model.state_dict()) == before


def test_other_weights_of_the_same_shape(base, train_run, make_model):
    run_id, _ = train_run(base)
    other = make_model(seed=1)
    found = load_base(str(other), device="cpu").fingerprint
    with pytest.raises(BaseMismatch) as error:
        open_run(run_id, device="cpu", base=str(other))
    for words in (f"run {run_id}", f"fingerprint {base.fingerprint}", found, "Give the base", "model="):
        assert words in str(error.value)
    with pytest.raises(BaseMismatch, match=found):
        open_run(run_id, base=load_base(str(other), device="cpu"))


def test_a_base_whose_weights_were_changed_where_they_lie(folder, train_run, tmp_path):
    moved = shutil.copytree(folder, tmp_path / "base")
    run_id, _ = train_run(load_base(str(moved), device="cpu"))
    content = bytearray((moved / "model.safetensors").read_bytes())
    content[-1] ^= 1
    (moved / "model.safetensors").write_bytes(content)
    with pytest.raises(BaseMismatch, match=f"run {run_id}"):
        open_run(run_id, device="cpu")
    shutil.rmtree(moved)
    with pytest.raises(ModelNotFound, match=f"run {run_id}: the base it was trained on is not to be found.*say where"):
        open_run(run_id, device="cpu")
    assert open_run(run_id, device="cpu", base=str(folder)).base.reference.path_or_id == str(folder.resolve())


def test_a_flipped_byte_and_a_run_without_adapter(base, train_run):
    run_id, _ = train_run(base)
    file = open_run(run_id, device="cpu").capsule.folder / "adapter_model.safetensors"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    with pytest.raises(CapsuleChanged, match="adapter_model.safetensors: expected sha256:.*found sha256:"):
        open_run(run_id, device="cpu")
    with new_run("test", Config(), name="nothing") as run:
        pass
    with pytest.raises(NoAdapter, match=f"run {run.id}"):
        open_run(run.id, device="cpu")


def test_it_computes_as_it_was_trained(folder, train_run, ids, logits):
    run_id, expected = train_run(load_base(str(folder), device="cpu", dtype="bfloat16"))
    tuned = open_run(run_id, device="cpu")
    assert tuned.base.placement.dtype == "bfloat16" and logits(tuned.model, ids).equal(expected)
    assert open_run(run_id, device="cpu", dtype="float32").base.placement.dtype == "float32"


def test_several_adapters_on_one_base(base, train_run, ids, logits):
    runs = dict(train_run(base, seed=seed) for seed in (0, 1))
    plain = logits(base.model, ids)
    opened = open_several(list(runs), device="cpu")
    assert set(opened.capsules) == set(runs)
    for run_id, expected in runs.items():
        opened.model.set_adapter(run_id)
        assert logits(opened.model, ids).equal(expected)
    with opened.model.disable_adapter():
        assert logits(opened.model, ids).equal(plain)
    first, second = runs
    with torch.no_grad():
        mixed = opened.model(input_ids=ids, adapter_names=["__base__", second]).logits
    assert torch.allclose(mixed[0], plain[0], atol=1e-5) and torch.allclose(mixed[1], runs[second][1], atol=1e-5)
    assert set(open_several([first, first], device="cpu").capsules) == {first}


def test_several_that_do_not_go_together(base, train_run, make_model):
    first, _ = train_run(base)
    other, _ = train_run(load_base(str(make_model(seed=1)), device="cpu"))
    with pytest.raises(BaseMismatch, match=f"runs {first} and {other} were trained on different bases"):
        open_several([first, other], device="cpu")
    whole, _ = train_run(base, whole=True)
    with pytest.raises(ModelUnsupported, match=f"run {whole} kept a whole model, which cannot share a base"):
        open_several([first, whole], device="cpu")


def test_several_with_different_templates(base, train_run):
    first, _ = train_run(base)
    base.tokenizer.chat_template = "{{ messages }}"
    changed = load_base(base.reference, device="cpu")
    changed.tokenizer.chat_template = "{{ messages }}"
    from dataclasses import replace

    from lab.models.tokenizers import tokenizer_sha256

    second, _ = train_run(replace(changed, tokenizer_sha256=tokenizer_sha256(changed.tokenizer)))
    with pytest.raises(ModelUnsupported, match="have different tokenizers or chat templates; open them one by one"):
        open_several([first, second], device="cpu")


def test_the_bare_base_of_a_run(base, train_run, ids, logits):
    run_id, _ = train_run(base)
    bare = open_base(capsule.fetch(run_id), device="cpu")
    assert bare.fingerprint == base.fingerprint and logits(bare.model, ids).equal(logits(base.model, ids))


def test_merged_in_memory(base, train_run, ids, logits):
    run_id, expected = train_run(base)
    tuned = open_run(run_id, device="cpu", merge=True)
    assert not hasattr(tuned.model, "peft_config")
    assert torch.allclose(logits(tuned.model, ids), expected, atol=1e-5)
    with pytest.raises(ModelUnsupported, match="merge=True writes into the base's weights, which must be its own"):
        open_run(run_id, base=base, merge=True)


def test_a_run_as_the_base_of_another(base, train_run, ids, logits, folder):
    inner, _ = train_run(base)
    merged = load_base(f"run:{inner}", device="cpu")
    assert merged.reference.adapter_run == inner and merged.fingerprint != base.fingerprint
    outer, expected = train_run(merged, seed=3)
    tuned = open_run(outer, device="cpu")
    assert logits(tuned.model, ids).equal(expected)
    facts = tuned.capsule.manifest
    assert facts["base_reference"]["resolved"] == f"run:{inner}"
    assert facts["base_merged_from"] == {
        "run": inner, "base_reference": {"given": str(folder), "resolved": str(folder.resolve())},
        "base_fingerprint": base.fingerprint}
    written = json.loads((tuned.capsule.folder / "adapter_config.json").read_text())
    assert written["base_model_name_or_path"] == f"run:{inner}"


def test_a_registered_model_is_recorded_by_its_run(base, train_run, tmp_path):
    run_id, _ = train_run(base)
    with new_run("test", Config(), name="registered") as run:
        folder = shutil.copytree(capsule.fetch(run_id).folder, tmp_path / "again")
        capsule.keep(run, folder, "adapter", "best", register="tiny@best")
    found = resolve("models:/tiny@best")
    assert (found.kind, found.adapter_run, found.resolved) == ("registered", run.id, f"run:{run.id}")


def test_the_last_adapter(base, train_run, ids, logits, tmp_path):
    run_id, expected = train_run(base, which="last")
    tuned = open_run(f"{run_id}@last", device="cpu")
    assert tuned.capsule.which == "last" and logits(tuned.model, ids).equal(expected)
    assert resolve(f"run:{run_id}@last").resolved == f"run:{run_id}@last"
    assert set(open_several([f"{run_id}@last"], device="cpu").capsules) == {f"{run_id}_last"}
