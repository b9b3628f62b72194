"""The fused kernels against the plain PyTorch ones in float64; only on a machine with CUDA and Triton."""

from dataclasses import fields, replace

import pytest
import torch

from lab.attention import divergence, kernels, per_query
from lab.attention.heads import Heads
from lab.attention.visibility import Visibility

needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
RECENT = 16

CASES = {
    "grouped heads": dict(shape=(1, 4, 2, 300), widths=(32, 32)),
    "left and right padding": dict(shape=(2, 4, 2, 700), widths=(64, 64), padding=((270, 0), (0, 5))),
    "window and odd widths": dict(shape=(2, 4, 4, 513), widths=(24, 20), window=20, padding=((7, 0), (0, 0))),
    "window and cap": dict(shape=(1, 4, 1, 1000), widths=(128, 128), window=300, softcap=2.0),
    "values narrower than keys": dict(shape=(1, 4, 1, 640), widths=(192, 128)),
    "wide heads": dict(shape=(1, 4, 1, 640), widths=(256, 256)),
    "learned sinks": dict(shape=(1, 2, 1, 1400), widths=(64, 64), sinks=True, sharpness=8.0),
    "sharp": dict(shape=(1, 2, 1, 3000), widths=(128, 128), sharpness=30.0),
}


def pair(shape, widths, dtype, window=None, padding=None, softcap=None, sinks=False, sharpness=3.0):
    """Two layers' heads that differ a little, and tokens among which many are the same."""
    batch, count, groups, length = shape
    generator = torch.Generator("cuda").manual_seed(0)

    def noise(heads, width):
        return torch.randn(batch, heads, length, width, generator=generator, device="cuda")

    real = None
    if padding:
        real = torch.ones(batch, length, dtype=torch.bool, device="cuda")
        for row, (left, right) in enumerate(padding):
            real[row, :left] = False
            real[row, length - right:] = False
    visibility = Visibility(length, length, batch, real, window=window, device="cuda")
    queries, keys = noise(count, widths[0]) * sharpness, noise(groups, widths[0])
    sink = torch.randn(count, generator=generator, device="cuda") if sinks else None
    one = Heads(queries.to(dtype), keys.to(dtype), noise(groups, widths[1]).to(dtype), widths[0] ** -0.5, visibility,
                softcap, sink)
    other = replace(one, queries=(queries + 0.1 * noise(count, widths[0])).to(dtype),
                    keys=(keys + 0.1 * noise(groups, widths[0])).to(dtype))
    return one, other, torch.randint(0, length // 4, (batch, length), generator=generator, device="cuda")


def exact(heads):
    sink = None if heads.sink is None else heads.sink.double()
    return replace(heads, queries=heads.queries.double(), keys=heads.keys.double(), values=heads.values.double(), sink=sink)


@needs_cuda
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32], ids=["bfloat16", "float32"])
@pytest.mark.parametrize("case", CASES)
def test_kernels_agree_with_float64(case, dtype):
    one, other, tokens = pair(**CASES[case], dtype=dtype)
    if not kernels.fits(one):
        assert dtype == torch.float32 and max(CASES[case]["widths"]) > 128
        return
    found, expected = kernels.per_query(one, tokens, RECENT), per_query.by_blocks(exact(one), tokens, RECENT)
    real = one.visibility.real_queries
    for field in fields(found):
        mine, theirs = getattr(found, field.name).double(), getattr(expected, field.name)
        chosen = (mine[real], theirs[real]) if field.name == "output" else (
            mine.transpose(1, 2)[real], theirs.transpose(1, 2)[real])
        rounding = 1e-5 * max(1.0, CASES[case].get("sharpness", 3.0) / 3)  # float32 keeps scores relative to their size
        bound = rounding if field.name != "output" or dtype == torch.float32 else 2e-2  # of weights rounded to bfloat16
        torch.testing.assert_close(*chosen, atol=bound, rtol=bound, msg=lambda text, name=field.name: f"{name}: {text}")
    torch.testing.assert_close(divergence.divergence(one, other), divergence.by_blocks(exact(one), exact(other)),
                               atol=1e-6, rtol=1e-3)
    torch.testing.assert_close(kernels.log_total(one).double().transpose(1, 2)[real],
                               expected.log_total.transpose(1, 2)[real], atol=1e-5, rtol=1e-5)


@needs_cuda
def test_equal_patterns_differ_by_exactly_nothing():
    one, other, _ = pair(**CASES["left and right padding"], dtype=torch.bfloat16)
    assert kernels.divergence(one, one).abs().max() == 0
    assert torch.equal(kernels.divergence(one, other), kernels.divergence(other, one))


@needs_cuda
def test_far_and_disjoint_patterns_stay_below_ln_2():
    one, other, _ = pair((1, 2, 2, 400), (64, 64), torch.bfloat16, sharpness=100.0)
    found = kernels.divergence(one, replace(other, queries=-other.queries))
    assert found.max() <= 0.6932 and found[..., 50:].mean() > 0.6


@needs_cuda
def test_padding_that_sees_nothing_is_zero_and_not_nan():
    one, _, tokens = pair((1, 2, 2, 400), (64, 64), torch.bfloat16, padding=((300, 0),))
    output = kernels.per_query(one, tokens, RECENT).output
    assert torch.isfinite(output).all() and (output[:, :256] == 0).all()


def test_kernels_are_for_cuda_alone():
    heads = Heads(*(torch.zeros(1, 1, 4, 8) for _ in range(3)), 1.0, Visibility(4, 4, 1, None))
    assert not kernels.fits(heads)
