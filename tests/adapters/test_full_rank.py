"""The directions of whole updates, against dense decompositions and matrices whose rank is known."""

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from lab.adapters.difference import Pair
from lab.adapters.full_rank import update_ranks, values
from lab.adapters.spectra import rank_at_energy
from lab.models.safetensors_files import read_header

pytestmark = pytest.mark.usefixtures("one_thread")


def pair_of(folder, base, tuned, *, transposed=False) -> Pair:
    folder.mkdir(exist_ok=True)
    for name, weight in (("base", base), ("tuned", tuned)):
        save_file({"w": weight.contiguous()}, folder / f"{name}.safetensors")
    return Pair("w", *(read_header(folder / f"{name}.safetensors")[0] for name in ("base", "tuned")), transposed)


def noise(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_values_are_those_of_the_decomposition():
    for shape in ((12, 30), (30, 12), (20, 20)):
        matrix = noise(*shape).double()
        torch.testing.assert_close(values(matrix), torch.linalg.svdvals(matrix), rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("transposed", [False, True])
def test_an_update_of_rank_3_has_3_directions_however_many_its_weight_has(tmp_path, transposed):
    base = noise(40, 60)
    left, right = torch.linalg.qr(noise(40, 3, seed=1)).Q, torch.linalg.qr(noise(60, 3, seed=2)).Q
    found, = update_ranks([pair_of(tmp_path / "w", base, base + left @ right.T, transposed=transposed)])
    assert found.rank_90 == 3 and found.stable_rank == pytest.approx(3, rel=1e-4)
    assert found.shape == ((60, 40) if transposed else (40, 60)) and found.full == 40
    assert found.weight_rank_90 == rank_at_energy(torch.linalg.svdvals(base.double()))
    assert found.kept_exactly


def test_the_null_is_that_of_gaussian_matrices_made_whole(tmp_path):
    base = noise(48, 48)
    found, = update_ranks([pair_of(tmp_path / "w", base, base + noise(48, 48, seed=5))], draws=200)
    whole = [torch.linalg.svdvals(noise(48, 48, seed=seed).double()) for seed in range(10, 210)]
    ranks = np.array([rank_at_energy(each) for each in whole])
    assert found.null_rank_90.mean() == pytest.approx(ranks.mean(), abs=0.2)
    assert found.null_rank_90.min() - 1 <= found.rank_90 <= found.null_rank_90.max() + 1
    stable = np.mean([float(each.square().sum() / each[0] ** 2) for each in whole])
    assert found.null_stable_rank.mean() == pytest.approx(stable, rel=0.02)


def test_a_square_gaussian_matrix_needs_half_its_directions(tmp_path):
    base = torch.zeros(256, 256)
    found, = update_ranks([pair_of(tmp_path / "w", base, noise(256, 256))])
    assert found.null_rank_90.mean() / 256 == pytest.approx(0.51, abs=0.015)


def test_rounding_alone_makes_a_high_rank_and_is_told(tmp_path):
    base = noise(64, 64)
    step = torch.outer(noise(64, seed=1), noise(64, seed=2))
    exact, = update_ranks([pair_of(tmp_path / "exact", base, base + 1e-3 * step)])
    rounded, = update_ranks([pair_of(tmp_path / "rounded", base, (base + 1e-3 * step).bfloat16())])
    assert exact.kept_exactly and exact.rank_90 == 1
    assert not rounded.kept_exactly and rounded.rank_90 > 20


def test_nothing_changed_has_no_directions(tmp_path):
    found, = update_ranks([pair_of(tmp_path / "w", noise(8, 8), noise(8, 8))])
    assert found.rank_90 == 0 and found.stable_rank == 0
