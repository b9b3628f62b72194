"""The Unsloth backend, and the only file that imports Unsloth.

Unsloth rewrites Transformers, PEFT and TRL when it is imported; its trainer patches stay on. It must therefore be
imported before them, and a process that has imported it cannot go back to the plain backend.
"""

import importlib.util
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lab.devices import Placement
from lab.errors import DependencyMissing, DeviceUnavailable, ModelUnsupported
from lab.models.fingerprint import cache_folder

_COME_LATER = ("transformers", "peft", "trl")
_REPLACED = ("forward", "_unsloth_forward", "apply_qkv", "apply_o")  # what its adapters put on modules
_INSTALL = "pip install -e '.[gpu]' in this project's folder"


def prepare() -> None:
    """Imports Unsloth, once; before anything that it patches.

    Raises:
        DeviceUnavailable: There is no CUDA GPU.
        DependencyMissing: Unsloth is not installed.
        ModelUnsupported: Transformers, PEFT or TRL were imported first, or Unsloth's trainer patches are turned off.
    """
    if "unsloth" in sys.modules:
        return
    import torch

    if not torch.cuda.is_available():
        raise DeviceUnavailable("backend=unsloth needs an NVIDIA GPU that PyTorch can use, and finds none; type "
                                f"backend=transformers, or on a machine with a GPU: {_INSTALL}")
    if importlib.util.find_spec("unsloth") is None:
        raise DependencyMissing(f"backend=unsloth needs Unsloth, which is not installed; type: {_INSTALL}")
    early = [name for name in _COME_LATER if name in sys.modules]
    if early:
        raise ModelUnsupported(f"backend=unsloth must be loaded before {', '.join(early)}, which this process has "
                               "loaded already; start it as its own process: mlflow run … -P backend=unsloth")
    if os.environ.get("UNSLOTH_DISABLE_TRAINER_PATCHING"):
        raise ModelUnsupported("UNSLOTH_DISABLE_TRAINER_PATCHING is set, and training would run half patched; "
                               "type: unset UNSLOTH_DISABLE_TRAINER_PATCHING")
    os.environ.setdefault("UNSLOTH_DISABLE_STATISTICS", "1")  # it would download a file from the Hub to be counted
    # its generated sources would else be a folder in whatever directory the user is in
    os.environ.setdefault("UNSLOTH_COMPILE_LOCATION", str(cache_folder() / "unsloth_compiled_cache"))
    try:
        import unsloth  # noqa: F401
    except ImportError as error:
        raise DependencyMissing(f"backend=unsloth: Unsloth cannot be imported ({error}); type: {_INSTALL}") from error
    except NotImplementedError as error:
        raise DeviceUnavailable(f"backend=unsloth: {error}; type backend=transformers") from error


def load(folder: Path, config: Any, placement: Placement, quantization: str, trust_remote_code: bool) -> Any:
    """The model in `folder` with Unsloth's kernels; the tokenizer that Unsloth repairs is left aside.

    Args:
        folder: A model folder on this machine.
        config: Its configuration.
        placement: A CUDA GPU.
        quantization: `none` or `nf4`.
        trust_remote_code: Whether Python code that comes with the model may run.

    Raises:
        ModelUnsupported: Unsloth cannot load it.
    """
    from unsloth import FastLanguageModel

    text = config.get_text_config(decoder=True)
    try:
        model, _ = FastLanguageModel.from_pretrained(
            model_name=str(folder), dtype=placement.torch_dtype, load_in_4bit=quantization == "nf4",
            # inputs beyond it are cut without an error, and above the model's own positions RoPE is rescaled
            max_seq_length=text.max_position_embeddings,
            use_exact_model_name=True,  # else a known name is swapped for Unsloth's own quantised copy: another base
            fix_tokenizer=False, offload_embedding=False, local_files_only=True,
            device_map={"": _index(placement.device)}, trust_remote_code=trust_remote_code)
    except (RuntimeError, ValueError, NotImplementedError) as error:
        raise ModelUnsupported(f"backend=unsloth cannot load {folder}: {error}; type backend=transformers") from error
    return model


def attach(model: Any, *, r: int, alpha: float, targets: list[str], dropout: float, seed: int,
           gradient_checkpointing: bool) -> Any:
    """The model with a fresh LoRA adapter and Unsloth's fused kernels; `lab_restore()` takes the kernels off again.

    Args:
        model: From `load`.
        r: Rank.
        alpha: The update is scaled by alpha / r.
        targets: Module names.
        dropout: Probability on the adapter's input; above 0 some kernels stay off.
        seed: Of the adapter's first weights.
        gradient_checkpointing: Unsloth's own kind, which keeps activations in main memory.
    """
    from unsloth import FastLanguageModel

    restore = _remember(model)
    tuned = FastLanguageModel.get_peft_model(
        model, r=r, lora_alpha=alpha, target_modules=targets, lora_dropout=dropout, bias="none", random_state=seed,
        use_gradient_checkpointing="unsloth" if gradient_checkpointing else False,
        max_seq_length=model.max_seq_length)
    tuned.lab_restore = restore
    return tuned


def put_on(model: Any, folder: Path) -> Any:
    """The model with the adapter of a PEFT folder on it, through `attach`, so that Unsloth's kernels see it.

    Args:
        model: From `load`.
        folder: A PEFT folder.

    Raises:
        ModelUnsupported: The adapter is more than plain LoRA, or its tensors do not fit.
    """
    from peft.utils import set_peft_model_state_dict
    from safetensors.torch import load_file

    config = json.loads((folder / "adapter_config.json").read_text())
    extra = [key for key in ("use_dora", "use_rslora", "modules_to_save", "rank_pattern", "alpha_pattern",
                             "layers_to_transform", "target_parameters", "lora_bias") if config.get(key)]
    if extra or isinstance(config["target_modules"], str):
        raise ModelUnsupported(f"the adapter in {folder} uses {', '.join(extra) or 'a pattern of targets'}, which "
                               "backend=unsloth does not load; type backend=transformers")
    tuned = attach(model, r=config["r"], alpha=config["lora_alpha"], targets=sorted(config["target_modules"]),
                   dropout=0.0, seed=0, gradient_checkpointing=False)
    report: Any = set_peft_model_state_dict(tuned, load_file(folder / "adapter_model.safetensors"))
    lacking = [key for key in report.missing_keys if "lora_" in key]
    if lacking or report.unexpected_keys:
        raise ModelUnsupported(f"the adapter in {folder} does not fit this model: "
                               f"{(lacking + list(report.unexpected_keys))[0]}")
    return tuned.requires_grad_(False).eval()


def _index(device: str) -> int:
    import torch

    number = device.partition(":")[2]
    return int(number) if number else torch.cuda.current_device()


def _remember(model: Any) -> Callable[[], None]:
    """Notes which of the replaced attributes modules have themselves, and returns what puts them back."""
    before = {module: {name: vars(module)[name] for name in _REPLACED if name in vars(module)}
              for module in model.modules()}

    def restore() -> None:
        for module, own in before.items():
            for name in _REPLACED:
                vars(module).pop(name, None)
            vars(module).update(own)

    return restore
