"""The large probe fits what no plane can, is the same twice, and its optimiser is PyTorch's AdamW."""

import numpy as np
import pytest
import torch

from lab.probing import linear_wide

pytestmark = pytest.mark.usefixtures("one_thread")


def parity(rows: int = 200) -> tuple[torch.Tensor, np.ndarray]:
    points = torch.rand(1, rows, 2, generator=torch.Generator().manual_seed(0)) * 2 - 1
    return points, (points[0, :, 0] * points[0, :, 1] > 0).long().numpy()


def test_it_learns_what_is_not_linear_and_gives_probabilities():
    points, labels = parity()
    train, test = np.arange(150), np.arange(150, 200)
    found = [linear_wide.wide_predictions(points, labels[None], 2, train, test, train % 3, hidden=64) for _ in range(2)]
    assert found[0].shape == (1, 1, 50, 2) and (found[0] == found[1]).all()
    np.testing.assert_allclose(np.exp(found[0]).sum(-1), 1)
    assert (found[0][0, 0].argmax(-1) == labels[test]).mean() > 0.85


def test_networks_side_by_side_are_as_if_alone_and_as_by_adamw(monkeypatch):
    monkeypatch.setattr(linear_wide, "STEPS", 5)
    points, labels = parity(40)
    targets = torch.as_tensor(np.stack([labels, 1 - labels]))
    rows, every = points[0], np.arange(40)
    both = linear_wide._fitted(rows, targets, 2, every, every, 8, [0.1, 0.5], 0)
    torch.manual_seed(0)
    bounds = ((2, 8, 2), (1, 8, 2), (8, 2, 8), (1, 2, 8))
    weights = [((torch.rand(2, a, b) * 2 - 1) / fan ** 0.5) for a, b, fan in bounds]
    for one, decay in enumerate((0.1, 0.5)):
        mine = [torch.nn.Parameter(each[one].clone()) for each in weights]
        optimiser = torch.optim.AdamW(mine, lr=linear_wide.RATE, weight_decay=decay)
        for _ in range(5):
            optimiser.zero_grad()
            said = torch.relu(rows @ mine[0] + mine[1]) @ mine[2] + mine[3]
            torch.nn.functional.cross_entropy(said, targets[one]).backward()
            optimiser.step()
        expected = (torch.relu(rows @ mine[0] + mine[1]) @ mine[2] + mine[3]).log_softmax(-1)
        torch.testing.assert_close(both[one], expected.detach(), atol=1e-4, rtol=0)
