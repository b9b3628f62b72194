"""The check of all layers together is that of each alone, and names the one that does not close."""

import pytest
import torch

from lab.errors import ModelUnsupported
from lab.probing.closure import closure, closures
from lab.probing.sums import PARTS, Sums, some

pytestmark = pytest.mark.usefixtures("one_thread")


def parts(seed, wrong=0.0):
    pre, attended, fed = torch.randn(3, 2, 5, 8, generator=torch.Generator().manual_seed(seed))
    return dict(zip(PARTS, (pre, attended, fed, pre + attended + fed + wrong), strict=True))


def test_layers_together_are_each_alone():
    layers = [parts(0), parts(1, wrong=0.01), parts(2)]
    together = closures(torch.stack([torch.stack(list(each.values())) for each in layers]), torch.finfo(torch.float32).eps)
    for found, (pre, attended, fed, post) in zip(together, (each.values() for each in layers), strict=True):
        assert torch.equal(found, closure(pre, (attended, fed), post))
    assert together[1, 0] > 1e-3 > together[[0, 2], 0].max()


@pytest.mark.parametrize("settled", [True, False])
def test_the_layer_that_does_not_close_is_named(settled):
    sums = Sums("Toy")
    for layer, wrong in ((3, 0.0), (1, 0.01)):
        sums.add(layer, parts(layer, wrong))
    if settled:
        sums.settle()
        sums.add(1, parts(5))  # a second forward pass, in which all is well, does not make the first one better
    with pytest.raises(ModelUnsupported, match="Toy: layer 1 does not close"):
        sums.check()


@pytest.mark.parametrize("length", [1, 2, 7, 8, 14, 15, 100, 4096])
def test_some_positions_are_spread_over_the_text(length):
    chosen = list(range(length))[some(length)]
    assert chosen[-1] == length - 1 and chosen[0] <= length // 7 and min(8, length) <= len(chosen) < 16
    assert len({after - before for before, after in zip(chosen, chosen[1:], strict=False)}) <= 1
