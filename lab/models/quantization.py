"""QLoRA's number format on the frozen base: bitsandbytes' NF4 with double quantisation (Dettmers et al. 2023)."""

import logging
from typing import Any

from lab.devices import Placement
from lab.errors import DependencyMissing, ModelUnsupported

QUANTIZATIONS = ("none", "nf4")

# on CPUs with AVX512-BF16 bitsandbytes complains, whoever imports it, of lacking a kernel that `hold_still` turns off
logging.getLogger("bitsandbytes.backends.cpu.ops").setLevel(logging.ERROR)


def stored_quantization(config: Any) -> str:
    """How a checkpoint's own weights are quantised: `none`, `nf4`, or another method's name as its config gives it.

    Args:
        config: The model's configuration.
    """
    stored = getattr(config, "quantization_config", None)
    if stored is None:
        return "none"
    stored = stored if isinstance(stored, dict) else stored.to_dict()
    if stored.get("load_in_4bit") and stored.get("bnb_4bit_quant_type") == "nf4":
        return "nf4"
    return str(stored.get("quant_method", "unknown"))


def effective_quantization(asked: str, config: Any) -> str:
    """The quantisation the loaded model will have.

    Args:
        asked: `none` or `nf4`; a checkpoint that is quantised already stays as it is stored.
        config: The model's configuration.

    Raises:
        ModelUnsupported: Another format is asked for than a quantised checkpoint has, or an unknown one.
    """
    if asked not in QUANTIZATIONS:
        raise ModelUnsupported(f"quantization={asked} is none of {', '.join(QUANTIZATIONS)}")
    stored = stored_quantization(config)
    if stored != "none" and asked not in ("none", stored):
        raise ModelUnsupported(f"quantization={asked}: the checkpoint is stored as {stored} and cannot be quantised "
                               "again; type quantization=none to use it as it is")
    return asked if stored == "none" else stored


def nf4_config(placement: Placement) -> Any:
    """The loading configuration for NF4 with double quantisation, computing in the placement's number format.

    Raises:
        DependencyMissing: bitsandbytes is not installed.
    """
    check_bitsandbytes()
    from transformers.utils.quantization_config import BitsAndBytesConfig

    return BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True,
                              bnb_4bit_compute_dtype=placement.torch_dtype)


def check_bitsandbytes() -> None:
    """Raises DependencyMissing, with what to type, if bitsandbytes cannot be imported."""
    try:
        import bitsandbytes  # noqa: F401
    except ImportError as error:
        raise DependencyMissing("quantization=nf4 needs bitsandbytes, which cannot be imported "
                                f"({error}); type: pip install bitsandbytes") from error


def hold_still(model: Any) -> None:
    """Keeps the quantised weights as they are on CPUs with AVX512-BF16.

    There bitsandbytes repacks them at the first evaluation, in place and with rounded scales, and the training steps
    after it get wrong gradients (its inference kernel has no backward pass).

    Args:
        model: Any model; only its 4-bit layers on a CPU are touched.
    """
    for module in model.modules():
        if getattr(module, "support_avx512bf16_for_cpu", False):
            module.support_avx512bf16_for_cpu = False
