"""Base and adapters on the same prompts, as rows of one batch."""

from collections.abc import Mapping, Sequence

import torch

from lab.models.rows import BASE


def together(adapters: Sequence[str], given: Mapping[str, torch.Tensor]) -> tuple[list[str], dict[str, torch.Tensor]]:
    """The adapter of each of (1 + A)·P rows, P of the base and then P of each adapter, and what the model is called with.

    Args:
        adapters: A names.
        given: From `lab.models.batch.inputs`, [P, T] each.
    """
    names = [name for name in (BASE, *adapters) for _ in range(len(given["input_ids"]))]
    return names, {name: each.repeat(1 + len(adapters), 1) for name, each in given.items()}
