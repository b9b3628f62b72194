"""Backends: what each needs, in which order, and that only one file ever touches Unsloth."""

import ast
import os
import subprocess
import sys
import types
from pathlib import Path

import pytest
import torch

from lab.devices import Placement
from lab.errors import DependencyMissing, DeviceUnavailable, ModelUnsupported
from lab.models import backends
from lab.models.backends import unsloth as module

ROOT = Path(__file__).parents[2]
GPU = Placement("cuda", "bfloat16", "Some GPU", "")


@pytest.fixture
def gpu(monkeypatch):
    """Pretends a GPU, and an Unsloth that can be found."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    monkeypatch.setattr(module.importlib.util, "find_spec", lambda name: object())
    for name in ("UNSLOTH_DISABLE_TRAINER_PATCHING", "UNSLOTH_DISABLE_STATISTICS", "UNSLOTH_COMPILE_LOCATION"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def alone(monkeypatch):
    """Pretends that nothing that Unsloth patches was imported yet."""
    for name in module._COME_LATER:
        monkeypatch.delitem(sys.modules, name, raising=False)


def pretend_unsloth(monkeypatch, **attributes):
    fake = types.ModuleType("unsloth")
    vars(fake).update(attributes)
    monkeypatch.setitem(sys.modules, "unsloth", fake)


def test_the_plain_backend_needs_nothing():
    backends.prepare("transformers")
    backends.check_placement("transformers", Placement("cpu", "float32", "", ""))


def test_an_unknown_one():
    with pytest.raises(ModelUnsupported, match="backend=jax is none of transformers, unsloth"):
        backends.prepare("jax")


def test_unsloth_without_a_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(DeviceUnavailable, match=r"needs an NVIDIA GPU.*backend=transformers.*pip install -e '.\[gpu\]"):
        backends.prepare("unsloth")
    with pytest.raises(DeviceUnavailable, match="runs on CUDA GPUs only, not on cpu; type backend=transformers"):
        backends.check_placement("unsloth", Placement("cpu", "float32", "", ""))


def test_unsloth_that_is_not_installed(gpu, monkeypatch):
    monkeypatch.setattr(module.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(DependencyMissing, match=r"which is not installed; type: pip install -e '.\[gpu\]'"):
        backends.prepare("unsloth")


def test_unsloth_after_what_it_patches(gpu, monkeypatch):
    monkeypatch.setitem(sys.modules, "peft", types.ModuleType("peft"))
    with pytest.raises(ModelUnsupported, match="must be loaded before .*peft.*start it as its own process"):
        backends.prepare("unsloth")


def test_the_plain_backend_after_unsloth(monkeypatch):
    pretend_unsloth(monkeypatch)
    with pytest.raises(ModelUnsupported, match="this process has loaded Unsloth.*start it as its own process"):
        backends.prepare("transformers")
    backends.prepare("unsloth")


def test_trainer_patches_turned_off(gpu, alone, monkeypatch):
    monkeypatch.setenv("UNSLOTH_DISABLE_TRAINER_PATCHING", "1")
    with pytest.raises(ModelUnsupported, match="type: unset UNSLOTH_DISABLE_TRAINER_PATCHING"):
        backends.prepare("unsloth")


@pytest.mark.parametrize(("raised", "expected", "words"), [
    (ImportError("no triton"), DependencyMissing, r"Unsloth cannot be imported \(no triton\); type: pip install"),
    (NotImplementedError("no GPU"), DeviceUnavailable, "backend=unsloth: no GPU; type backend=transformers"),
])
def test_an_import_that_fails(gpu, alone, monkeypatch, raised, expected, words):
    class Finder:
        @staticmethod
        def find_spec(name, path=None, target=None):
            if name == "unsloth":
                raise raised

    monkeypatch.setattr(sys, "meta_path", [Finder, *sys.meta_path])
    with pytest.raises(expected, match=words):
        backends.prepare("unsloth")


def test_before_its_import_it_is_told_to_stay_home(gpu, alone, monkeypatch, tmp_path):
    """No counter is downloaded, no folder appears in the working directory, no patch is turned off."""
    (tmp_path / "unsloth.py").write_text("import os\nseen = dict(os.environ)\n")
    monkeypatch.syspath_prepend(tmp_path)
    backends.prepare("unsloth")
    seen = sys.modules.pop("unsloth").seen
    assert seen["UNSLOTH_DISABLE_STATISTICS"] == "1"
    assert seen["UNSLOTH_COMPILE_LOCATION"] == str(Path(os.environ["LAB_CACHE"]) / "unsloth_compiled_cache")
    assert "UNSLOTH_DISABLE_TRAINER_PATCHING" not in seen


class _FastLanguageModel:
    """Records what it is asked for; its adapters are PEFT's, with a method of its own put on the modules."""

    asked: dict = {}

    @classmethod
    def from_pretrained(cls, **options):
        cls.asked = options
        from transformers import AutoModelForCausalLM

        if options["dtype"] is torch.float16:
            raise RuntimeError("Unsloth: no")
        model = AutoModelForCausalLM.from_pretrained(options["model_name"], dtype=torch.float32)
        model.max_seq_length = options["max_seq_length"]
        return model, "a repaired tokenizer"

    @classmethod
    def get_peft_model(cls, model, **options):
        cls.asked = options
        from peft import LoraConfig, get_peft_model

        torch.manual_seed(options["random_state"])
        tuned = get_peft_model(model, LoraConfig(r=options["r"], lora_alpha=options["lora_alpha"],
                                                 target_modules=options["target_modules"], task_type="CAUSAL_LM"))
        for part in model.modules():
            if type(part).__name__.endswith("MLP"):
                part.forward = lambda x: x
            if type(part).__name__.endswith("Attention"):
                part.apply_qkv = "fused"
        return tuned


@pytest.fixture
def fake(monkeypatch):
    pretend_unsloth(monkeypatch, FastLanguageModel=_FastLanguageModel)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    return _FastLanguageModel


@pytest.fixture
def loaded(fake, folder):
    from lab.models.loading import read_config

    return module.load(folder, read_config(folder), GPU, "nf4", False)


def test_what_unsloth_is_asked_to_load(fake, loaded, folder):
    asked = fake.asked
    assert (asked["model_name"], asked["dtype"], asked["load_in_4bit"]) == (str(folder), torch.bfloat16, True)
    assert asked["max_seq_length"] == 64, "more would rescale RoPE, less would cut inputs"
    assert asked["use_exact_model_name"] is asked["local_files_only"] is True
    assert asked["fix_tokenizer"] is asked["offload_embedding"] is asked["trust_remote_code"] is False
    assert asked["device_map"] == {"": 0}


def test_the_device_number_is_kept(fake, folder):
    from lab.models.loading import read_config

    module.load(folder, read_config(folder), Placement("cuda:1", "bfloat16", "", ""), "none", False)
    assert fake.asked["device_map"] == {"": 1} and fake.asked["load_in_4bit"] is False
    with pytest.raises(ModelUnsupported, match="backend=unsloth cannot load .*Unsloth: no; type backend=transformers"):
        module.load(folder, read_config(folder), Placement("cuda", "float16", "", ""), "none", False)


def test_its_methods_leave_the_base_with_the_adapter(fake, loaded, ids, logits):
    from lab.models.adapters import detach

    before = logits(loaded, ids)
    tuned = module.attach(loaded, r=2, alpha=4, targets=["q_proj"], dropout=0.0, seed=5, gradient_checkpointing=True)
    asked = fake.asked
    assert (asked["r"], asked["lora_alpha"], asked["target_modules"], asked["random_state"]) == (2, 4, ["q_proj"], 5)
    assert (asked["use_gradient_checkpointing"], asked["max_seq_length"]) == ("unsloth", 64)
    assert not logits(tuned, ids).equal(before)
    plain = detach(tuned)
    assert logits(plain, ids).equal(before)
    assert not any("apply_qkv" in vars(part) for part in plain.modules())


def test_an_adapter_of_the_other_backend(fake, loaded, folder, ids, train, tmp_path):
    from peft.utils import get_peft_model_state_dict

    from lab.models.adapters import attach, save_adapter
    from lab.models.loading import load_base

    sys.modules.pop("unsloth")
    base = load_base(str(folder), device="cpu")
    trained = attach(base, r=2, alpha=4, targets="q_proj,v_proj")
    train(trained, ids)
    save_adapter(trained, tmp_path, base)
    sys.modules["unsloth"] = types.ModuleType("unsloth")
    vars(sys.modules["unsloth"])["FastLanguageModel"] = fake
    opened = module.put_on(loaded, tmp_path)
    expected, found = (get_peft_model_state_dict(model) for model in (trained, opened))
    assert expected.keys() == found.keys() and all(expected[name].equal(found[name]) for name in expected)
    assert not opened.training and not any(p.requires_grad for p in opened.parameters())


@pytest.mark.parametrize(("changes", "words"), [
    ({"use_dora": True}, "uses use_dora, which backend=unsloth does not load; type backend=transformers"),
    ({"target_modules": ".*q_proj"}, "uses a pattern of targets"),
])
def test_adapters_that_are_more_than_plain(loaded, tmp_path, changes, words):
    import json

    config = {"r": 2, "lora_alpha": 4, "target_modules": ["q_proj"], **changes}
    (tmp_path / "adapter_config.json").write_text(json.dumps(config))
    with pytest.raises(ModelUnsupported, match=words):
        module.put_on(loaded, tmp_path)


def test_tensors_that_do_not_fit(loaded, tmp_path):
    import json

    from safetensors.torch import save_file

    (tmp_path / "adapter_config.json").write_text(json.dumps({"r": 2, "lora_alpha": 4, "target_modules": ["q_proj"]}))
    save_file({"base_model.model.x.lora_A.weight": torch.ones(2, 2)}, tmp_path / "adapter_model.safetensors")
    with pytest.raises(ModelUnsupported, match="does not fit this model: .*lora_"):
        module.put_on(loaded, tmp_path)


def test_only_one_file_imports_unsloth():
    importers = set()
    for file in [*ROOT.glob("lab/**/*.py"), *ROOT.glob("entrypoints/**/*.py"), *ROOT.glob("benchmarks/**/*.py")]:
        for node in ast.walk(ast.parse(file.read_text())):
            names = ([alias.name for alias in node.names] if isinstance(node, ast.Import) else
                     [node.module or ""] if isinstance(node, ast.ImportFrom) else
                     [node.args[0].value] if isinstance(node, ast.Call) and node.args
                     and isinstance(node.args[0], ast.Constant) and isinstance(node.args[0].value, str)
                     and ast.unparse(node.func) in ("__import__", "importlib.import_module", "import_module") else [])
            if any(name.split(".")[0] in ("unsloth", "unsloth_zoo") for name in names):
                importers.add(file.relative_to(ROOT).as_posix())
    assert importers == {"lab/models/backends/unsloth.py"}


HEAVY = "torch mlflow transformers peft trl unsloth"


@pytest.mark.parametrize(("statement", "absent"), [
    ("import lab", f"{HEAVY} datasets pandas numpy"),
    ("import lab.errors, lab.options", f"{HEAVY} datasets pandas numpy"),
    ("import lab.models.backends.unsloth", HEAVY),
    ("from lab.models.backends import prepare; prepare('transformers')", HEAVY),
    ("import lab.models.fingerprint, lab.models.references, lab.models.loading", HEAVY),
    ("import lab.models.adapters, lab.models.tuned, lab.models.adopt, lab.models.merging", HEAVY),
])
def test_imports_stay_light(statement, absent):
    code = f"import sys\n{statement}\nprint(sorted(set({absent.split()!r}) & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
