"""Looking at a model in the middle of its training, so that the training does not notice."""

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


def spread(steps: int, count: int) -> tuple[int, ...]:
    """Returns 0 and at most `count` steps evenly spread up to the last one.

    Args:
        steps: Optimiser steps of the training.
        count: Checkpoints wanted after the start.
    """
    return (0, *sorted({round(steps * part / count) for part in range(1, count + 1)} - {0}))


@contextmanager
def set_aside(model: torch.nn.Module) -> Iterator[None]:
    """The model in evaluation mode; its modes and every random number generator are afterwards what they were.

    Args:
        model: In the middle of its training.
    """
    modes = [(module, module.training) for module in model.modules()]
    python, numbers = random.getstate(), np.random.get_state()
    model.eval()
    try:
        with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numbers)
        for module, mode in modes:
            module.training = mode
