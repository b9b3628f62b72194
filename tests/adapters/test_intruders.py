import numpy as np
import pytest
import torch

from lab.adapters.intruder_scaling import scale_intruders
from lab.adapters.intruders import counts, energy_share, remainder, top_directions
from lab.adapters.update import from_factors
from lab.adapters.weights import decompose, seen

SHAPES = [(60, 40), (40, 60), (50, 50), (12, 9)]  # the last is decomposed whole, the others by Lanczos
K = 6


def case(out, into, size=2.0):
    generator = torch.Generator().manual_seed(out)
    matrix = torch.randn(out, into, generator=generator)
    down, up = torch.randn(3, into, generator=generator), size * torch.randn(out, 3, generator=generator)
    return matrix, from_factors(down, up, 0.5), matrix.double() + 0.5 * up.double() @ down.double()


def by_hand(matrix, tuned):
    """Singular values, left and right vectors of the tuned weight, and cosines, all from dense decompositions."""
    left = torch.linalg.svd(matrix.double(), full_matrices=False)[0]
    own, values, right = torch.linalg.svd(tuned, full_matrices=False)
    return own, values, right, (left.T @ own).abs().max(0).values


@pytest.mark.parametrize("shape", SHAPES)
def test_the_strongest_directions_are_those_of_the_dense_tuned_weight(shape):
    matrix, update, tuned = case(*shape)
    own = decompose(matrix)
    top = top_directions(own.values, update.values, seen(matrix, own, update), K)
    _, values, _, cosine = by_hand(matrix, tuned)
    np.testing.assert_allclose(top.values, values[:K], rtol=1e-10)
    np.testing.assert_allclose(top.cosine, cosine[:K], atol=1e-8)
    np.testing.assert_allclose((top.own**2).sum(0) + (top.beside**2).sum(0), 1, atol=1e-10)


def test_without_an_update_every_direction_is_one_of_the_weights_own():
    matrix = case(30, 20)[0]
    own, nothing = decompose(matrix), from_factors(torch.zeros(2, 20), torch.zeros(30, 2), 1.0)
    top = top_directions(own.values, nothing.values, seen(matrix, own, nothing), K)
    np.testing.assert_allclose(top.cosine, 1, atol=1e-9)
    np.testing.assert_allclose(top.values, own.values[:K])


def test_one_strong_new_direction_is_one_intruder_and_a_strengthened_own_one_is_none():
    matrix = torch.diag(torch.arange(30, 0, -1).double())
    spread, own = torch.full((30, 1), 30**-0.5).double(), torch.eye(30, 1).double()
    for direction, expected in ((spread, 1), (own, 0)):
        update = from_factors(100 * direction.T, direction, 1.0)
        base = decompose(matrix)
        top = top_directions(base.values, update.values, seen(matrix, base, update), K)
        assert counts(top.cosine, np.array([0.5])) == expected


def test_counts_and_energy_follow_the_thresholds():
    cosine, values = np.array([[0.1, 0.9, 0.4], [1.0, 1.0, 1.0]]), np.array([[3.0, 2.0, 1.0], [3.0, 2.0, 1.0]])
    thresholds = np.array([0.05, 0.2, 0.5, 0.95])
    np.testing.assert_array_equal(counts(cosine, thresholds), [[0, 1, 2, 3], [0, 0, 0, 0]])
    np.testing.assert_allclose(energy_share(values, cosine, thresholds), [[0, 9 / 14, 10 / 14, 1], [0, 0, 0, 0]])


def test_what_a_frame_has_beside_the_weights_directions_completes_it():
    left = np.linalg.qr(np.random.default_rng(0).standard_normal((20, 4)))[0][:7]
    root = remainder(left)
    np.testing.assert_allclose(left.T @ left + root.T @ root, np.eye(4), atol=1e-12)


@pytest.mark.parametrize("shape", SHAPES[:3])
@pytest.mark.parametrize("factor", [0.0, 0.3, 1.0])
def test_scaled_intruders_are_those_of_the_dense_tuned_weight(shape, factor):
    matrix, update, tuned = case(*shape)
    left, values, right, cosine = by_hand(matrix, tuned)
    expected, found = tuned - matrix.double(), 0
    for index in range(K):
        if cosine[index] < 0.5:
            expected = expected + (factor - 1) * values[index] * torch.outer(left[:, index], right[index])
            found += 1
    scaled, count = scale_intruders(matrix, decompose(matrix), update, factor, k=K, threshold=0.5)
    assert count == found > 0
    torch.testing.assert_close(scaled.left @ torch.diag(scaled.values) @ scaled.right.T, expected, rtol=0, atol=1e-9)


def test_a_weight_without_intruders_is_left_alone():
    matrix, update, _ = case(40, 60, size=1e-4)
    scaled, count = scale_intruders(matrix, decompose(matrix), update, 0.5, k=K, threshold=0.5)
    assert count == 0 and scaled is update
