"""The Triton kernel of `lab.probing.products`; imported only there, on a machine with CUDA."""

import triton
import triton.language as tl


@triton.jit
def products(pre, attention, feed_forward, found, D: tl.constexpr, N: tl.constexpr):
    """One token's five lengths and three inner products; a program reads its three rows of D once, N at a time."""
    row = tl.program_id(0).to(tl.int64)
    stream, added, middle = tl.zeros([N], tl.float32), tl.zeros([N], tl.float32), tl.zeros([N], tl.float32)
    fed, after, first = tl.zeros([N], tl.float32), tl.zeros([N], tl.float32), tl.zeros([N], tl.float32)
    second, third = tl.zeros([N], tl.float32), tl.zeros([N], tl.float32)
    for low in range(0, D, N):
        place = low + tl.arange(0, N)
        p = tl.load(pre + row * D + place, mask=place < D, other=0.0).to(tl.float32)
        a = tl.load(attention + row * D + place, mask=place < D, other=0.0).to(tl.float32)
        f = tl.load(feed_forward + row * D + place, mask=place < D, other=0.0).to(tl.float32)
        m = p + a
        stream += p * p
        added += a * a
        middle += m * m
        fed += f * f
        after += (m + f) * (m + f)
        first += p * a
        second += p * f
        third += a * f
    out = found + row * 8
    tl.store(out, tl.sqrt(tl.sum(stream, 0)))
    tl.store(out + 1, tl.sqrt(tl.sum(added, 0)))
    tl.store(out + 2, tl.sqrt(tl.sum(middle, 0)))
    tl.store(out + 3, tl.sqrt(tl.sum(fed, 0)))
    tl.store(out + 4, tl.sqrt(tl.sum(after, 0)))
    tl.store(out + 5, tl.sum(first, 0))
    tl.store(out + 6, tl.sum(second, 0))
    tl.store(out + 7, tl.sum(third, 0))
