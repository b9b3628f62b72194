import math

import numpy as np
import torch

from lab.adapters.spectra import as_grid, effective_rank, rank_at_energy, singular_values, stable_rank


def test_singular_values_equal_those_of_the_dense_product():
    generator = torch.Generator().manual_seed(0)
    down, up = torch.randn(3, 20, generator=generator), torch.randn(12, 3, generator=generator)
    dense = torch.linalg.svdvals(0.5 * up.double() @ down.double())[:3]
    torch.testing.assert_close(singular_values(down, up, 0.5), dense, rtol=1e-10, atol=1e-12)


def test_an_untrained_update_is_zero():
    assert singular_values(torch.randn(4, 9), torch.zeros(7, 4), 8.0).abs().max() == 0
    assert effective_rank(torch.zeros(4, dtype=torch.float64)) == 0


def test_effective_rank_counts_equal_directions_and_one_dominant_one():
    assert math.isclose(effective_rank(torch.ones(5, dtype=torch.float64)), 5, rel_tol=1e-9)
    assert math.isclose(effective_rank(torch.tensor([3.0, 0, 0], dtype=torch.float64)), 1, rel_tol=1e-9)


def test_stable_rank_and_rank_at_energy_follow_their_definitions():
    values = torch.tensor([3.0, 2.0, 1.0], dtype=torch.float64)
    assert math.isclose(stable_rank(values), 14 / 9)
    assert [rank_at_energy(values, share) for share in (0.6, 0.9, 0.95)] == [1, 2, 3]
    assert rank_at_energy(torch.ones(10), 0.9) == 9
    assert stable_rank(torch.zeros(3)) == 0 and rank_at_energy(torch.zeros(3)) == 0


def test_grid_places_layers_and_modules_and_leaves_gaps():
    found = {"model.layers.0.attn.q": torch.tensor([3.0, 1.0]), "model.layers.2.attn.q": torch.tensor([2.0, 0.5]),
             "model.layers.2.mlp.up": torch.tensor([1.0])}
    grid, roles = as_grid(found)
    assert grid.shape == (3, 2, 2) and roles == ["q", "up"]
    np.testing.assert_array_equal(grid[2, 0], [2.0, 0.5])
    assert np.isnan(grid[1]).all() and np.isnan(grid[2, 1, 1])
