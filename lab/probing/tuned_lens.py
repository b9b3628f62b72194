"""A lens with a translator for each layer, and how far lenses are from what the model says in the end."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from lab.errors import DataError, OptionError
from lab.models.batch import inputs
from lab.probing.capture import capture
from lab.probing.decomposition import Decomposition
from lab.probing.final import Final
from lab.probing.logit_lens import blocks, divergence, log_probabilities
from lab.probing.sites import POST_FFN

Text = tuple[torch.Tensor, torch.Tensor]  # tokens [B, T], and which of them are real [B, T]


@dataclass(frozen=True)
class TunedLens:
    """Affine maps x + W x + b of each layer's output, before the final norm (Belrose et al., 2023, eq. 8).

    The last layer has none: it is the model's own answer.

    Attributes:
        weight: [L - 1, D, D], float32; zeros are the logit lens.
        bias: [L - 1, D].
    """

    weight: torch.Tensor
    bias: torch.Tensor

    @staticmethod
    def identity(layers: int, width: int) -> "TunedLens":
        """Returns the lens before any training, which is the logit lens.

        Args:
            layers: L.
            width: D.
        """
        return TunedLens(torch.zeros(layers - 1, width, width), torch.zeros(layers - 1, width))

    def __call__(self, layer: int, residual: torch.Tensor) -> torch.Tensor:
        """Returns what the final norm reads [.., D] of a layer's output [.., D]; what `logit_lens` takes as `translate`."""
        if layer == len(self.weight):
            return residual
        if not 0 <= layer < len(self.weight) or residual.shape[-1] != self.weight.shape[-1]:
            raise OptionError(f"layer {layer} of width {residual.shape[-1]}: this lens is for {len(self.weight) + 1} layers "
                              f"of width {self.weight.shape[-1]}; it was trained on another model")
        return translated(residual, self.weight[layer].to(residual.device), self.bias[layer].to(residual.device))

    def tensors(self) -> dict[str, torch.Tensor]:
        """Returns what to keep in a safetensors file."""
        return {"weight": self.weight.contiguous(), "bias": self.bias.contiguous()}

    @staticmethod
    def of(tensors: Mapping[str, torch.Tensor]) -> "TunedLens":
        """Returns the lens that `tensors` gave.

        Args:
            tensors: As read from a file.

        Raises:
            DataError: They are no lens.
        """
        shapes = {name: tuple(each.shape) for name, each in tensors.items()}
        weight, bias = shapes.get("weight", ()), shapes.get("bias", ())
        if set(shapes) != {"weight", "bias"} or len(weight) != 3 or weight[1] != weight[2] or bias != weight[:2]:
            raise DataError(f"a tuned lens has weight [L - 1, D, D] and bias [L - 1, D]; here are {shapes}")
        return TunedLens(tensors["weight"].float(), tensors["bias"].float())


@dataclass(frozen=True)
class Quality:
    """How far a lens is from the model's own answer.

    Attributes:
        divergence: [prompts, L], KL(model || lens) in bits, mean over a prompt's real positions; prompts in order of the
            texts.
        bias: [L], KL(mean of the model's distributions || mean of the lens') over all real positions in bits: what the lens
            says too often or too seldom whatever it reads (Belrose et al., 2023, section 3.1). Never above the mean
            divergence over positions.
    """

    divergence: np.ndarray
    bias: np.ndarray


def translated(residual: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
    """Returns x + W x + b [.., D] in the number format of x [.., D]."""
    wide = residual.to(torch.promote_types(residual.dtype, weight.dtype))
    return (wide + wide @ weight.to(wide).T + bias.to(wide)).to(residual.dtype)


@torch.no_grad()
def quality(model: Any, decomposition: Decomposition, final: Final, texts: Sequence[Text],
            lenses: Mapping[str, TunedLens]) -> dict[str, Quality]:
    """Returns the distance of each lens from the model's own answer, on texts that no lens was trained on.

    Args:
        model: A causal language model in evaluation mode with the adapter active that is meant, or none; the lens of a base
            may be asked on any model tuned from it.
        decomposition: Of this model or its base.
        final: From `lab.probing.final.find_final`, of the same.
        texts: Batches of tokens and which are real, each [B, T].
        lenses: By name; `TunedLens.identity` is the logit lens.

    Raises:
        OptionError: A lens is for another number of layers or another width.
    """
    layers = len(decomposition.layers)
    _check(lenses, layers)
    each: dict[str, list[torch.Tensor]] = {name: [] for name in lenses}
    said, means = torch.zeros(final.vocabulary, dtype=torch.float64), {
        name: torch.zeros(layers, final.vocabulary, dtype=torch.float64) for name in lenses}
    count = 0
    for tokens, real in texts:
        kept = capture(model, inputs(model, tokens, real), decomposition, sites=(POST_FFN,)).values[POST_FFN]
        counted = real.bool().to(kept[0].device)
        found = {name: torch.zeros(len(tokens), layers, dtype=torch.float64) for name in lenses}
        for block in blocks(final, kept[0]):
            where = counted[:, block]
            truth = log_probabilities(final, kept[layers - 1][:, block])
            said += truth[where].exp().sum(0).double().cpu()
            for name, lens in lenses.items():
                for layer in range(layers):
                    read = log_probabilities(final, lens(layer, kept[layer][:, block]))
                    found[name][:, layer] += torch.where(where, divergence(truth, read), 0).sum(1).double().cpu()
                    means[name][layer] += read[where].exp().sum(0).double().cpu()
        count += int(counted.sum())
        for name in lenses:
            each[name].append(found[name] / counted.sum(1, keepdim=True).cpu())
    return {name: Quality(torch.cat(each[name]).numpy(), _bias(said / count, means[name] / count)) for name in lenses}


def _bias(said: torch.Tensor, read: torch.Tensor) -> np.ndarray:
    """KL(said [V] || read [L, V]) in bits, [L]."""
    return (torch.xlogy(said, said) - torch.xlogy(said, read)).sum(-1).div(np.log(2)).numpy()


def _check(lenses: Mapping[str, TunedLens], layers: int) -> None:
    for name, lens in lenses.items():
        if len(lens.weight) != layers - 1:
            raise OptionError(f"lens {name} is for {len(lens.weight) + 1} layers and this model has {layers}; it was "
                              "trained on another model")
