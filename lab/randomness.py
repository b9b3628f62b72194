"""Seeds: the same seed gives the same numbers, in a fresh process or in a warm one."""

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from lab.errors import OptionError

LARGEST_SEED = 2**32 - 1  # NumPy's limit, the tightest of the three generators


def seed_everything(seed: int, device: str = "cpu") -> None:
    """Seeds Python, NumPy and PyTorch on every device, and on a CPU allows deterministic algorithms only.

    On a GPU deterministic algorithms stay off: some operations of training have none there.

    Args:
        seed: Between 0 and 4294967295.
        device: Where the model runs: `cpu`, `cuda`, `cuda:1`, `mps`.

    Raises:
        OptionError: The seed is outside that range.
    """
    import torch

    _check(seed)
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
    torch.use_deterministic_algorithms(device == "cpu")
    # the switch above would also fill every fresh buffer with NaN, which costs time and guards only against our bugs
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seeds PyTorch inside the block and puts its generators back behind it, so that what ran before does not matter.

    Args:
        seed: Between 0 and 4294967295.

    Raises:
        OptionError: The seed is outside that range.
    """
    import torch

    _check(seed)
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        torch.manual_seed(seed)
        yield


def _check(seed: int) -> None:
    if not 0 <= seed <= LARGEST_SEED:
        raise OptionError(f"seed is {seed}; allowed is a whole number from 0 to {LARGEST_SEED}")
