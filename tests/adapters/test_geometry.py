import numpy as np
import pytest
import torch

from lab.adapters.geometry import along, measure
from lab.adapters.update import from_factors
from lab.adapters.weights import as_update, decompose, seen


def weight(out, into):
    return torch.randn(out, into, generator=torch.Generator().manual_seed(0))


def measured(update, matrix, *, rank=3, **options):
    return measure(matrix, decompose(matrix), update, rank=rank, k=5, draws=4,
                   generator=torch.Generator().manual_seed(0), **options)


@pytest.mark.parametrize("shape", [(12, 20), (20, 12)])
def test_a_module_is_measured_as_dense_algebra_measures_it(shape):
    matrix, generator = weight(*shape), torch.Generator().manual_seed(1)
    down, up = torch.randn(3, shape[1], generator=generator), torch.randn(shape[0], 3, generator=generator)
    dense = 0.5 * up.double() @ down.double()
    found = measured(from_factors(down, up, 0.5), matrix)
    left, values, right = torch.linalg.svd(dense)
    own = torch.linalg.svdvals(matrix.double())
    np.testing.assert_allclose(found.singular_values, values[:3], rtol=1e-9)
    assert np.isclose(found.norm, dense.norm()) and np.isclose(found.weight_norm, matrix.double().norm())
    assert np.isclose(found.weight_top, own[0]) and np.isclose(found.leading, own[:3].norm())
    assert np.isclose(found.along, (left[:, :3].T @ matrix.double() @ right[:3].T).norm())
    assert found.spectral["stable_rank"] == pytest.approx(float((dense.norm() / values[0]) ** 2))
    assert found.null_cosine.shape == (4, 5) and found.null_along.shape == (4,)
    assert np.allclose(found.null_top_values.std(0) > 0, True)


def test_an_update_along_the_weights_own_directions_is_recognised():
    matrix = weight(15, 10).double()
    left, values, right = torch.linalg.svd(matrix, full_matrices=False)
    own = decompose(matrix)
    update = from_factors(right[:2], left[:, :2], 0.1)
    assert along(seen(matrix, own, update), 2) == pytest.approx(float(values[:2].norm()))
    found = measured(update, matrix, rank=2)
    assert found.along == pytest.approx(found.leading) and (found.null_along < 0.7 * found.along).all()


def test_a_zero_update_has_no_directions_and_no_intruders():
    found = measured(from_factors(torch.randn(3, 10), torch.zeros(15, 3), 1.0), weight(15, 10))
    assert not found.singular_values.any() and len(found.singular_values) == 3 and found.norm == 0
    assert np.isnan(found.along) and found.spectral == {"effective_rank": 0.0, "stable_rank": 0.0, "rank_90": 0.0}
    np.testing.assert_allclose(found.cosine, 1)


def test_a_dense_difference_stands_beside_a_gaussian_matrix():
    matrix = weight(15, 10)
    found = measured(as_update(0.1 * torch.randn(15, 10, generator=torch.Generator().manual_seed(3))), matrix, rank=10,
                     dense=True)
    assert len(found.singular_values) == 10 and np.isclose(found.strength, np.linalg.norm(found.singular_values[:5]))
    assert found.along < 0.9 * found.weight_norm  # of all ten directions it would be the whole weight
    assert abs(found.spectral["rank_90"] - found.null_spectral["rank_90"].mean()) <= 1.5
    assert found.null_spectral["effective_rank"].mean() > 7


def test_the_same_generator_gives_the_same_null():
    matrix = weight(12, 9)
    one, other = (measured(from_factors(torch.ones(1, 9), torch.ones(12, 1), 1.0), matrix, rank=1) for _ in range(2))
    np.testing.assert_array_equal(one.null_cosine, other.null_cosine)
