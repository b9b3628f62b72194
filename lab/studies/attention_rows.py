"""Prompts through the measurements, batch by batch, and back in their own order."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import groupby
from typing import Any

import numpy as np
import torch

from lab.attention.compare import Compared, compare
from lab.attention.measure import measure
from lab.data.prompts import Prompt, batches

TOKENS_AT_ONCE = 8192  # of all rows of a forward pass, base and adapters


def by_length(prompts: Sequence[Prompt], tokens_at_once: int = TOKENS_AT_ONCE) -> Iterator[tuple[np.ndarray, torch.Tensor]]:
    """Yields batches of prompts of one length, so that nothing is padded: indices into `prompts` [B], token ids [B, T].

    Args:
        prompts: In any order.
        tokens_at_once: Tokens in one batch; a prompt longer than that is a batch of its own.
    """
    def length(index: int) -> int:
        return len(prompts[index].input_ids)

    for _, group in groupby(sorted(range(len(prompts)), key=length, reverse=True), key=length):
        alike = np.array(list(group))
        for indices, ids, _ in batches([prompts[i] for i in alike], 0, tokens_at_once):
            yield alike[indices], torch.from_numpy(ids)


def measured(model: Any, prompts: Sequence[Prompt], *, recent: int, routed: bool
             ) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Returns every statistic of one model [prompts, L, H], and what uniform attention would give [prompts, L].

    Args:
        model: In evaluation mode.
        prompts: What it reads.
        recent: See `lab.attention.measure.measure`.
        routed: Likewise.
    """
    found = _each(prompts, TOKENS_AT_ONCE, partial(measure, model, recent=recent, routed=routed))
    return in_order([(i, m.statistics) for i, m in found]), in_order([(i, m.uniform) for i, m in found])


def compared(model: Any, adapters: Sequence[str], prompts: Sequence[Prompt], *, recent: int, routed: bool
             ) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray], dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Returns base and every adapter on the same prompts, adapters as rows of one batch, as many at once as fit.

    Args:
        model: A PEFT model in evaluation mode.
        adapters: A names.
        prompts: P prompts.
        recent: See `lab.attention.compare.compare`.
        routed: Likewise.

    Returns:
        Statistics of the base [P, L, H] and of the adapters [A, P, L, H], what uniform attention would give [P, L], and
        the changes by name [A, P, L, H].
    """
    groups = _adapter_groups(adapters, prompts)
    parts = []
    for group in groups:
        room = max(1, TOKENS_AT_ONCE // (1 + len(group)))
        found = _each(prompts, room, partial(compare, model, group, recent=recent, routed=routed))
        parts.append((in_order([(i, c.base) for i, c in found]), in_order([(i, c.uniform) for i, c in found]),
                      in_order([(i, c.tuned) for i, c in found], axis=1),
                      in_order([(i, changes_of(c)) for i, c in found], axis=1)))
    base, uniform = parts[0][:2]
    tuned, changes = ({name: np.concatenate([part[k][name] for part in parts]) for name in parts[0][k]} for k in (2, 3))
    return base, tuned, uniform, changes


def adapters_at_once(prompts: Sequence[Prompt]) -> int:
    """Returns how many adapters fit into one forward pass beside the base, at least one."""
    longest = max(len(prompt.input_ids) for prompt in prompts)
    return max(1, min(8, TOKENS_AT_ONCE // longest - 1))  # more of them gain nothing: PEFT runs them one after the other


def _adapter_groups(adapters: Sequence[str], prompts: Sequence[Prompt]) -> list[Sequence[str]]:
    size = adapters_at_once(prompts)
    return [adapters[start:start + size] for start in range(0, len(adapters), size)]


def changes_of(found: Compared) -> dict[str, torch.Tensor]:
    """Returns the changes of a comparison by name, each [A, P, L, H]."""
    assert found.direct is not None and found.inherited is not None
    return {"divergence": found.divergence, "direct": found.direct, "inherited": found.inherited,
            "output_change": found.output_change}


def _each(prompts: Sequence[Prompt], room: int, work: Callable[[torch.Tensor], Any]) -> list[tuple[np.ndarray, Any]]:
    return [(indices, work(ids)) for indices, ids in by_length(prompts, room)]


def in_order(parts: Sequence[tuple[np.ndarray, dict[str, torch.Tensor]]], axis: int = 0) -> dict[str, np.ndarray]:
    """Returns batches as one array a name, prompts in their own order.

    Args:
        parts: Indices of each batch's prompts, and its values by name.
        axis: Of the prompts.
    """
    order = np.argsort(np.concatenate([indices for indices, _ in parts]))
    return {name: np.concatenate([values[name].numpy() for _, values in parts], axis=axis).take(order, axis=axis)
            for name in parts[0][1]}
