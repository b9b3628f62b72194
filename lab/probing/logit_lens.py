"""What a model would say if it stopped at a layer: the final norm and unembedding on every layer's residual stream."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from lab.errors import OptionError
from lab.probing.capture import capture
from lab.probing.decomposition import Decomposition
from lab.probing.final import Final
from lab.probing.sites import POST_ATTN, POST_FFN, PRE_ATTN

READABLE = (PRE_ATTN, POST_ATTN, POST_FFN)  # the stream itself; what a block adds is no state that a model could stop at
_NATS = float(np.log(2))  # of one bit
_BLOCK = 2**26  # numbers of one block of logits; several of its size live at once

Translate = Callable[[int, torch.Tensor], torch.Tensor]


@dataclass(frozen=True)
class Lens:
    """What the lens reads at chosen positions, by layer.

    Attributes:
        answer: [B, L, P], log-probability of the answer, nats.
        foil: [B, L, P], of the foil, nats.
        difference: [B, L, P], answer minus foil: their logit difference, nats.
        rank: [B, L, P], of the answer among all tokens, 1 for the first; ties count against it.
        entropy: [B, L, P], bits.
        divergence: [B, L, P], KL(model's own distribution || lens), bits.
        top: [B, L, P, K], ids of the most probable tokens, first the most probable.
        top_probability: [B, L, P, K].
    """

    answer: np.ndarray
    foil: np.ndarray
    difference: np.ndarray
    rank: np.ndarray
    entropy: np.ndarray
    divergence: np.ndarray
    top: np.ndarray
    top_probability: np.ndarray


@torch.no_grad()
def logit_lens(model: Any, given: Mapping[str, torch.Tensor], decomposition: Decomposition, final: Final,
               positions: torch.Tensor, answer: torch.Tensor, foil: torch.Tensor, *, site: str = POST_FFN,
               top: int = 0, translate: Translate | None = None) -> Lens:
    """Returns what final norm and unembedding read in the stream of every layer (nostalgebraist, 2020).

    At `post_ffn` of the last layer that is the model's own answer. Memory is O(B · L · P · D) and one block of logits.

    Args:
        model: A causal language model in evaluation mode; inside `lab.models.rows.adapter_rows` each row is its adapter's.
        given: From `lab.models.batch.inputs`.
        decomposition: Of this model or its base.
        final: From `lab.probing.final.find_final`, of the same.
        positions: [B, P], token positions that are read; the next token is what is asked for there.
        answer: [B] or [B, P], token ids.
        foil: [B] or [B, P].
        site: Of `READABLE`.
        top: K, how many of the most probable tokens are named.
        translate: Maps a layer's index and residuals [B, P, D] to what the lens reads instead, as a tuned lens does.

    Raises:
        OptionError: The site is no state of the stream, or answers do not match the positions.
    """
    if site not in READABLE:
        raise OptionError(f"site={site}: a lens reads the stream itself; allowed are {', '.join(READABLE)}")
    sites = (site, POST_FFN) if site != POST_FFN else (site,)
    kept = capture(model, given, decomposition, sites=sites, positions=positions).values
    last = kept[POST_FFN][len(decomposition.layers) - 1]
    asked = [_spread(what, ids, last) for what, ids in (("answer", answer), ("foil", foil))]
    found = []
    for block in blocks(final, last):
        truth = log_probabilities(final, last[:, block])
        right, wrong = (ids[:, block] for ids in asked)
        found.append([_read(final, _translated(translate, layer, residual[:, block]), truth, right, wrong, top)
                      for layer, residual in kept[site].items()])
    return Lens(*(np.concatenate([np.stack([each[which] for each in layers], 1) for layers in found], 2)
                  for which in range(8)))


def log_probabilities(final: Final, residual: torch.Tensor) -> torch.Tensor:
    """Returns what the lens says of each token, [.., V] in nats, in float32 at least, for a residual stream [.., D]."""
    logits = final.logits(residual)
    return (logits if logits.dtype == torch.float64 else logits.float()).log_softmax(-1)


def blocks(final: Final, residual: torch.Tensor) -> Iterator[slice]:
    """Yields slices of the positions of residuals [B, P, D] whose logits are of bearable size."""
    rows, count = residual.shape[:2]
    # by position, never by row: rows may go through adapters of their own
    step = max(1, _BLOCK // (rows * final.vocabulary))
    for begin in range(0, count, step):
        yield slice(begin, begin + step)


def divergence(truth: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    """Returns KL(truth || other) in bits, [..], of log-probabilities [.., V] in nats."""
    return (truth.exp() * (truth - other)).sum(-1) / _NATS


def _read(final: Final, residual: torch.Tensor, truth: torch.Tensor, answer: torch.Tensor, foil: torch.Tensor,
          top: int) -> Sequence[np.ndarray]:
    said = log_probabilities(final, residual)
    right, wrong = (said.gather(-1, ids[..., None]) for ids in (answer, foil))
    best = said.topk(top, -1)
    values = (right[..., 0], wrong[..., 0], (right - wrong)[..., 0], (said >= right).sum(-1),
              -(said.exp() * said).sum(-1) / _NATS, divergence(truth, said), best.indices, best.values.exp())
    return [value.cpu().numpy() for value in values]


def _translated(translate: Translate | None, layer: int, residual: torch.Tensor) -> torch.Tensor:
    return residual if translate is None else translate(layer, residual)


def _spread(what: str, ids: torch.Tensor, residual: torch.Tensor) -> torch.Tensor:
    """Token ids [B, P] for [B] or [B, P] of them."""
    shape = residual.shape[:2]
    wide = ids[:, None].expand(-1, shape[1]) if ids.dim() == 1 else ids
    if wide.shape != shape:
        raise OptionError(f"{what} of shape {tuple(ids.shape)}: needed is [B] or [B, P], here {list(shape)[:1]} or "
                          f"{list(shape)}")
    return wide.to(residual.device)
