"""Seeds: equal seeds give equal numbers, and a seeded block leaves the rest of the process as it was."""

import random

import numpy as np
import pytest
import torch

from lab.errors import OptionError
from lab.randomness import LARGEST_SEED, seed_everything, seeded


def draw():
    return random.random(), float(np.random.rand()), torch.rand(3).tolist()


@pytest.fixture(autouse=True)
def restore():
    yield
    torch.use_deterministic_algorithms(False)


def test_one_seed_one_sequence():
    seed_everything(3)
    first = draw()
    assert draw() != first
    seed_everything(3)
    assert draw() == first
    seed_everything(4)
    assert draw() != first


def test_only_deterministic_algorithms_on_a_cpu():
    seed_everything(0, "cpu")
    assert torch.are_deterministic_algorithms_enabled()
    seed_everything(0, "cuda")
    assert not torch.are_deterministic_algorithms_enabled()


def test_a_seeded_block_gives_its_numbers_anywhere_and_disturbs_nothing():
    torch.manual_seed(1)
    before = torch.rand(2).tolist()
    with seeded(7):
        inside = torch.rand(4).tolist()
    after = torch.rand(2).tolist()
    torch.manual_seed(1)
    assert [torch.rand(2).tolist(), torch.rand(2).tolist()] == [before, after]
    torch.manual_seed(99)
    with seeded(7):
        assert torch.rand(4).tolist() == inside


@pytest.mark.parametrize("seed", [-1, LARGEST_SEED + 1])
def test_seeds_out_of_range(seed):
    with pytest.raises(OptionError, match=f"seed is {seed}; allowed is a whole number from 0 to"):
        seed_everything(seed)
    with pytest.raises(OptionError, match=f"seed is {seed}"), seeded(seed):
        pass
