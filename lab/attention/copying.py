"""What copying costs without some heads: the loss on the second copy of random tokens, intact and ablated."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.nn.functional import cross_entropy

from lab.attention.ablation import ablated
from lab.attention.induction import half
from lab.attention.named_heads import spans
from lab.errors import OptionError
from lab.models.batch import forward, inputs

ByLayer = dict[int, tuple[int, ...]]


@dataclass(frozen=True)
class Copying:
    """How well the second copy is predicted, float64 on the CPU.

    Attributes:
        nats: [B], nats per token: mean over tokens S+1 … 2·S-1, the first that can be known from the first copy to the
            last.
        accuracy: [B], share of them that get the highest logit.
    """

    nats: torch.Tensor
    accuracy: torch.Tensor


@dataclass(frozen=True)
class InductionAblation:
    """Copying with all heads, without the top heads, and without as many others of the same layers.

    Attributes:
        intact: All heads.
        top: Without the heads of highest score.
        random: Without random heads, one for each draw.
        top_heads: (layer, head), highest score first.
        random_heads: Heads by layer, one for each draw.
        shared: How many of the top heads each draw holds, because their layers have too few others.
    """

    intact: Copying
    top: Copying
    random: tuple[Copying, ...]
    top_heads: tuple[tuple[int, int], ...]
    random_heads: tuple[ByLayer, ...]
    shared: int

    @property
    def cost(self) -> torch.Tensor:
        """[B], nats per token: what the top heads cost beyond the mean draw; paired, for intervals over rows."""
        return self.top.nats - torch.stack([draw.nats for draw in self.random]).mean(0)


@torch.no_grad()
def copying_loss(model: Any, tokens: torch.Tensor) -> Copying:
    """Loss and accuracy on the second copy, row by row.

    Args:
        model: A causal language model, PEFT or plain, in evaluation mode.
        tokens: [B, 2·S], s twice.

    Raises:
        OptionError: The rows are not [s, s], or too long for the model.
    """
    copy = half(tokens)
    given = inputs(model, tokens)
    logits = forward(model, given, keep_logits=True)[:, copy:-1]  # B S-1 V
    wanted = given["input_ids"][:, copy + 1:]
    nats = [cross_entropy(row.float(), right).double() for row, right in zip(logits, wanted, strict=True)]
    return Copying(torch.stack(nats).cpu(), (logits.argmax(-1) == wanted).double().mean(-1).cpu())


def induction_ablation(model: Any, tokens: torch.Tensor, scores: torch.Tensor, *, top: int, draws: int, seed: int,
                       means: Mapping[int, torch.Tensor] | None = None) -> InductionAblation:
    """What the heads that score highest are worth to copying, against random heads of the same layers.

    A draw takes from each layer as many heads as the top heads are there, and none of them; where the layer has too few
    others, all of those and then as many top heads as are missing (`shared`), which brings the draw closer to the top
    heads and so can only hide a difference. Draws are independent and may repeat.

    Args:
        model: A causal language model, PEFT or plain, in evaluation mode.
        tokens: [B, 2·S], s twice; other rows than those that the scores come from.
        scores: [L, H], such as the mean of `lab.attention.induction.induction` over rows; nan is never chosen.
        top: Heads that are ablated.
        draws: Random choices of heads.
        seed: Of the draws, not negative.
        means: As in `lab.attention.ablation.ablated`; zero ablation if None.

    Raises:
        OptionError: `top` or `draws` is out of range, or the rows are not [s, s].
        ModelUnsupported: The heads of this model cannot be ablated.
    """
    best = top_heads(scores, top)
    if draws < 1:
        raise OptionError(f"draws={draws}: allowed is 1 or more; type draws=20")
    of_layer = _by_layer(best)
    there = {layer: (~scores[layer].isnan()).nonzero()[:, 0].tolist() for layer in of_layer}
    rng = np.random.default_rng(seed)
    random = [{layer: _others(rng, there[layer], chosen) for layer, chosen in of_layer.items()} for _ in range(draws)]

    def without(heads: Mapping[int, tuple[int, ...]]) -> Copying:
        with ablated(model, heads, means=means):
            return copying_loss(model, tokens)

    shared = sum(max(0, 2 * len(chosen) - len(there[layer])) for layer, chosen in of_layer.items())
    return InductionAblation(copying_loss(model, tokens), without(of_layer), tuple(map(without, random)), tuple(best),
                             tuple(random), shared)


def top_heads(scores: torch.Tensor, top: int) -> list[tuple[int, int]]:
    """The (layer, head) of highest score, highest first; of equal ones the earlier layer and head.

    Args:
        scores: [L, H]; nan is never chosen.
        top: How many.

    Raises:
        OptionError: `top` is not between 1 and the number of heads that have a score.
    """
    scored = [(-value, layer, head) for layer, row in enumerate(scores.tolist()) for head, value in enumerate(row)
              if value == value]
    if not 1 <= top <= len(scored):
        raise OptionError(f"top={top}: allowed are {spans(range(1, len(scored) + 1)) or 'none'}, the heads with a score")
    return [(layer, head) for _, layer, head in sorted(scored)[:top]]


def _by_layer(heads: list[tuple[int, int]]) -> ByLayer:
    return {layer: tuple(head for at, head in heads if at == layer) for layer in sorted({layer for layer, _ in heads})}


def _others(rng: np.random.Generator, there: list[int], chosen: tuple[int, ...]) -> tuple[int, ...]:
    """As many heads of a layer, others before the chosen ones."""
    shuffled = [*rng.permutation([head for head in there if head not in chosen]), *rng.permutation(chosen)]
    return tuple(sorted(int(head) for head in shuffled[:len(chosen)]))
