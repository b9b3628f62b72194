"""How long the residual stream is at each layer, and how much and in which direction its blocks change it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from lab.errors import OptionError
from lab.probing.capture import capture
from lab.probing.decomposition import Decomposition
from lab.probing.products import products
from lab.probing.sites import DELTA_ATTN, DELTA_FFN, PRE_ATTN, SITES

PARTS = (PRE_ATTN, DELTA_ATTN, DELTA_FFN)  # of which the other sites are sums


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
    positions = _positions(given)
    products = capture(model, given, decomposition, sites=PARTS, reduce=lengths_and_products).stack("products")
    later, first = ({name: values.double().cpu().numpy() for name, values in _measured(products, counted[:, None]).items()}
                    for counted in positions)
    return Norms(later, first)


def lengths_and_products(layer: int, found: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Returns all that the measures of a layer are made of, a reduction for `lab.probing.capture.capture`.

    Args:
        layer: Its index, of no matter.
        found: [B, P, D] at `PARTS`.

    Returns:
        `products`, [B, P, 8], see `lab.probing.products.products`.
    """
    return {"products": products(*(found[site] for site in PARTS))}


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
    """Measures [B, L] by name from `lengths_and_products` [B, L, T, 8], over counted positions [B, 1, T]."""
    def mean(values: torch.Tensor) -> torch.Tensor:
        return torch.where(counted, values, 0).sum(-1) / counted.sum(-1)

    def total(values: torch.Tensor) -> torch.Tensor:
        return torch.where(counted, values, 0).sum(-1)

    stream, attention, middle, feed_forward, after, *inner = products.unbind(-1)
    attention_stream, feed_forward_stream, both = inner
    # <δ, Δ> from the deltas: as a difference of products with the stream it would cancel where the stream is long
    with_attention, with_feed_forward = attention.square() + both, feed_forward.square() + both
    added = (with_attention + with_feed_forward).clamp(min=0)  # |Δ|²
    return {
        **{site: mean(values) for site, values in zip(SITES, products.unbind(-1), strict=False)},
        "growth": mean((after / stream).log()).exp(),
        "attention_share": mean(attention / (attention + feed_forward)),
        "attention_to_stream": mean(attention_stream / (attention * stream)),
        "feed_forward_to_stream": mean((feed_forward_stream + both) / (feed_forward * middle)),
        "attention_to_feed_forward": mean(both / (attention * feed_forward)),
        "added_to_stream": mean((attention_stream + feed_forward_stream) / (added.sqrt() * stream)),
        "attention_projection": total(with_attention) / total(added),
        "feed_forward_projection": total(with_feed_forward) / total(added),
    }
