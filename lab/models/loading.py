"""A base model in memory, with everything that identifies it."""

import contextlib
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab.devices import Placement, choose
from lab.errors import ModelUnsupported, OptionError
from lab.models import backends
from lab.models.fingerprint import fingerprint
from lab.models.quantization import effective_quantization, hold_still, nf4_config, stored_quantization
from lab.models.references import ModelReference, folder_of, resolve
from lab.models.safetensors_files import weight_files
from lab.models.tokenizers import load_tokenizer, tokenizer_sha256

_VOLATILE = ("_name_or_path", "transformers_version", "dtype", "torch_dtype", "use_cache")
_SMALL_MODEL = 500 * 2**20


@dataclass(frozen=True)
class Base:
    """A loaded base model.

    Attributes:
        model: A causal language model in evaluation mode.
        tokenizer: Its tokenizer, with a pad token.
        reference: Where it came from.
        fingerprint: Of its weights as stored, before any quantisation on loading.
        config_sha256: Of its configuration, but for what does not change the computation.
        tokenizer_sha256: Of what the tokenizer does.
        placement: Device and number format.
        quantization: `none`, `nf4`, or what a quantised checkpoint is stored as.
        prequantized: Whether the checkpoint itself is quantised; the fingerprint is then of the quantised weights.
        backend: `transformers` or `unsloth`.
        attention: Implementation that runs: `sdpa`, `eager`, …
    """

    model: Any
    tokenizer: Any
    reference: ModelReference
    fingerprint: str
    config_sha256: str
    tokenizer_sha256: str
    placement: Placement
    quantization: str
    prequantized: bool
    backend: str
    attention: str


def load_base(reference: str | ModelReference, *, quantization: str = "none", device: str = "auto", dtype: str = "auto",
              backend: str = "transformers", max_length: int | None = None, trust_remote_code: bool = False) -> Base:
    """The model a reference means, in memory. A run's adapter is merged into its base first.

    Args:
        reference: As `lab.models.references.resolve` takes or returns it.
        quantization: `none`, or `nf4` for the frozen base of QLoRA.
        device: See `lab.devices.choose`.
        dtype: See `lab.devices.choose`.
        backend: `transformers`, or `unsloth` on a CUDA GPU.
        max_length: Longest input that will be given, in tokens; checked against what the model can read.
        trust_remote_code: Whether Python code that comes with the model may run.

    Raises:
        OptionError: `max_length` is more than the model's positions.
        ModelNotFound: The reference leads nowhere.
        ModelUnsupported: It is no causal language model, its weights are incomplete, or it needs code of its own.
        DeviceUnavailable, DependencyMissing: The device, number format or backend is not here.
    """
    backends.prepare(backend)
    placement = choose(device, dtype)
    backends.check_placement(backend, placement)
    found = resolve(reference) if isinstance(reference, str) else reference
    folder = folder_of(found, code=trust_remote_code)
    config = read_config(folder, trust_remote_code)
    _check_length(max_length, config)
    effective = effective_quantization(quantization, config)
    on_load = "none" if stored_quantization(config) != "none" else effective
    weights = weight_files(folder)
    identity = fingerprint(weights)  # before loading: it also refuses broken files, and pickles that hold code
    with _progress(sum(file.stat().st_size for file in weights) > _SMALL_MODEL):
        if backend == "unsloth":
            from lab.models.backends.unsloth import load

            model = load(folder, config, placement, on_load, trust_remote_code)
        else:
            model = _load(folder, config, placement, on_load, trust_remote_code)
    rows = model.get_input_embeddings().weight.shape[0]
    tokenizer = load_tokenizer(folder, rows, trust_remote_code=trust_remote_code)
    if model.generation_config is not None:
        model.generation_config.pad_token_id = tokenizer.pad_token_id
    hold_still(model)
    return Base(model.eval(), tokenizer, found, identity, config_sha256(folder), tokenizer_sha256(tokenizer),
                placement, effective, on_load != effective, backend, model.config._attn_implementation)


def read_config(folder: Path, trust_remote_code: bool = False) -> Any:
    """The configuration of the model in `folder`.

    Raises:
        ModelUnsupported: It is broken, of an unknown architecture, or needs its own code.
    """
    from transformers.models.auto.configuration_auto import AutoConfig

    try:
        return AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=trust_remote_code)
    except (OSError, ValueError, KeyError) as error:
        raise ModelUnsupported(f"{folder}: its config.json describes no model that Transformers knows without running "
                               f"code of the model's own, which is off unless trust_remote_code is asked for ({error})"
                               ) from error


def config_sha256(folder: Path) -> str:
    """SHA-256 of the configuration in `folder`, without number format, versions and paths."""
    config = json.loads((folder / "config.json").read_text())
    kept = {key: value for key, value in config.items() if key not in _VOLATILE}
    return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()


def soft_capped(config: Any) -> bool:
    """Whether the model caps its attention scores (Gemma 2); SDPA drops the cap without a word."""
    return bool(getattr(config.get_text_config(decoder=True), "attn_logit_softcapping", None))


def snapshot(base: Base) -> dict[str, Any]:
    """Copies on the CPU of every tensor of the base, for `restore` after a full fine-tune."""
    return {name: tensor.detach().to("cpu", copy=True) for name, tensor in base.model.state_dict().items()}


def restore(base: Base, tensors: dict[str, Any]) -> None:
    """Puts the tensors of a `snapshot` back, bit by bit, and leaves the base in evaluation mode without gradients.

    Args:
        base: The base they were taken from.
        tensors: From `snapshot`.
    """
    import torch

    with torch.no_grad():
        for name, tensor in base.model.state_dict().items():
            tensor.copy_(tensors[name])
    settle(base.model)


def settle(model: Any) -> None:
    """Takes back what training leaves on a model besides its weights: mode, gradients, checkpointing, hooks.

    Args:
        model: A causal language model without an adapter.
    """
    if getattr(model, "is_gradient_checkpointing", False):
        model.gradient_checkpointing_disable()
    # not disable_input_require_grads(): Transformers and TRL both put this hook there, and it finds only the last
    hooks = model.get_input_embeddings()._forward_hooks
    for handle in [h for h, hook in hooks.items() if getattr(hook, "__name__", "") == "make_inputs_require_grads"]:
        del hooks[handle]
    model.zero_grad(set_to_none=True)
    for parameter in model.parameters():
        parameter.requires_grad_(parameter.is_floating_point())  # 4-bit weights are integers and take no gradient
    model.eval()


def _check_length(max_length: int | None, config: Any) -> None:
    positions = getattr(config.get_text_config(decoder=True), "max_position_embeddings", None)
    if max_length is not None and positions is not None and max_length > positions:
        raise OptionError(f"max_length={max_length}: this model reads at most {positions} tokens; "
                          f"type max_length={positions}")


def _load(folder: Path, config: Any, placement: Placement, quantization: str, trust_remote_code: bool) -> Any:
    from transformers.models.auto.modeling_auto import AutoModelForCausalLM

    options: dict[str, Any] = {"attn_implementation": "eager"} if soft_capped(config) else {}
    if quantization == "nf4":
        options["quantization_config"] = nf4_config(placement)
    if placement.kind != "cpu" or quantization == "nf4":
        options["device_map"] = {"": placement.device}  # straight to the device, never twice in memory
    try:
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            folder, config=config, dtype=placement.torch_dtype, local_files_only=True, output_loading_info=True,
            ignore_mismatched_sizes=True, trust_remote_code=trust_remote_code, **options)  # they are reported below
        model, report = loaded
    except (OSError, ValueError, KeyError) as error:
        raise ModelUnsupported(f"{folder} cannot be loaded as a causal language model: {error}") from error
    # Transformers would fill what is missing with random numbers and only log it
    lacking = sorted({*report["missing_keys"], *(key for key, *_ in report["mismatched_keys"])})
    if lacking:
        more = f" and {len(lacking) - 5} more" if len(lacking) > 5 else ""
        raise ModelUnsupported(f"{folder}: the weights lack, or have in another shape, {', '.join(lacking[:5])}{more}; "
                               "they are not those of its config.json")
    return model


@contextlib.contextmanager
def _progress(wanted: bool) -> Iterator[None]:
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    if not wanted:
        logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()
