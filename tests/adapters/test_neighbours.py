import numpy as np
import pytest
import torch

from lab.adapters.intruder_scaling import scale_intruders, with_scaled
from lab.adapters.neighbours import choose, pair
from lab.adapters.update import from_factors
from lab.adapters.weights import decompose

pytestmark = pytest.mark.usefixtures("one_thread")
SHAPES = [(60, 40), (40, 60), (50, 50)]
K = 6


def case(out, into):
    generator = torch.Generator().manual_seed(out)
    matrix = torch.randn(out, into, generator=generator)
    down, up = torch.randn(3, into, generator=generator), 2 * torch.randn(out, 3, generator=generator)
    return matrix, from_factors(down, up, 0.5), matrix.double() + 0.5 * up.double() @ down.double()


def dense(update):
    return update.left @ torch.diag(update.values) @ update.right.T


@pytest.mark.parametrize("cosine, most, expected", [
    ([0.1, 0.9, 0.8, 0.7], None, ([0], [1])),
    ([0.1, 0.2, 0.9, 0.8], None, ([0, 1], [2, 3])),
    ([0.9, 0.1, 0.2, 0.8], None, ([1, 2], [3, 0])),  # no weaker one is left for the second, so the next stronger
    ([0.1, 0.2, 0.3, 0.8], None, ([0], [3])),        # one neighbour for three
    ([0.1, 0.2, 0.9, 0.8], 1, ([0], [2])),
    ([0.9, 0.9, 0.9, 0.1], None, ([], [])),          # the fourth is beyond k
    ([0.1, 0.1, 0.1, 0.1], None, ([], [])),
])
def test_a_neighbour_is_next_in_strength_and_no_intruder(cosine, most, expected):
    assert choose(np.array(cosine), k=3, threshold=0.5, most=most) == expected


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("factor", [0.0, 0.7])
def test_scaled_neighbours_are_those_of_the_dense_tuned_weight(shape, factor):
    matrix, update, tuned = case(*shape)
    base = torch.linalg.svd(matrix.double(), full_matrices=False)[0]
    left, values, right = torch.linalg.svd(tuned, full_matrices=False)
    cosine = (base.T @ left).abs().max(0).values.numpy()
    intruders, neighbours = choose(cosine[:2 * K], k=K, threshold=0.5, most=2)
    assert len(intruders) == 2 and not set(intruders) & set(neighbours)
    found = pair(matrix, decompose(matrix), update, k=K, threshold=0.5, most=2)
    for places, directions in ((intruders, found.intruders), (neighbours, found.neighbours)):
        expected = tuned - matrix.double()
        for place in places:
            expected = expected + (factor - 1) * values[place] * torch.outer(left[:, place], right[place])
        torch.testing.assert_close(dense(with_scaled(update, directions, factor)), expected, rtol=0, atol=1e-9)


def test_all_intruders_scaled_are_what_scaling_them_at_once_gives():
    matrix, update, _ = case(60, 40)
    found = pair(matrix, decompose(matrix), update, k=K, threshold=0.5)
    at_once, count = scale_intruders(matrix, decompose(matrix), update, 0.3, k=K, threshold=0.5)
    assert count == len(found.intruders.values)
    torch.testing.assert_close(dense(with_scaled(update, found.intruders, 0.3)), dense(at_once), rtol=0, atol=1e-9)


def test_a_weight_without_intruders_has_no_pair():
    matrix, _, _ = case(40, 60)
    nothing = from_factors(1e-4 * torch.randn(1, 60), torch.randn(40, 1), 1.0)
    assert pair(matrix, decompose(matrix), nothing, k=K, threshold=0.5) is None
