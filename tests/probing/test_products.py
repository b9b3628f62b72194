"""Lengths and inner products against float64, by PyTorch and by the fused kernel."""

import pytest
import torch

from lab.probing.products import COUNT, fused, plain, products

pytestmark = pytest.mark.usefixtures("one_thread")
needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")


def parts(dtype, width=72, device="cpu"):
    """What a layer takes and adds; it erases most of the stream, so that its output is short against its input."""
    generator = torch.Generator().manual_seed(0)
    pre, attention, rest = torch.randn(3, 2, 5, width, generator=generator, dtype=torch.float64)
    return [each.to(dtype).to(device) for each in (pre * 30, attention, rest - 29 * pre)]


def expected(pre, attention, feed_forward):
    p, a, f = (each.double().cpu() for each in (pre, attention, feed_forward))
    every = [p.norm(dim=-1), a.norm(dim=-1), (p + a).norm(dim=-1), f.norm(dim=-1), (p + a + f).norm(dim=-1),
             (p * a).sum(-1), (p * f).sum(-1), (a * f).sum(-1)]
    return torch.stack(every, -1)


def check(found, given):
    want = expected(*given)
    sizes = torch.cat([want[..., :5], want[..., [0, 0, 1]] * want[..., [1, 3, 3]]], -1)  # an inner product may be near 0
    assert found.shape == (2, 5, COUNT) and found.dtype in (torch.float32, torch.float64)
    assert float(((found.double().cpu() - want).abs() / sizes).max()) < 2e-6


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
def test_by_pytorch(dtype):
    given = parts(dtype)
    check(products(*given), given)


@needs_cuda
@pytest.mark.parametrize("width", [72, 1024, 3584])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_by_the_kernel(dtype, width):
    given = parts(dtype, width, "cuda")
    check(fused(*given), given)
    torch.testing.assert_close(fused(*given), plain(*given), rtol=1e-5, atol=1e-2)
