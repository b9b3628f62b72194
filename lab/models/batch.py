"""A batch of prompts as a model takes it, padding and positions included."""

import inspect
from typing import Any

import torch

from lab.errors import ModelUnsupported, OptionError
from lab.models import anatomy


def inputs(model: Any, tokens: torch.Tensor, real: torch.Tensor | None = None) -> dict[str, torch.Tensor]:
    """What the model is called with: tokens, and for padded batches the mask and each row's own positions.

    Args:
        model: A causal language model, PEFT or plain.
        tokens: [B, T], token ids.
        real: [B, T], 0 or False for padding; None where there is none.

    Raises:
        OptionError: A prompt is empty, padded between its tokens or longer than the model's positions, or the model is not
            in evaluation mode.
        ModelUnsupported: Its weights lie on several devices.
    """
    if tokens.dim() != 2 or not tokens.numel():
        raise OptionError(f"a batch of shape {tuple(tokens.shape)} has no tokens [B, T]; give at least one prompt with one")
    if real is not None and (real.shape != tokens.shape or not bool(real.any(1).all())):
        raise OptionError(f"real of shape {tuple(real.shape)} for tokens of shape {tuple(tokens.shape)}: it has to say of "
                          "every token whether it is real, and each prompt needs one that is")
    if real is not None and _broken(real.bool()):
        raise OptionError("a prompt has padding between its tokens, over which no distance is right; pad at its ends only")
    plain = anatomy.plain_model(model)
    if plain.training:
        raise OptionError("the model is in training mode, in which dropout is at work; call model.eval() first")
    most = getattr(plain.config.get_text_config(decoder=True), "max_position_embeddings", None)
    if most is not None and tokens.shape[1] > most:
        raise OptionError(f"a prompt of {tokens.shape[1]} tokens: this model has positions for {most}; shorten it")
    devices = {str(weight.device) for weight in plain.parameters()}
    if len(devices) > 1:
        raise ModelUnsupported(f"the model's weights lie on {', '.join(sorted(devices))}; models are measured on "
                               "one device; load it on one, or quantised")
    given = {"input_ids": tokens.to(plain.device)}
    if real is not None and not bool(real.bool().all()):
        mask = real.to(plain.device).long()
        given["attention_mask"] = mask
        if "position_ids" in inspect.signature(plain.forward).parameters:
            # a padded row has to read the positions that it would have alone
            given["position_ids"] = (mask.cumsum(1) - 1).clamp(min=0)
    return given


def _broken(real: torch.Tensor) -> bool:
    """Whether the real tokens of a row [B, T] are more than one stretch."""
    begins = real & ~torch.nn.functional.pad(real, (1, 0))[:, :-1]
    return bool((begins.sum(1) > 1).any())


def forward(model: Any, given: dict[str, torch.Tensor], *, keep_logits: bool) -> torch.Tensor:
    """Runs the model and returns its logits: [B, T, V], or only the last position's where the model can leave out the rest.

    Args:
        model: A causal language model, PEFT or plain.
        given: From `inputs`.
        keep_logits: Whether the logits of all positions are wanted.
    """
    plain = anatomy.plain_model(model)
    can = "logits_to_keep" in inspect.signature(plain.forward).parameters
    return plain(**given, **({"logits_to_keep": 1} if can and not keep_logits else {}), use_cache=False).logits
