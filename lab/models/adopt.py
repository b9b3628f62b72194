"""Models trained elsewhere, checked and copied into a form that a run can keep: safetensors and JSON, no pickles."""

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

from lab.errors import BaseMismatch, ModelNotFound, ModelUnsupported
from lab.models import hub
from lab.models.adapters import ADAPTER_FILE, lora_facts
from lab.models.fingerprint import fingerprint
from lab.models.loading import config_sha256, read_config
from lab.models.pickled import load_tensors
from lab.models.quantization import effective_quantization, stored_quantization
from lab.models.references import ModelReference, folder_of, resolve
from lab.models.safetensors_files import read_header, weight_files
from lab.models.tokenizers import chat_template_sha256, load_tokenizer, tokenizer_sha256

_PICKLED = "adapter_model.bin"
_CONFIG = "adapter_config.json"
_CHANGE_THE_BASE = ("pissa", "olora", "corda", "loftq", "lora_ga")


def adopt_adapter(source: str, into: Path, *, base: str | None = None, quantization: str = "none") -> dict[str, Any]:
    """Copies a LoRA adapter made by any PEFT program into `into` and returns the facts to seal it with.

    A pickled adapter is read as tensors only, without running anything in it, and written as safetensors.

    Args:
        source: A PEFT folder, or the Hub id of one.
        into: An empty folder.
        base: The base it was trained on; by default the one that its `adapter_config.json` names.
        quantization: Of the base in its training, which PEFT does not record: `none` or `nf4`.

    Raises:
        ModelNotFound: The adapter or its base is not there.
        ModelUnsupported: It is no LoRA adapter of a causal language model, is untrained or not finite, or holds code.
        BaseMismatch: The base lacks its target modules or has them in other shapes.
    """
    folder, resolved = _find_adapter(source)
    config = json.loads((folder / _CONFIG).read_text())
    _check_is_lora(source, config)
    found, base_folder = _find_base(source, config, base)
    tensors, converted = _read_adapter(source, folder)
    _check_trained(source, tensors)
    _check_fits(source, folder, base_folder, found, tensors)
    model_config = read_config(base_folder)
    effective = effective_quantization(quantization, model_config)
    tokenizer = load_tokenizer(folder if (folder / "tokenizer_config.json").is_file() else base_folder,
                               _vocabulary(model_config))
    _write_adapter(into, config, found, tensors)
    tokenizer.save_pretrained(into)
    facts = _facts(found, base_folder, tokenizer)
    facts["quantization"] = effective
    facts["lora"] = lora_facts(config)
    facts["adopted_from"] = {"given": source, "resolved": resolved}
    if converted:
        facts["adopted_from"]["converted"] = converted
    return facts


def adopt_model(source: str, into: Path, *, base: str) -> dict[str, Any]:
    """Copies a fully fine-tuned model into `into` and returns the facts to seal it with.

    Args:
        source: The fine-tuned model: a Hub id or a local folder.
        into: An empty folder.
        base: What it was fine-tuned from: any model reference.

    Raises:
        ModelNotFound: One of them is not there.
        ModelUnsupported: The weights are pickled, or equal those of the base.
        BaseMismatch: They have other tensors, or tensors of other shapes.
    """
    model, origin = resolve(source), resolve(base)
    folder, base_folder = folder_of(model), folder_of(origin)
    weights = weight_files(folder)
    if weights[0].suffix != ".safetensors":
        raise ModelUnsupported(f"tuned={source} keeps its weights as pickles ({weights[0].name}); save it again as "
                               "safetensors: model.save_pretrained(folder)")
    facts = _facts(origin, base_folder, load_tokenizer(folder, _vocabulary(read_config(folder))))
    facts["model_fingerprint"] = fingerprint(weights)
    if facts["model_fingerprint"] == facts["base_fingerprint"]:
        raise ModelUnsupported(f"tuned={source} is untrained: it has the very weights of {base}, "
                               f"{facts['base_fingerprint']}")
    _check_same_shapes(f"tuned={source}", base, _shapes(weights), _shapes(weight_files(base_folder)))
    keep = {*weights, *(file for file in folder.iterdir() if hub.is_small(file.name))}
    for file in sorted(keep):
        shutil.copyfile(file, into / file.name)
    facts["adopted_from"] = {"given": source, "resolved": model.resolved}
    return facts


def _find_adapter(source: str) -> tuple[Path, str]:
    folder = Path(source).expanduser()
    if folder.is_dir() or folder.is_absolute() or source.startswith((".", "~")):
        resolved = str(folder.resolve())
    else:
        repo, _, revision = source.partition("@")
        try:
            commit = hub.find_commit(repo, revision or None)
        except ModelNotFound as error:
            raise ModelNotFound(f"adapter={source}: {error}; allowed: a PEFT folder, or the Hub id of one") from error
        folder, resolved = hub.download_adapter(repo, commit), f"{repo}@{commit}"
    if not (folder / _CONFIG).is_file():
        raise ModelNotFound(f"adapter={source}: there is no {_CONFIG} in {folder.absolute()}; allowed: a PEFT folder, "
                            "or the Hub id of one")
    return folder, resolved


def _check_is_lora(source: str, config: dict[str, Any]) -> None:
    if config.get("peft_type") != "LORA":
        raise ModelUnsupported(f"adapter={source} is of type {config.get('peft_type')}; only LORA adapters are taken")
    if config.get("task_type") not in (None, "CAUSAL_LM"):
        raise ModelUnsupported(f"adapter={source} is for {config['task_type']}; only causal language models are taken")
    start = str(config.get("init_lora_weights", True))
    if start.startswith(_CHANGE_THE_BASE):
        raise ModelUnsupported(f"adapter={source} began with init_lora_weights={start}, which changes the base's weights "
                               "too; save it again as plain LoRA: model.save_pretrained(folder, "
                               "path_initial_model_for_weight_conversion=…)")


def _find_base(source: str, config: dict[str, Any], base: str | None) -> tuple[ModelReference, Path]:
    named, commit = config.get("base_model_name_or_path"), config.get("revision")
    wanted = base or (f"{named}@{commit}" if named and commit and not Path(named).is_dir() else named)
    if not wanted:
        raise ModelUnsupported(f"adapter={source} names no base; say which it was trained on: "
                               "model=<Hub id, folder or run:<id>>")
    try:
        reference = resolve(wanted)
        return reference, folder_of(reference)
    except ModelNotFound as error:
        raise ModelNotFound(f"adapter={source}: its base is not to be found. {error}. If it lies elsewhere, say where: "
                            "model=<Hub id, folder or run:<id>>") from error


def _read_adapter(source: str, folder: Path) -> tuple[dict[str, Any], dict[str, str] | None]:
    from safetensors.torch import load_file

    if (folder / ADAPTER_FILE).is_file():
        read_header(folder / ADAPTER_FILE)
        return load_file(folder / ADAPTER_FILE), None
    pickled = folder / _PICKLED
    if not pickled.is_file():
        raise ModelNotFound(f"adapter={source}: there is neither {ADAPTER_FILE} nor {_PICKLED} in {folder}")
    return load_tensors(pickled), {"file": _PICKLED, "sha256": hashlib.sha256(pickled.read_bytes()).hexdigest()}


def _check_trained(source: str, tensors: dict[str, Any]) -> None:
    for name, tensor in tensors.items():
        if not tensor.isfinite().all():
            raise ModelUnsupported(f"adapter={source}: tensor {name} holds values that are not finite; its training "
                                   "diverged")
    second = [tensor for name, tensor in tensors.items() if "lora_B" in name or "lora_embedding_B" in name]
    if not any(tensor.any() for tensor in second):
        raise ModelUnsupported(f"adapter={source} is untrained: every B is zero, so it changes nothing")


def _check_fits(source: str, folder: Path, base_folder: Path, base: ModelReference, tensors: dict[str, Any]) -> None:
    """Builds the base without weights, lets PEFT put the adapter's modules on it, and compares names and shapes."""
    import torch
    from peft import LoraConfig, get_peft_model
    from peft.utils import get_peft_model_state_dict
    from transformers.models.auto.modeling_auto import AutoModelForCausalLM

    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(read_config(base_folder))
    config = LoraConfig.from_pretrained(str(folder))
    config.base_model_name_or_path = None  # PEFT would warn of a base under another name
    try:
        adapted = get_peft_model(model, config, low_cpu_mem_usage=True)
    except ValueError as error:
        raise BaseMismatch(f"adapter={source} does not fit {base.given}: {error}") from error
    state = get_peft_model_state_dict(adapted, save_embedding_layers=False)
    whole = sorted(name for name in tensors.keys() - state.keys() if "lora_" not in name)
    if whole:
        raise ModelUnsupported(f"adapter={source} brings whole weights of its own, {whole[0]} first, as PEFT does for a "
                               "changed vocabulary; if they are the base's, save it again: "
                               "model.save_pretrained(folder, save_embedding_layers=False)")
    _check_same_shapes(f"adapter={source}", base.given, {name: tuple(t.shape) for name, t in tensors.items()},
                       {name: tuple(t.shape) for name, t in state.items()})


def _check_same_shapes(what: str, base: str, shapes: dict[str, tuple[int, ...]], expected: dict[str, tuple[int, ...]]
                       ) -> None:
    for name in sorted(shapes.keys() | expected.keys()):
        if shapes.get(name) != expected.get(name):
            has, asks = (list(s[name]) if name in s else "no such tensor" for s in (shapes, expected))
            raise BaseMismatch(f"{what} does not fit {base}: {name} is {has} in the one, and {asks} by the other; "
                               "name the base it was trained on: model=<Hub id, folder or run:<id>>")


def _shapes(files: list[Path]) -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {}
    for file in files:
        if file.suffix == ".safetensors":
            shapes.update((tensor.name, tensor.shape) for tensor in read_header(file))
        else:
            shapes.update((name, tuple(tensor.shape)) for name, tensor in load_tensors(file).items())
    return shapes


def _facts(base: ModelReference, base_folder: Path, tokenizer: Any) -> dict[str, Any]:
    config = read_config(base_folder)
    return {
        "base_reference": {"given": base.given, "resolved": base.resolved},
        "base_fingerprint": fingerprint(base_folder), "base_prequantized": stored_quantization(config) != "none",
        "config_sha256": config_sha256(base_folder), "tokenizer_sha256": tokenizer_sha256(tokenizer),
        "chat_template_sha256": chat_template_sha256(tokenizer), "quantization": stored_quantization(config),
        "training": "unknown", "step": None, "eval_loss": None, "dataset_sha256": None,
    }


def _vocabulary(config: Any) -> int:
    return config.get_text_config(decoder=True).vocab_size


def _write_adapter(into: Path, config: dict[str, Any], base: ModelReference, tensors: dict[str, Any]) -> None:
    from safetensors.torch import save_file

    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, into / ADAPTER_FILE,
              metadata={"format": "pt"})
    portable = {**config, "base_model_name_or_path": base.portable, "revision": base.revision}
    (into / _CONFIG).write_text(json.dumps(portable, indent=2, sort_keys=True) + "\n")
