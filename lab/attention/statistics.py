"""A head's statistics over a prompt: means over its real queries, each with what uniform attention would give."""

import torch

from lab.attention.per_query import PerQuery
from lab.attention.seen import Seen

STATISTICS = ("entropy", "entropy_share", "first_token", "distance", "recent", "previous_token", "duplicate_token",
              "learned_sink")
UNITS = {"entropy": "nats", "distance": "tokens"}  # all others are shares


def statistics(measured: PerQuery, counts: Seen) -> dict[str, torch.Tensor]:
    """Means over queries by name, each [B, H], float64; nan where no query qualifies.

    `entropy` and `distance` are over keys, given that a key is attended; `entropy_share` is the mean of H_i / ln n_i over
    queries that see n_i ≥ 2 keys; `first_token` is over queries that see the row's first real key and are not it (the
    attention sink); `duplicate_token` is the share on earlier copies of the query's token minus the share those copies
    have among visible keys, over queries that have one.

    Args:
        measured: Of a layer.
        counts: What its queries see.
    """
    n = counts.keys[:, None].double()
    values = {
        "entropy": (measured.entropy, counts.real),
        "entropy_share": (measured.entropy / n.log(), counts.real & (counts.keys >= 2)),
        "first_token": (measured.first, counts.real & counts.first),
        "distance": (measured.distance, counts.real),
        "recent": (measured.recent, counts.real),
        "previous_token": (measured.previous, counts.real & counts.previous),
        "duplicate_token": (measured.duplicate - counts.duplicates[:, None] / n, counts.real & (counts.duplicates > 0)),
        "learned_sink": (measured.sink, counts.real),
    }
    return {name: _mean(value, where) for name, (value, where) in values.items()}


def uniform(counts: Seen) -> dict[str, torch.Tensor]:
    """The same statistics of attention that is uniform over visible keys, each [B], float64.

    Args:
        counts: What a layer's queries see.
    """
    n = counts.keys.double()
    at = torch.arange(counts.keys.shape[1], device=n.device)
    values = {
        "entropy": (n.log(), counts.real),
        "entropy_share": (torch.ones_like(n), counts.real & (counts.keys >= 2)),
        "first_token": (1 / n, counts.real & counts.first),
        "distance": (at - counts.positions / n, counts.real),
        "recent": (counts.recent / n, counts.real),
        "previous_token": (1 / n, counts.real & counts.previous),
        "duplicate_token": (torch.zeros_like(n), counts.real & (counts.duplicates > 0)),
        "learned_sink": (torch.zeros_like(n), counts.real),
    }
    return {name: _mean(value[:, None], where)[:, 0] for name, (value, where) in values.items()}


def _mean(values: torch.Tensor, where: torch.Tensor) -> torch.Tensor:
    """Mean over the queries of `where`; nan if there are none."""
    chosen = torch.where(where[:, None], values.double(), 0)
    return chosen.sum(-1) / where.sum(-1, keepdim=True)
