import torch

from lab.adapters.haar import haar_frame
from lab.adapters.overlap import expected, overlap, random_overlap


def test_overlap_is_the_definition():
    generator = torch.Generator().manual_seed(0)
    one, other = haar_frame(12, 3, generator, torch.float64), haar_frame(12, 5, generator, torch.float64)
    found = overlap(one, other)
    for i in range(1, 4):
        for j in range(1, 6):
            by_hand = (one[:, :i].T @ other[:, :j]).norm() ** 2 / min(i, j)
            torch.testing.assert_close(found[i - 1, j - 1], by_hand)


def test_a_subspace_overlaps_with_itself_whole_and_with_its_complement_not_at_all():
    frame = haar_frame(8, 6, torch.Generator().manual_seed(0), torch.float64)
    torch.testing.assert_close(overlap(frame[:, :3], frame[:, :3]).diagonal(), torch.ones(3, dtype=torch.float64))
    assert overlap(frame[:, :3], frame[:, 3:]).max() < 1e-24


def test_random_subspaces_overlap_as_expected():
    generator = torch.Generator().manual_seed(0)
    drawn = torch.stack([random_overlap(20, 3, 4, generator) for _ in range(2000)])
    assert (drawn.mean(0) - expected(3, 4, 20)).abs().max() < 0.01
    torch.testing.assert_close(expected(3, 4, 20)[2, 3], torch.tensor(4 / 20).double())
