"""Base and adapters on the same prompts, as rows of one batch."""

from collections.abc import Sequence

import torch

from lab.models.rows import BASE


def together(adapters: Sequence[str], tokens: torch.Tensor, real: torch.Tensor | None
             ) -> tuple[list[str], torch.Tensor, torch.Tensor | None]:
    """The adapter of every row, tokens [(1 + A)·P, T] and what is real of them: P rows of the base, then P of each adapter.

    Args:
        adapters: A names.
        tokens: [P, T], token ids.
        real: [P, T], False for padding; None where there is none.
    """
    copies = 1 + len(adapters)
    names = [name for name in (BASE, *adapters) for _ in range(len(tokens))]
    return names, tokens.repeat(copies, 1), None if real is None else real.repeat(copies, 1)
