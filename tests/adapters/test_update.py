import pytest
import torch

from lab.adapters.update import exact, from_factors, total

SHAPES = [(12, 20, 3), (20, 12, 3), (4, 9, 7)]  # in the last the rank exceeds a width


def factors(out, into, rank, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(rank, into, generator=generator), torch.randn(out, rank, generator=generator)


def dense(update):
    return update.left @ torch.diag(update.values) @ update.right.T


@pytest.mark.parametrize("out, into, rank", SHAPES)
@pytest.mark.parametrize("scaling", [0.5, -2.0])
def test_an_update_is_the_dense_product_with_its_singular_values(out, into, rank, scaling):
    down, up = factors(out, into, rank)
    product = scaling * up.double() @ down.double()
    update = from_factors(down, up, scaling)
    torch.testing.assert_close(dense(update), product, rtol=1e-10, atol=1e-12)
    count = min(out, into, rank)
    torch.testing.assert_close(update.values, torch.linalg.svdvals(product)[:count], rtol=1e-10, atol=1e-12)
    assert abs(update.norm - float(product.norm())) < 1e-10
    for frame in (update.left, update.right):
        torch.testing.assert_close(frame.T @ frame, torch.eye(count, dtype=torch.float64), rtol=0, atol=1e-12)


def test_directions_without_size_are_left_out():
    down, up = factors(6, 5, 4)
    up[:, 2] = up[:, 0]
    assert len(from_factors(down, up, 1.0).values) == 3
    nothing = from_factors(down, torch.zeros_like(up), 1.0)
    assert len(nothing.values) == 0 and nothing.norm == 0 and dense(nothing).shape == (6, 5)


def test_parts_multiples_and_sums_are_those_of_the_dense_update():
    one, other = (from_factors(*factors(9, 7, 3, seed), 1.0) for seed in (0, 1))
    torch.testing.assert_close(dense(one.scaled(0.5)), 0.5 * dense(one))
    assert len(one.scaled(0.0).values) == 0
    torch.testing.assert_close(dense(one.part(slice(0, 1))) + dense(one.part(slice(1, None))), dense(one))
    both = total(one, other)
    torch.testing.assert_close(dense(both), dense(one) + dense(other))
    torch.testing.assert_close(both.values, torch.linalg.svdvals(dense(one) + dense(other))[:6])


def test_factors_make_the_update_again_padded_with_zeros():
    update = from_factors(*factors(9, 7, 3), 2.0)
    down, up = update.factors(5)
    assert down.shape == (5, 7) and up.shape == (9, 5) and not down[3:].any() and not up[:, 3:].any()
    torch.testing.assert_close((up @ down).double(), dense(update), rtol=1e-5, atol=1e-6)


def test_numbers_become_float64_where_they_lie():
    assert exact(torch.ones(2, dtype=torch.bfloat16, requires_grad=True)).dtype == torch.float64
