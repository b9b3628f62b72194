"""Training of a tuned lens: all layers in one pass over activations, the model frozen."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch

from lab.errors import DataError
from lab.models import anatomy
from lab.models.batch import inputs
from lab.probing.capture import capture
from lab.probing.decomposition import Decomposition
from lab.probing.final import Final
from lab.probing.logit_lens import log_probabilities
from lab.probing.sites import POST_FFN
from lab.probing.tuned_lens import Text, TunedLens, translated

STEPS, TOKENS = 240, 128
_POOL = 2**30  # bytes of activations that wait to be drawn from
_BETAS = (0.9, 0.95)


def train(model: Any, decomposition: Decomposition, final: Final, texts: Sequence[Text], *, steps: int = STEPS,
          tokens: int = TOKENS, rate: float | None = None, seed: int = 0) -> tuple[TunedLens, np.ndarray]:
    """Returns a lens trained to say at each layer what the model says in the end, and its loss as it trained.

    Minimises KL(model || lens) of each layer, from the logit lens on, by Adam with a linearly falling rate. Least squares
    towards the last layer's output, in closed form, is faster and far worse here: that output's length is not what the final
    norm lets through. A lens needs many tokens rather than many rounds: as many as steps · tokens are used once each.

    Args:
        model: A causal language model in evaluation mode with the adapter active that is meant, or none.
        decomposition: Of this model or its base.
        final: From `lab.probing.final.find_final`, of the same.
        texts: Batches of tokens and which are real, each [B, T]; in random order if they are many.
        steps: Updates.
        tokens: Tokens of an update.
        rate: Adam's at the start; by default 1 / D, which moves what is read by a fixed share of the stream's length
            whatever the width.
        seed: Of the order of tokens.

    Returns:
        The lens, on the CPU, and KL(model || lens) of each update's tokens before it, [steps, L - 1] in bits.

    Raises:
        DataError: There are fewer tokens than one update takes.
    """
    total = sum(int(real.sum()) for _, real in texts)
    if total < tokens:
        raise DataError(f"{total} tokens of text: an update of a tuned lens takes {tokens}; give more texts")
    width, layers = anatomy.width(model), len(decomposition.layers)
    rate = 1 / width if rate is None else rate
    lens = TunedLens.identity(layers, width)
    device = anatomy.plain_model(model).device
    weights = [each.to(device).clone().requires_grad_() for each in lens.weight]
    # in units of the stream's length, so that one rate does for layers of all lengths
    biases = [each.to(device).clone().requires_grad_() for each in lens.bias]
    lengths: list[float] = []
    optimiser = torch.optim.Adam([*weights, *biases], lr=rate, betas=_BETAS)
    losses = np.zeros((steps, layers - 1))
    for step, states in zip(range(steps), _drawn(model, decomposition, texts, tokens, steps * tokens, seed), strict=False):
        lengths = lengths or [_length(state) for state in states[:-1]]
        with torch.no_grad():
            truth = log_probabilities(final, states[-1])
            share = truth.exp()
            certain = float((share * truth).sum(-1).mean())  # of the loss, the part that no lens changes
        for layer in range(layers - 1):
            losses[step, layer] = certain + _descend(final, states[layer], share, weights[layer], biases[layer],
                                                     lengths[layer])
        for group in optimiser.param_groups:
            group["lr"] = rate * (1 - step / steps)
        optimiser.step()
    found = [(bias.detach() * length).cpu() for bias, length in zip(biases, lengths, strict=True)]
    return TunedLens(torch.stack([each.detach().cpu() for each in weights]), torch.stack(found)), losses / np.log(2)


def _descend(final: Final, state: torch.Tensor, share: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor,
             length: float) -> float:
    """Sets one layer's gradients and returns its cross-entropy, nats; layer by layer, so that few logits live at once."""
    with torch.enable_grad():
        read = log_probabilities(final, translated(state, weight, bias * length))
        loss = -(share * read).sum(-1).mean()
        weight.grad, bias.grad = torch.autograd.grad(loss, [weight, bias])  # of these alone: the model stays frozen
    return float(loss.detach())


def _length(state: torch.Tensor) -> float:
    """Root mean square of an element, geometric mean over positions [N, D]: a few massive ones do not count for all."""
    return float(state.float().square().mean(-1).log().mean().div(2).exp())


def _drawn(model: Any, decomposition: Decomposition, texts: Sequence[Text], tokens: int, most: int, seed: int
           ) -> Iterator[list[torch.Tensor]]:
    """Yields all layers' outputs [tokens, D] of random tokens, each once before any comes again, without end.

    Args:
        model: A causal language model.
        decomposition: Of it.
        texts: Batches.
        tokens: How many at a time.
        most: Tokens that will be asked for in all.
        seed: Of the order.
    """
    generator = torch.Generator().manual_seed(seed)
    kept: list[torch.Tensor] = []
    while True:
        order = torch.randperm(len(texts), generator=generator).tolist()
        for pool, whole in [(kept, True)] if kept else _pools(model, decomposition, [texts[i] for i in order], tokens, most):
            kept = pool if whole else []
            for chosen in torch.randperm(len(pool[0]), generator=generator).split(tokens):
                if len(chosen) == tokens:
                    yield [state[chosen.to(state.device)] for state in pool]


def _pools(model: Any, decomposition: Decomposition, texts: Sequence[Text], tokens: int, most: int
           ) -> Iterator[tuple[list[torch.Tensor], bool]]:
    """Yields all layers' outputs [N, D] of as many texts as fit together, and whether those are all that is needed."""
    parts: list[list[torch.Tensor]] = []
    count = size = pools = 0
    for text, real in texts:
        states = capture(model, inputs(model, text, real), decomposition, sites=(POST_FFN,)).values[POST_FFN]
        parts.append([state[real.bool().to(state.device)] for state in states.values()])
        count, size = count + len(parts[-1][0]), size + sum(state.nbytes for state in parts[-1])
        if not pools and count >= most:
            break
        if size >= _POOL and count >= tokens:
            yield [torch.cat(states) for states in zip(*parts, strict=True)], False
            parts, count, size, pools = [], 0, 0, pools + 1
    if parts:
        yield [torch.cat(states) for states in zip(*parts, strict=True)], not pools
