"""LoRA adapters: put on a base, taken off without a trace, saved as ordinary PEFT folders, loaded as they were."""

import json
from pathlib import Path
from typing import Any

from lab.errors import ModelUnsupported
from lab.models.anatomy import target_names
from lab.models.loading import Base, settle
from lab.models.tokenizers import chat_template_sha256
from lab.randomness import seeded

ADAPTER_FILE = "adapter_model.safetensors"


def attach(base: Base, *, r: int, alpha: float, targets: str = "all-linear", dropout: float = 0.0, seed: int = 0,
           gradient_checkpointing: bool = False) -> Any:
    """The base with a fresh LoRA adapter on it, which alone is trainable; the same seed gives the same bits.

    Args:
        base: Changed in place until `detach`.
        r: Rank.
        alpha: The update is scaled by alpha / r.
        targets: See `lab.models.anatomy.target_names`.
        dropout: Probability on the adapter's input.
        seed: Of the adapter's first weights.
        gradient_checkpointing: Asked of Unsloth here; the Transformers backend is told at training.

    Returns:
        A PEFT model.

    Raises:
        OptionError: A target is not there.
        ModelUnsupported: The base still carries an adapter.
    """
    check_bare(base.model)
    names = target_names(base.model, targets)
    scale = int(alpha) if float(alpha).is_integer() else alpha
    if base.backend == "unsloth":
        from lab.models.backends.unsloth import attach as attach_unsloth

        return attach_unsloth(base.model, r=r, alpha=scale, targets=names, dropout=dropout, seed=seed,
                              gradient_checkpointing=gradient_checkpointing)
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(r=r, lora_alpha=scale, target_modules=names, lora_dropout=dropout,  # type: ignore[arg-type]
                        bias="none", task_type="CAUSAL_LM")
    with seeded(seed):
        return get_peft_model(base.model, config)


def check_bare(model: Any) -> None:
    """Raises ModelUnsupported if the model carries an adapter, under which a second one would vanish."""
    if hasattr(model, "peft_config"):
        raise ModelUnsupported("the base in memory still carries an adapter; take it off first: "
                               "lab.models.adapters.detach(model)")


def detach(model: Any) -> Any:
    """The base model under a PEFT model, not one bit of it changed, in evaluation mode.

    Args:
        model: From `attach`, `open_run` or `open_several`; useless afterwards.
    """
    if hasattr(model, "lab_restore"):  # Unsloth put its own methods on the base's modules
        model.lab_restore()
    plain = model.unload()
    settle(plain)
    return plain


def save_adapter(model: Any, folder: Path, base: Base) -> None:
    """Writes the adapter and the tokenizer as an ordinary PEFT folder, the same bytes for the same weights.

    Args:
        model: From `attach`.
        folder: Made if it is not there.
        base: What it was attached to; named in the folder so that the name means the same anywhere.
    """
    model.save_pretrained(folder, save_embedding_layers=False)
    (folder / "README.md").unlink(missing_ok=True)  # PEFT's empty form of a model card
    file = folder / "adapter_config.json"
    config = json.loads(file.read_text())
    config["base_model_name_or_path"] = base.reference.portable
    config["revision"] = base.reference.revision
    config["target_modules"] = sorted(config["target_modules"])  # PEFT keeps a set, whose order changes by process
    file.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")
    base.tokenizer.save_pretrained(folder)


def save_model(model: Any, folder: Path, base: Base) -> None:
    """Writes a fully fine-tuned model and its tokenizer as an ordinary Transformers folder.

    Args:
        model: The trained model, without an adapter.
        folder: Made if it is not there.
        base: What it was trained from.
    """
    model.save_pretrained(folder)
    base.tokenizer.save_pretrained(folder)


def facts_of(base: Base, *, model: Any = None, step: int | None = None, eval_loss: float | None = None,
             dataset_sha256: str | None = None) -> dict[str, Any]:
    """What a capsule records about the base and the adapter on it.

    Args:
        base: The base.
        model: The trained model; its LoRA settings are taken if it has an adapter.
        step: Optimiser steps behind these weights.
        eval_loss: Held-out loss of these weights, nats per trained token.
        dataset_sha256: Of all rows they were trained on.
    """
    facts: dict[str, Any] = {
        "base_reference": {"given": base.reference.given, "resolved": base.reference.resolved},
        "base_fingerprint": base.fingerprint, "base_prequantized": base.prequantized,
        "config_sha256": base.config_sha256, "tokenizer_sha256": base.tokenizer_sha256,
        "chat_template_sha256": chat_template_sha256(base.tokenizer), "quantization": base.quantization,
        "backend": base.backend, "device": base.placement.kind, "dtype": base.placement.dtype,
        "attention": base.attention, "step": step, "eval_loss": eval_loss, "dataset_sha256": dataset_sha256,
    }
    if base.reference.adapter_run and base.reference.capsule:  # the base was itself merged from two parts
        inner = base.reference.capsule.manifest
        facts["base_merged_from"] = {"run": base.reference.adapter_run, "base_reference": inner["base_reference"],
                                     "base_fingerprint": inner["base_fingerprint"]}
    if hasattr(model, "peft_config"):
        facts["lora"] = lora_facts(model.peft_config[model.active_adapter].to_dict())
    return facts


def lora_facts(config: dict[str, Any]) -> dict[str, Any]:
    """Rank, alpha, targets and dropout from a PEFT configuration.

    Args:
        config: As in `adapter_config.json`.
    """
    targets = config["target_modules"]
    return {"r": config["r"], "alpha": config["lora_alpha"], "dropout": config["lora_dropout"],
            "targets": targets if isinstance(targets, str) else sorted(targets)}


def put_on(model: Any, folder: Path, name: str) -> Any:
    """The model with the adapter of a PEFT folder on it, frozen, every tensor exactly as saved (16-bit ones in 32).

    Args:
        model: A base model, or a PEFT model that gets one adapter more.
        folder: Holds `adapter_config.json` and `adapter_model.safetensors`.
        name: The adapter's name; must not be in use.

    Raises:
        ModelUnsupported: Its tensors are not those that its configuration asks for on this model.
    """
    from peft import PeftModel
    from peft.utils import get_peft_model_state_dict
    from safetensors.torch import load_file

    try:
        with seeded(0):  # PEFT fills an adapter with random numbers before it loads it
            if isinstance(model, PeftModel):
                model.load_adapter(str(folder), adapter_name=name, is_trainable=False)
            else:
                model = PeftModel.from_pretrained(model, str(folder), adapter_name=name, is_trainable=False)
    except (RuntimeError, ValueError) as error:
        raise ModelUnsupported(f"the adapter in {folder} does not fit this model: {error}") from error
    saved, loaded = load_file(folder / ADAPTER_FILE), get_peft_model_state_dict(
        model, adapter_name=name, save_embedding_layers=False)
    differing = sorted(key for key in saved.keys() | loaded.keys() if key not in saved or key not in loaded
                       or not saved[key].to(loaded[key].dtype).equal(loaded[key].cpu()))
    if differing:  # PEFT only warns of missing and ignores unknown tensors
        raise ModelUnsupported(f"the adapter in {folder} does not fit this model: {len(differing)} tensors were not "
                               f"taken as saved, {differing[0]} first")
    return model.eval()
