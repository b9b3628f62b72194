"""What each block adds to the logit difference of an answer and a foil, along a path whose norm scales are held still."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from lab.errors import ModelUnsupported, OptionError
from lab.models import anatomy
from lab.probing.attribution_heads import Projected, heads_of, projections
from lab.probing.attribution_norm import FrozenNorm, frozen
from lab.probing.capture import Captured, capture
from lab.probing.decomposition import Decomposition
from lab.probing.final import Final
from lab.probing.sites import DELTA_ATTN, DELTA_FFN, POST_FFN, PRE_ATTN

_ROUNDINGS = 16  # of what passes along the direction, added up as independent errors
_FLOOR = 1e-5  # of the parts' sizes; float32 products of a few thousand terms


@dataclass(frozen=True)
class Attribution:
    """Parts of a logit difference, of each prompt; in logits (nats of log odds), float64.

    embedding + Σ attention + Σ feed_forward + bias + left = total, and in every layer Σ heads + head_bias = attention,
    within `bound`.

    What it cannot say. Scales of norms are the model's own and are held still: a block that makes the stream longer also
    shrinks what all others add, and no part is charged for that. Only the direct path to the logits is counted: what a later
    block reads of a part and does with it is that block's. A part that a later block erases is still counted in full, with
    the eraser's share against it, so that large parts of opposite sign may be one thing written and taken back. No part
    therefore says what would happen without its block; patching does.

    Attributes:
        embedding: [B], what layer 0 receives: tokens, and positions and scales where they come in before it.
        attention: [B, L].
        feed_forward: [B, L].
        bias: [B], of the final norm and the unembedding.
        heads: [B, L, H]; nan in layers of `without_heads`.
        head_bias: [B, L], of output projections, and of norms after them; nan in layers of `without_heads`.
        total: [B], answer minus foil before any cap on logits, as the model has it.
        left: [B], what rounding leaves between the parts and the total.
        bound: [B], the most that it may be.
        without_heads: Why heads cannot be told apart, by layer.
    """

    embedding: np.ndarray
    attention: np.ndarray
    feed_forward: np.ndarray
    bias: np.ndarray
    heads: np.ndarray
    head_bias: np.ndarray
    total: np.ndarray
    left: np.ndarray
    bound: np.ndarray
    without_heads: dict[int, str]


def attribute(model: Any, given: Mapping[str, torch.Tensor], decomposition: Decomposition, final: Final,
              answer: torch.Tensor, foil: torch.Tensor) -> Attribution:
    """Returns how the logit difference at each prompt's last token comes about (direct logit attribution).

    With the final norm's scale s frozen, norm(x) = g · (x - mean) / s + b is linear in x, and x is what layer 0 receives
    plus what every block adds. Heads go through their output projection and, in post-norm models, through the norm after
    it with its scale frozen too (Elhage et al., 2021, A Mathematical Framework for Transformer Circuits; Wang et al., 2023).

    Args:
        model: A causal language model in evaluation mode; inside `lab.models.rows.adapter_rows` each row is its adapter's,
            with scales of its own.
        given: From `lab.models.batch.inputs`.
        decomposition: Of this model or its base.
        final: From `lab.probing.final.find_final`, of the same.
        answer: [B], token ids.
        foil: [B], token ids.

    Raises:
        OptionError: An answer is its own foil or no token of the model.
        ModelUnsupported: The parts do not sum to the model's own logit difference, or its final norm is none that can be
            frozen. The message has the number.
    """
    _check_ids(answer, foil, len(given["input_ids"]), final.vocabulary)
    positions = _last(given)
    plain = anatomy.plain_model(model)
    name, width = type(plain).__name__, anatomy.width(plain)
    norm = frozen(final.norm, width, f"{name}: the final norm")
    sites = (PRE_ATTN, DELTA_ATTN, DELTA_FFN, POST_FFN)
    with projections(model) as listening:
        kept = capture(model, given, decomposition, sites=sites, positions=positions)
    stream = {site: kept.stack(site)[:, :, 0] for site in sites}  # [B, L, D]
    read = _Read.of(final, norm, stream[POST_FFN][:, -1:], answer, foil)
    _check_forward(name, kept, given, positions, read)
    along = {site: _products(read.before, value) for site, value in stream.items()}
    split = [heads_of(plain, layer, decomposition.layers[layer], listening, positions, stream[DELTA_ATTN][:, layer],
                      read.before) for layer in range(len(decomposition.layers))]
    parts = along[PRE_ATTN][:, 0] + along[DELTA_ATTN].sum(1) + along[DELTA_FFN].sum(1) + read.bias
    bound = _bound(read, stream[PRE_ATTN], stream[POST_FFN])
    _check_sum(name, read.total - parts, bound, read.total)
    _check_heads(name, split, along[DELTA_ATTN])
    heads, head_bias = _stacked(split, len(answer), anatomy.n_heads(plain))
    return Attribution(along[PRE_ATTN][:, 0].numpy(), along[DELTA_ATTN].numpy(), along[DELTA_FFN].numpy(), read.bias.numpy(),
                       heads, head_bias, read.total.numpy(), (read.total - parts).numpy(), bound.numpy(),
                       {layer: one.without for layer, one in enumerate(split) if one.without})


@dataclass(frozen=True)
class _Read:
    """How answer minus foil is read from the last layer's output."""

    before: torch.Tensor  # [B, D], direction in the stream, with the final norm's scale
    bias: torch.Tensor  # [B]
    total: torch.Tensor  # [B]
    size: torch.Tensor  # [B], |answer's logit| + |foil's|
    logits: torch.Tensor  # [B, V], after the cap
    eps: float

    @staticmethod
    def of(final: Final, norm: FrozenNorm, stream: torch.Tensor, answer: torch.Tensor, foil: torch.Tensor) -> "_Read":
        with torch.no_grad():
            normed = final.norm(stream)
            at_zero = _picked(final.uncapped(torch.zeros_like(normed)), answer, foil)
        with torch.enable_grad():
            leaf = normed.detach().requires_grad_()
            logits = final.uncapped(leaf * final.inner)
            # rows of the unembedding, by its gradient: so that quantised and adapted ones need no code of their own, each
            # apart, since a difference of two would be rounded to the model's number format
            rows = [torch.autograd.grad(_chosen(logits, ids).sum(), leaf, retain_graph=ids is answer)[0][:, 0].double().cpu()
                    for ids in (answer, foil)]
        direction = rows[0] - rows[1]
        over = norm.over_scale(stream[:, 0].cpu(), normed[:, 0].cpu())
        before = norm.back(direction, over)
        picked = _picked(logits.detach(), answer, foil)
        return _Read(before, (direction * norm.bias).sum(-1) + at_zero[0] - at_zero[1], picked[0] - picked[1],
                     picked.abs().sum(0), final.capped(logits.detach())[:, 0], torch.finfo(stream.dtype).eps)


def _last(given: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """Position [B, 1] of each row's last real token."""
    ids = given["input_ids"]
    real = given.get("attention_mask", torch.ones_like(ids))
    return ids.shape[1] - 1 - real.flip(1).argmax(1, keepdim=True)


def _check_ids(answer: torch.Tensor, foil: torch.Tensor, rows: int, vocabulary: int) -> None:
    for what, ids in (("answer", answer), ("foil", foil)):
        if ids.shape != (rows,):
            raise OptionError(f"{what} of shape {tuple(ids.shape)}: needed is one token id for each of {rows} prompts")
        if int(ids.min()) < 0 or int(ids.max()) >= vocabulary:
            wrong = int(ids.min()) if int(ids.min()) < 0 else int(ids.max())
            raise OptionError(f"{what} {wrong}: this model has tokens 0 to {vocabulary - 1}")
    same = (answer.cpu() == foil.cpu()).nonzero()
    if len(same):
        raise OptionError(f"prompt {int(same[0])}: answer and foil are the same token {int(answer[same[0]])}, so there is "
                          "no difference to attribute; choose another foil")


def _chosen(logits: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
    return logits[:, 0].gather(1, ids.to(logits.device)[:, None])[:, 0]


def _picked(logits: torch.Tensor, answer: torch.Tensor, foil: torch.Tensor) -> torch.Tensor:
    """Logits [2, B] of answers and foils from [B, 1, V], float64."""
    return torch.stack([_chosen(logits, answer), _chosen(logits, foil)]).double().cpu()


def _products(direction: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    """What activations [B, L, D] are along each row's direction [B, D]: [B, L]."""
    return torch.einsum("bd,bld->bl", direction, values.double().cpu())


def _bound(read: _Read, *streams: torch.Tensor) -> torch.Tensor:
    """The most [B] that rounding can leave: every addition to the stream rounds each of its elements on its own."""
    squares = sum((((read.before[:, None] * each.double().cpu()) ** 2).sum((1, 2)) for each in streams), torch.zeros(()))
    passed = squares.sqrt() + read.size
    return _ROUNDINGS * read.eps * passed + _FLOOR * passed


def _check_sum(name: str, left: torch.Tensor, bound: torch.Tensor, total: torch.Tensor) -> None:
    wrong = (~(left.abs() <= bound)).nonzero()
    if len(wrong):
        row = int(wrong[0])
        raise ModelUnsupported(f"{name}: prompt {row}: the parts miss the logit difference {float(total[row]):.4g} by "
                               f"{float(left[row]):.2g}, where rounding explains {float(bound[row]):.2g}; its parts "
                               "cannot be told apart with frozen scales")


def _check_forward(name: str, kept: Captured, given: Mapping[str, torch.Tensor], positions: torch.Tensor,
                   read: _Read) -> None:
    """Raises ModelUnsupported unless final norm and head give the logits of this very forward pass."""
    ends = (positions[:, 0] == given["input_ids"].shape[1] - 1).cpu()  # only their logits were asked of the model
    mine, theirs = read.logits.double().cpu()[ends], kept.logits[:, -1].double().cpu()[ends]
    error = float((mine - theirs).norm() / theirs.norm()) if len(mine) else 0.0
    if not error <= max(8 * read.eps, 1e-4):
        raise ModelUnsupported(f"{name}: final norm and unembedding give logits {error:.2g} of their norm away from the "
                               "model's own in this forward pass; find_final was asked of another model")


def _check_heads(name: str, split: list[Projected], attention: torch.Tensor) -> None:
    for layer, one in enumerate(split):
        if one.without:
            continue
        left = attention[:, layer] - one.heads.sum(1) - one.bias
        wrong = (~(left.abs() <= one.bound)).nonzero()
        if len(wrong):
            row = int(wrong[0])
            raise ModelUnsupported(f"{name}: layer {layer}, prompt {row}: heads miss what attention adds, "
                                   f"{float(attention[row, layer]):.4g}, by {float(left[row]):.2g}, where rounding explains "
                                   f"{float(one.bound[row]):.2g}")


def _stacked(split: list[Projected], rows: int, heads: int) -> tuple[np.ndarray, np.ndarray]:
    empty = torch.full((rows, heads), torch.nan, dtype=torch.float64)
    return (torch.stack([empty if one.without else one.heads for one in split], 1).numpy(),
            torch.stack([empty[:, 0] if one.without else one.bias for one in split], 1).numpy())
