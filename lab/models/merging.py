"""A LoRA run as a model of its own: its base with the adapter merged into the weights, made once and kept.

The sum is formed in float64 and rounded to the number format the base is stored in, so that it comes out the same on
every machine and the merged weights can have a fingerprint. An adapter trained on a quantised base is added to the
weights as stored, not as quantised.
"""

import hashlib
import os
import shutil
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lab.errors import ModelUnsupported
from lab.models.fingerprint import cache_folder
from lab.models.references import folder_of, resolve

if TYPE_CHECKING:
    from lab.tracking.capsule import Capsule


def merged_folder(capsule: "Capsule") -> Path:
    """The model folder with the adapter of `capsule` merged into its base, from the lab's cache if it was made before.

    Args:
        capsule: A verified capsule of kind `adapter`.

    Raises:
        ModelUnsupported: The base is stored quantised, or the adapter changes tied embeddings.
        BaseMismatch: The base is not the one the adapter was trained on.
    """
    content = (capsule.folder / "capsule.json").read_bytes()
    folder = cache_folder() / "merged" / hashlib.sha256(content).hexdigest()[:32]
    if not folder.is_dir():
        partial = folder.with_name(f"{folder.name}.{os.getpid()}")
        _merge(capsule, partial)
        if folder.is_dir():  # another process was faster, with the same result
            shutil.rmtree(partial)
        else:
            partial.rename(folder)
    return folder


def merge_exactly(model: Any) -> Any:
    """The base model under a PEFT model with the active adapter added to its weights, each sum formed in float64.

    Args:
        model: A PEFT model; useless afterwards.

    Raises:
        ModelUnsupported: The adapter changes embeddings that input and output share.
    """
    import torch
    from peft.tuners.tuners_utils import BaseTunerLayer

    plain = model.get_base_model()
    tied = plain.config.get_text_config(decoder=True).tie_word_embeddings
    shared = [module for module in (plain.get_input_embeddings(), plain.get_output_embeddings()) if tied]
    for module in model.modules():
        if not isinstance(module, BaseTunerLayer):
            continue
        if module in shared:
            raise ModelUnsupported("the adapter changes embeddings that this model shares between input and output; "
                                   "merged, both would change. Use it unmerged, by run id")
        layer: Any = module
        stored = layer.get_base_layer().weight.dtype
        layer.to(torch.float64)
        layer.merge(safe_merge=True)
        layer.to(stored)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="All adapters are already merged")
        return model.merge_and_unload()


def _merge(capsule: "Capsule", folder: Path) -> None:
    from transformers.models.auto.modeling_auto import AutoModelForCausalLM

    from lab.models.adapters import put_on
    from lab.models.fingerprint import fingerprint
    from lab.models.loading import read_config
    from lab.models.tokenizers import load_tokenizer
    from lab.models.tuned import check_fingerprint

    facts = capsule.manifest
    if facts["base_prequantized"]:
        raise ModelUnsupported(f"run {capsule.run_id}: its base {facts['base_reference']['resolved']} is stored "
                               "quantised, so the adapter cannot be merged into it; use the run by run_id instead")
    base = folder_of(resolve(facts["base_reference"]["resolved"]))
    check_fingerprint(capsule, str(base), fingerprint(base))
    model = AutoModelForCausalLM.from_pretrained(base, config=read_config(base), dtype="auto", local_files_only=True)
    merged = merge_exactly(put_on(model, capsule.folder, "default"))
    folder.mkdir(parents=True, exist_ok=True)
    merged.save_pretrained(folder)
    load_tokenizer(capsule.folder, merged.get_input_embeddings().weight.shape[0]).save_pretrained(folder)
