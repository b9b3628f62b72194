"""Triton kernels of `lab.attention.kernels`; imported only there, on a machine with CUDA.

One program takes M queries of one head and walks over its keys N at a time. Scores are kept in units of log 2, for exp2.
"""

import triton
import triton.language as tl

LN2 = tl.constexpr(0.6931471805599453)
INVERSE_LN2 = tl.constexpr(1.4426950408889634)
HIDDEN = tl.constexpr(-1e30)


@triton.jit
def _scores(q, keys, key, width, stride_k, stride_d, scale, cap, limit, D: tl.constexpr, CAPPED: tl.constexpr,
            PRECISION: tl.constexpr):
    """Scores [M, N] in units of log 2."""
    k = tl.load(keys + key[None, :] * stride_k + width[:, None] * stride_d,
                mask=(key[None, :] < limit) & (width[:, None] < D), other=0.0)
    s = tl.dot(q, k, input_precision=PRECISION)
    if not CAPPED:
        return s * (scale * INVERSE_LN2)
    s *= scale
    e = tl.exp2(-2 * INVERSE_LN2 * tl.abs(s / cap))  # tanh without overflow
    return tl.where(s > 0, 1.0, -1.0) * (1 - e) / (1 + e) * (cap * INVERSE_LN2)


@triton.jit
def _walk(begin, end, q, keys, values, tokens, mine, query, start, limit, window, recent, scale, cap,
          stride_kk, stride_kd, stride_vk, stride_vd, acc, top, total, weighted, distance, first, near, previous, same,
          D: tl.constexpr, PADDED: tl.constexpr, DV: tl.constexpr, PADDED_V: tl.constexpr, CAPPED: tl.constexpr,
          WHOLE: tl.constexpr, EDGE: tl.constexpr, N: tl.constexpr, PRECISION: tl.constexpr):
    """Adds keys begin … end-1; at an EDGE some may be hidden, first, recent or previous, elsewhere none is."""
    width = tl.arange(0, PADDED)
    width_v = tl.arange(0, PADDED_V)
    for low in range(begin, end, N):
        low = tl.multiple_of(low, N)
        key = low + tl.arange(0, N)
        s = _scores(q, keys, key, width, stride_kk, stride_kd, scale, cap, limit, D, CAPPED, PRECISION)
        gap = query[:, None] - key[None, :]
        if EDGE:
            visible = (gap >= 0) & (key[None, :] >= start)
            if window > 0:
                visible = visible & (gap < window)
            s = tl.where(visible, s, HIDDEN)
        above = tl.maximum(top, tl.max(s, 1))
        fade = tl.exp2(top - above)
        s -= above[:, None]
        p = tl.exp2(s)
        if WHOLE:
            weighted = fade * (weighted + (top - above) * total) + tl.sum(p * s, 1)
            distance = fade * distance + tl.sum(p * gap.to(tl.float32), 1)
            theirs = tl.load(tokens + key, mask=key < limit, other=-1)
            if EDGE:
                first = fade * first + tl.sum(tl.where(key[None, :] == start, p, 0.0), 1)
                near = fade * near + tl.sum(tl.where(gap < recent, p, 0.0), 1)
                previous = fade * previous + tl.sum(tl.where(gap == 1, p, 0.0), 1)
                again = (mine[:, None] == theirs[None, :]) & (gap > 0)
            else:
                first, near, previous = fade * first, fade * near, fade * previous
                again = mine[:, None] == theirs[None, :]
            same = fade * same + tl.sum(tl.where(again, p, 0.0), 1)
            v = tl.load(values + key[:, None] * stride_vk + width_v[None, :] * stride_vd,
                        mask=(key[:, None] < limit) & (width_v[None, :] < DV), other=0.0)
            acc = tl.dot(p.to(v.dtype), v, acc * fade[:, None], input_precision=PRECISION)
        total = fade * total + tl.sum(p, 1)
        top = above
    return acc, top, total, weighted, distance, first, near, previous, same


@triton.jit
def attend(queries, keys, values, output, numbers, tokens, starts,
           qb, qh, qq, qd, kb, kg, kk, kd, vb, vg, vk, vd, ob, oq, oh, od, plane,
           heads, length, group, window, recent, scale, cap,
           D: tl.constexpr, PADDED: tl.constexpr, DV: tl.constexpr, PADDED_V: tl.constexpr, CAPPED: tl.constexpr,
           WHOLE: tl.constexpr, M: tl.constexpr, N: tl.constexpr, PRECISION: tl.constexpr):
    """Output [B, Q, H, dv] and seven planes of numbers [B, H, Q]; only the first plane unless WHOLE."""
    # the longest rows of keys first, so that no late program keeps the others waiting
    begin = (tl.num_programs(0) - 1 - tl.program_id(0)) * M
    row, head = tl.program_id(1) // heads, tl.program_id(1) % heads
    query = begin + tl.arange(0, M)
    width = tl.arange(0, PADDED)
    start = tl.load(starts + row)
    q = tl.load(queries + row.to(tl.int64) * qb + head.to(tl.int64) * qh + query[:, None] * qq + width[None, :] * qd,
                mask=(query[:, None] < length) & (width[None, :] < D), other=0.0)
    keys += row.to(tl.int64) * kb + (head // group).to(tl.int64) * kg
    values += row.to(tl.int64) * vb + (head // group).to(tl.int64) * vg
    if WHOLE:
        tokens += row * length
        mine = tl.load(tokens + query, mask=query < length, other=-2)
    else:
        mine = query
    acc = tl.zeros([M, PADDED_V], tl.float32)
    top = tl.full([M], HIDDEN, tl.float32)
    zero = tl.zeros([M], tl.float32)
    total, weighted, distance, first, near, previous, same = zero, zero, zero, zero, zero, zero, zero

    end = tl.minimum(begin + M, length)
    low = start.to(tl.int32)
    edge = low + 1  # keys before this may be hidden from some query, or are the first
    if window > 0:
        low = tl.maximum(low, begin - window + 1)
        edge = tl.maximum(edge, begin + M - window)
    low = tl.minimum(low // N * N, end)
    edge = tl.minimum((edge + N - 1) // N * N, end)
    late = tl.maximum(edge, tl.maximum(begin - recent, 0) // N * N)  # keys from this on may be hidden, recent or previous
    late = tl.minimum(late, end)
    acc, top, total, weighted, distance, first, near, previous, same = _walk(
        low, edge, q, keys, values, tokens, mine, query, start, length, window, recent, scale, cap, kk, kd, vk, vd,
        acc, top, total, weighted, distance, first, near, previous, same,
        D, PADDED, DV, PADDED_V, CAPPED, WHOLE, True, N, PRECISION)
    acc, top, total, weighted, distance, first, near, previous, same = _walk(
        edge, late, q, keys, values, tokens, mine, query, start, length, window, recent, scale, cap, kk, kd, vk, vd,
        acc, top, total, weighted, distance, first, near, previous, same,
        D, PADDED, DV, PADDED_V, CAPPED, WHOLE, False, N, PRECISION)
    acc, top, total, weighted, distance, first, near, previous, same = _walk(
        tl.maximum(late, edge), end, q, keys, values, tokens, mine, query, start, length, window, recent, scale, cap,
        kk, kd, vk, vd, acc, top, total, weighted, distance, first, near, previous, same,
        D, PADDED, DV, PADDED_V, CAPPED, WHOLE, True, N, PRECISION)

    there = query < length
    total = tl.where(total > 0, total, 1.0)  # padding that sees nothing: 0, not nan, which would spread to other rows' keys
    at = numbers + tl.program_id(1).to(tl.int64) * length + query
    tl.store(at, (top + tl.log2(total)) * LN2, mask=there)
    if WHOLE:
        tl.store(at + plane, (tl.log2(total) - weighted / total) * LN2, mask=there)
        tl.store(at + 2 * plane, distance / total, mask=there)
        tl.store(at + 3 * plane, first / total, mask=there)
        tl.store(at + 4 * plane, near / total, mask=there)
        tl.store(at + 5 * plane, previous / total, mask=there)
        tl.store(at + 6 * plane, same / total, mask=there)
        width_v = tl.arange(0, PADDED_V)
        where = output + row.to(tl.int64) * ob + head * oh + query[:, None].to(tl.int64) * oq + width_v[None, :] * od
        tl.store(where, (acc / total[:, None]).to(output.dtype.element_ty),
                 mask=there[:, None] & (width_v[None, :] < DV))


@triton.jit
def _between(a, b):
    """½ p ln(p/m) + ½ q ln(q/m) from log2 p and log2 q; as `lab.attention.divergence.between`.

    That is ¼ (p + q) g(δ) with g = t δ + ln(1 - t²) and t = tanh(δ/2): as a series in x = (δ/2)² where the closed form
    cancels, which is also where most patterns of a base and an adapter lie, so that the closed form is seldom worked out.
    """
    half = (a - b) * (0.5 * LN2)
    x = half * half
    p, q = tl.exp2(a), tl.exp2(b)
    term = (p + q) * (0.25 * x * (1 - x * (0.5 - x * (2.0 / 9 - x * (17.0 / 180)))))
    if tl.max(tl.max(x, 1), 0) > 0.0625:
        # m ((a + b) / 2 - log2 m) + (p - q) (a - b) / 4 with m = (p + q) / 2; far apart, it loses nothing that matters
        middle = (p + q) * 0.5
        far = middle * ((a + b) * 0.5 - tl.log2(tl.maximum(middle, 1e-37))) + 0.25 * ((p - q) * (a - b))
        term = tl.where(x > 0.0625, tl.maximum(far, 0.0) * LN2, term)
    return term


@triton.jit
def _differ(begin, end, qa, qb, keys_a, keys_b, total_a, total_b, query, start, limit, window, scale, cap,
            akk, akd, bkk, bkd, found, D: tl.constexpr, PADDED: tl.constexpr, CAPPED: tl.constexpr, EDGE: tl.constexpr,
            N: tl.constexpr, PRECISION: tl.constexpr):
    """Adds the terms of keys begin … end-1."""
    width = tl.arange(0, PADDED)
    for low in range(begin, end, N):
        low = tl.multiple_of(low, N)
        key = low + tl.arange(0, N)
        a = _scores(qa, keys_a, key, width, akk, akd, scale, cap, limit, D, CAPPED, PRECISION) - total_a[:, None]
        b = _scores(qb, keys_b, key, width, bkk, bkd, scale, cap, limit, D, CAPPED, PRECISION) - total_b[:, None]
        term = _between(a, b)
        if EDGE:
            gap = query[:, None] - key[None, :]
            visible = (gap >= 0) & (key[None, :] >= start)
            if window > 0:
                visible = visible & (gap < window)
            term = tl.where(visible, term, 0.0)
        found += tl.sum(term, 1)
    return found


@triton.jit
def diverge(queries_a, keys_a, queries_b, keys_b, totals_a, totals_b, found, starts,
            aqb, aqh, aqq, aqd, akb, akg, akk, akd, bqb, bqh, bqq, bqd, bkb, bkg, bkk, bkd,
            heads, length, group, window, scale, cap,
            D: tl.constexpr, PADDED: tl.constexpr, CAPPED: tl.constexpr, M: tl.constexpr, N: tl.constexpr,
            PRECISION: tl.constexpr):
    """Jensen–Shannon divergence per query [B, H, Q], nats."""
    begin = (tl.num_programs(0) - 1 - tl.program_id(0)) * M
    row, head = tl.program_id(1) // heads, tl.program_id(1) % heads
    query = begin + tl.arange(0, M)
    width = tl.arange(0, PADDED)
    start = tl.load(starts + row)
    there = query < length
    inside = there[:, None] & (width[None, :] < D)
    qa = tl.load(queries_a + row.to(tl.int64) * aqb + head.to(tl.int64) * aqh + query[:, None] * aqq
                 + width[None, :] * aqd, mask=inside, other=0.0)
    qb = tl.load(queries_b + row.to(tl.int64) * bqb + head.to(tl.int64) * bqh + query[:, None] * bqq
                 + width[None, :] * bqd, mask=inside, other=0.0)
    keys_a += row.to(tl.int64) * akb + (head // group).to(tl.int64) * akg
    keys_b += row.to(tl.int64) * bkb + (head // group).to(tl.int64) * bkg
    at = tl.program_id(1).to(tl.int64) * length + query
    total_a = tl.load(totals_a + at, mask=there, other=0.0) * INVERSE_LN2
    total_b = tl.load(totals_b + at, mask=there, other=0.0) * INVERSE_LN2
    sums = tl.zeros([M], tl.float32)

    end = tl.minimum(begin + M, length)
    low = start.to(tl.int32)
    edge = low
    if window > 0:
        low = tl.maximum(low, begin - window + 1)
        edge = tl.maximum(edge, begin + M - window)
    low = tl.minimum(low // N * N, end)
    edge = tl.minimum((edge + N - 1) // N * N, end)
    late = tl.minimum(tl.maximum(edge, begin // N * N), end)
    sums = _differ(low, edge, qa, qb, keys_a, keys_b, total_a, total_b, query, start, length, window, scale, cap,
                   akk, akd, bkk, bkd, sums, D, PADDED, CAPPED, True, N, PRECISION)
    sums = _differ(edge, late, qa, qb, keys_a, keys_b, total_a, total_b, query, start, length, window, scale, cap,
                   akk, akd, bkk, bkd, sums, D, PADDED, CAPPED, False, N, PRECISION)
    sums = _differ(late, end, qa, qb, keys_a, keys_b, total_a, total_b, query, start, length, window, scale, cap,
                   akk, akd, bkk, bkd, sums, D, PADDED, CAPPED, True, N, PRECISION)
    tl.store(found + at, sums, mask=there)
