"""How long the residual stream is at each layer, and how much and in which direction its blocks change it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from lab.errors import OptionError
from lab.probing.capture import capture
from lab.probing.decomposition import Decomposition
from lab.probing.sites import SITES

MEASURES = ("growth", "attention_share", "attention_to_stream", "feed_forward_to_stream", "attention_to_feed_forward",
            "added_to_stream", "attention_projection", "feed_forward_projection")
_PRE, _ATTN, _MID, _FFN, _POST = range(5)  # places of the sites in the matrix of inner products


@dataclass(frozen=True)
class Norms:
    """Lengths and directions by layer; of each prompt, its first token apart.

    The first token is a sink in many models: its norm may be a thousand times that of all others, so that one mean over all
    positions would be its alone (Sun et al., 2024, Massive Activations).

    Attributes:
        later: By name, [B, L], over the real positions after the first one. The names of `SITES` are Euclidean norms, mean
            over positions; the others are
            `growth`, |post_ffn| / |pre_attn|, geometric mean over positions: above 1 where the stream gets longer;
            `attention_share`, |delta_attn| / (|delta_attn| + |delta_ffn|), mean over positions;
            `attention_to_stream`, cosine of delta_attn to pre_attn, and `feed_forward_to_stream`, of delta_ffn to
            post_attn: below 0 where the block erases what is there; `attention_to_feed_forward`; and `added_to_stream`, of
            the layer's whole change to pre_attn; means over positions;
            `attention_projection` and `feed_forward_projection`, the signed parts <δ, Δ> / |Δ|² of the layer's whole change
            Δ, each summed over positions before dividing, so that positions that change little do not count most. They sum
            to 1; outside 0 to 1 the blocks work against each other, which no norm shows.
            nan where a layer has no such block.
        first: The same of the first real position alone.
    """

    later: dict[str, np.ndarray]
    first: dict[str, np.ndarray]


def norms(model: Any, given: Mapping[str, torch.Tensor], decomposition: Decomposition) -> Norms:
    """Returns norms and directions of what each layer takes, adds and gives, reduced as each layer ends.

    Args:
        model: A causal language model in evaluation mode; inside `lab.models.rows.adapter_rows` each row is its adapter's.
        given: From `lab.models.batch.inputs`.
        decomposition: Of this model or its base.

    Raises:
        OptionError: A prompt has only one token, so that nothing comes after the first.
    """
    later, first = _positions(given)

    def reduce(layer: int, found: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        products = inner_products([found[site] for site in SITES])
        return {f"{which}/{name}": value for which, counted in (("later", later), ("first", first))
                for name, value in _measured(products, counted).items()}

    kept = capture(model, given, decomposition, reduce=reduce)
    both: dict[str, dict[str, np.ndarray]] = {"later": {}, "first": {}}
    for key in kept.values:
        which, name = key.split("/")
        both[which][name] = kept.stack(key).double().cpu().numpy()
    return Norms(both["later"], both["first"])


def inner_products(values: list[torch.Tensor]) -> torch.Tensor:
    """Returns the inner products [B, P, n, n] of n activations [B, P, D] of one position, in float32 at least."""
    wide = torch.stack([each if each.dtype == torch.float64 else each.float() for each in values], 2)
    return wide @ wide.transpose(2, 3)


def _positions(given: Mapping[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
    """Real positions after the first one, and the first one, [B, T] of bool each."""
    ids = given["input_ids"]
    real = given["attention_mask"].bool() if "attention_mask" in given else torch.ones_like(ids, dtype=torch.bool)
    later = real & (real.cumsum(1) > 1)
    if not bool(later.any(1).all()):
        row = int((~later.any(1)).nonzero()[0])
        raise OptionError(f"prompt {row} has one token; norms are told of the first token and of later ones apart, so every "
                          "prompt needs two at least")
    return later, real & ~later


def _measured(products: torch.Tensor, counted: torch.Tensor) -> dict[str, torch.Tensor]:
    """Measures [B] by name from inner products [B, T, 5, 5], over counted positions [B, T]."""
    def mean(values: torch.Tensor) -> torch.Tensor:
        return torch.where(counted, values, 0).sum(1) / counted.sum(1)

    def total(values: torch.Tensor) -> torch.Tensor:
        return torch.where(counted, values, 0).sum(1)

    lengths = products.diagonal(dim1=2, dim2=3).sqrt()  # [B, T, 5]
    attention, feed_forward = lengths[..., _ATTN], lengths[..., _FFN]
    # <δ, Δ> from the deltas: as a difference of products with the stream it would cancel where the stream is long
    with_attention = products[..., _ATTN, _ATTN] + products[..., _ATTN, _FFN]
    with_feed_forward = products[..., _FFN, _FFN] + products[..., _ATTN, _FFN]
    added = (with_attention + with_feed_forward).clamp(min=0)  # |Δ|²
    with_stream = products[..., _ATTN, _PRE] + products[..., _FFN, _PRE]
    return {
        **{site: mean(lengths[..., place]) for place, site in enumerate(SITES)},
        "growth": mean((lengths[..., _POST] / lengths[..., _PRE]).log()).exp(),
        "attention_share": mean(attention / (attention + feed_forward)),
        "attention_to_stream": mean(products[..., _ATTN, _PRE] / (attention * lengths[..., _PRE])),
        "feed_forward_to_stream": mean(products[..., _FFN, _MID] / (feed_forward * lengths[..., _MID])),
        "attention_to_feed_forward": mean(products[..., _ATTN, _FFN] / (attention * feed_forward)),
        "added_to_stream": mean(with_stream / (added.sqrt() * lengths[..., _PRE])),
        "attention_projection": total(with_attention) / total(added),
        "feed_forward_projection": total(with_feed_forward) / total(added),
    }
