"""Draws from the null have the distribution of what they stand for, made the slow way."""

import numpy as np
import torch

from lab.adapters.haar import haar_frame
from lab.adapters.intruders import top_directions
from lab.adapters.null_updates import gaussian_values, product_values, random_seen
from lab.adapters.update import Update
from lab.adapters.weights import Seen, decompose, seen

DRAWS = 400


def moments(samples):
    return np.array([each.numpy() if torch.is_tensor(each) else each for each in samples]).mean(0)


def test_random_directions_see_the_weight_as_frames_drawn_in_full_width():
    generator = torch.Generator().manual_seed(0)
    for shape in ((14, 9), (9, 14)):
        matrix = torch.randn(*shape, generator=generator) * torch.linspace(3, 0.1, shape[1])
        own, sizes = decompose(matrix), torch.tensor([6.0, 3.0]).double()
        quick, slow = [], []
        for _ in range(DRAWS):
            frames = [haar_frame(width, 2, generator, torch.float64) for width in shape]
            pair = (random_seen(own, 2, generator), seen(matrix, own, Update(frames[0], sizes, frames[1])))
            for given, kept in zip(pair, (quick, slow), strict=True):
                top = top_directions(own.values, sizes, given, 3)
                kept.append(np.array([*top.values, *top.cosine, float((given.left.T @ given.right).norm())]))
        error = np.std(slow, axis=0) * (2 / DRAWS) ** 0.5
        assert (np.abs(moments(quick) - moments(slow)) < 4 * error).all()


def test_random_directions_keep_the_size_they_should_have():
    given = random_seen(decompose(torch.randn(6, 9)), 2, torch.Generator().manual_seed(0))
    assert isinstance(given, Seen) and given.left.shape == (6, 2)
    torch.testing.assert_close(given.left.T @ given.left, torch.eye(2, dtype=torch.float64), rtol=0, atol=1e-12)


def test_values_of_a_gaussian_matrix_come_without_the_matrix():
    generator = torch.Generator().manual_seed(1)
    for out, into in ((7, 4), (4, 7), (5, 5)):
        quick = [gaussian_values(out, into, generator) for _ in range(DRAWS)]
        slow = [torch.linalg.svdvals(torch.randn(out, into, generator=generator).double()) for _ in range(DRAWS)]
        error = np.std([each.numpy() for each in slow], axis=0) * (2 / DRAWS) ** 0.5
        assert (np.abs(moments(quick) - moments(slow)) < 4 * error).all()


def test_values_of_a_product_of_gaussian_factors_come_from_their_triangles():
    generator = torch.Generator().manual_seed(2)
    for out, into, rank in ((9, 6, 3), (3, 8, 5)):
        quick = [product_values(out, into, rank, generator)[:3] for _ in range(DRAWS)]
        slow = [torch.linalg.svdvals(torch.randn(out, rank, generator=generator).double()
                                     @ torch.randn(rank, into, generator=generator).double())[:3] for _ in range(DRAWS)]
        error = np.std([each.numpy() for each in slow], axis=0) * (2 / DRAWS) ** 0.5
        assert (np.abs(moments(quick) - moments(slow)) < 4 * error).all()
