"""The same network before it learned anything: what its wiring and its tokens make readable by themselves."""

import copy
from typing import Any

import torch

from lab.errors import ModelUnsupported
from lab.models import anatomy
from lab.randomness import seeded


def untrained(model: Any, *, seed: int = 0) -> Any:
    """Returns a model of the same architecture with first weights as its configuration draws them, in evaluation mode.

    Args:
        model: A causal language model, PEFT or plain; its device and number format are kept.
        seed: Of the weights.

    Raises:
        ModelUnsupported: The class cannot be made from its configuration alone, as some whose code comes with the model.
    """
    plain = anatomy.plain_model(model)
    config = copy.deepcopy(plain.config)
    vars(config).pop("quantization_config", None)
    before = torch.get_default_dtype()
    try:
        torch.set_default_dtype(plain.dtype)  # a large model is never made in float32 first
        with seeded(seed), torch.device(plain.device):
            fresh = type(plain)(config)
    except Exception as error:
        raise ModelUnsupported(f"{type(plain).__name__} cannot be made anew from its configuration ({error}); type "
                               "untrained=false") from error
    finally:
        torch.set_default_dtype(before)
    return fresh.eval()
