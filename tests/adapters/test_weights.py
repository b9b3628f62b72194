import pytest
import torch

from lab.adapters import weights
from lab.adapters.update import from_factors
from lab.adapters.weights import as_update, decompose, seen, times, transposed_times

SHAPES = [(14, 9), (9, 14), (11, 11)]


@pytest.fixture(autouse=True)
def small_slices(monkeypatch):
    """Weights are read in several slices, of which the last is shorter."""
    monkeypatch.setattr(weights, "_SLICE", 40)


def weight(out, into, dtype=torch.float32):
    return torch.randn(out, into, generator=torch.Generator().manual_seed(out)).to(dtype)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_singular_values_and_vectors_are_those_of_a_dense_decomposition(shape, dtype):
    matrix = weight(*shape, dtype)
    left, values, right = torch.linalg.svd(matrix.double(), full_matrices=False)
    own = decompose(matrix)
    torch.testing.assert_close(own.values, values, rtol=1e-9, atol=1e-10)
    cosines = (own.vectors * (left if own.left else right.T)).sum(0).abs()
    torch.testing.assert_close(cosines, torch.ones_like(cosines), rtol=0, atol=1e-9)
    assert own.shape == shape and abs(own.norm - float(matrix.double().norm())) < 1e-9


def test_directions_that_rounding_decides_are_left_out():
    matrix = weight(9, 14).double()
    matrix[-1] = matrix[0] * (1 + 1e-9)
    assert len(decompose(matrix).values) == 8
    assert len(decompose(torch.zeros(3, 5)).values) == 0


@pytest.mark.parametrize("shape", SHAPES)
def test_products_in_slices_are_whole_products(shape):
    matrix, generator = weight(*shape, torch.bfloat16), torch.Generator().manual_seed(0)
    right, left = (torch.randn(size, 3, generator=generator, dtype=torch.float64) for size in reversed(shape))
    torch.testing.assert_close(times(matrix, right), matrix.double() @ right)
    torch.testing.assert_close(transposed_times(matrix, left), matrix.double().T @ left)


@pytest.mark.parametrize("shape", SHAPES)
def test_an_update_is_seen_as_the_left_singular_vectors_see_it(shape):
    matrix, generator = weight(*shape), torch.Generator().manual_seed(1)
    update = from_factors(torch.randn(3, shape[1], generator=generator), torch.randn(shape[0], 3, generator=generator), 1.0)
    left, values, right = torch.linalg.svd(matrix.double(), full_matrices=False)
    own = decompose(matrix)
    given = seen(matrix, own, update)
    sign = torch.sign((own.vectors * (left if own.left else right.T)).sum(0))[:, None]
    torch.testing.assert_close(sign * given.left, left.T @ update.left, rtol=0, atol=1e-9)
    torch.testing.assert_close(sign * given.right, left.T @ matrix.double() @ update.right, rtol=0, atol=1e-9)


@pytest.mark.parametrize("shape", SHAPES)
def test_a_dense_difference_has_its_directions_and_sizes(shape):
    difference = weight(*shape)
    update = as_update(difference)
    product = update.left @ torch.diag(update.values) @ update.right.T
    torch.testing.assert_close(product, difference.double(), rtol=0, atol=1e-9)
    torch.testing.assert_close(update.values, torch.linalg.svdvals(difference.double()), rtol=1e-9, atol=1e-10)
