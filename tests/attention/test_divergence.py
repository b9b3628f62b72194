"""Jensen–Shannon divergence against its definition in float64, and what holds for any two patterns."""

import math

import pytest
import torch

from lab.attention import heads as heads_module
from lab.attention.divergence import between, divergence
from lab.attention.heads import Heads
from lab.attention.visibility import Visibility
from lab.attention.weights import Weights, seen_in
from tests import architectures as reference

BATCH, HEADS, GROUPS, LENGTH, WIDTH = 2, 4, 2, 40, 8
REAL = torch.arange(LENGTH) >= torch.tensor([[0], [11]])


def layer(seed, *, window=None, real=None, sink=False, softcap=None):
    generator = torch.Generator().manual_seed(seed)
    queries, keys, values = (torch.randn(BATCH, heads, LENGTH, WIDTH, generator=generator) * 1.5
                             for heads in (HEADS, GROUPS, GROUPS))
    return Heads(queries, keys, values, WIDTH**-0.5, Visibility(LENGTH, LENGTH, BATCH, real, window=window), softcap,
                 torch.randn(HEADS, generator=generator) if sink else None)


def dense(one):
    """[B, H, Q, K], float64: the layer's attention by the textbook."""
    scores = one.queries.double() @ one.keys.double().repeat_interleave(HEADS // GROUPS, 1).transpose(2, 3) * one.scale
    if one.softcap:
        scores = one.softcap * torch.tanh(scores / one.softcap)
    query, key = torch.arange(LENGTH)[:, None], torch.arange(LENGTH)
    seen = (key <= query) & (query - key < (one.visibility.window or LENGTH))
    real = torch.ones(BATCH, LENGTH, dtype=torch.bool) if one.visibility.real is None else one.visibility.real
    scores = scores.masked_fill(~(seen & real[:, None, None]), -torch.inf)
    if one.sink is not None:
        scores = torch.cat([scores, one.sink.double()[None, :, None, None].expand(*scores.shape[:3], 1)], -1)
    return scores.softmax(-1).nan_to_num(0)[..., :LENGTH]


KINDS = {"causal": {}, "window": {"window": 5}, "left": {"real": REAL}, "sink": {"sink": True}, "cap": {"softcap": 1.0},
         "all": {"window": 5, "real": REAL, "sink": True, "softcap": 2.0}}


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_the_textbook_formula(kind):
    one, other = (layer(seed, **KINDS[kind]) for seed in (0, 1))
    found = divergence(one, other)
    real = one.visibility.real_queries
    for row in range(BATCH):
        expected = reference.divergence(*(dense(each)[row][:, real[row]] for each in (one, other)))
        torch.testing.assert_close(found[row], expected, atol=1e-7, rtol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_symmetric_zero_for_equals_and_at_most_ln_two(kind):
    one, other = (layer(seed, **KINDS[kind]) for seed in (0, 1))
    assert torch.equal(divergence(one, other), divergence(other, one))
    assert torch.equal(divergence(one, one), torch.zeros(BATCH, HEADS, dtype=torch.float64))
    assert bool((divergence(one, other) < math.log(2)).all())


@pytest.mark.parametrize("kind", KINDS)
def test_it_does_not_depend_on_blocks(kind, monkeypatch):
    one, other = (layer(seed, **KINDS[kind]) for seed in (0, 1))
    whole = divergence(one, other)
    monkeypatch.setattr(heads_module, "_CPU_BYTES", 1)  # 16 queries, the least
    assert len(list(one.blocks())) == 3
    torch.testing.assert_close(divergence(one, other), whole, atol=1e-9, rtol=1e-6)


def test_small_changes_keep_their_digits():
    one = layer(0)
    other = heads_module.replace(one, queries=one.queries + 1e-4 * torch.randn_like(one.queries))
    expected = torch.stack([reference.divergence(*(dense(each)[row] for each in (one, other))) for row in range(BATCH)])
    assert float(expected.max()) < 1e-8
    torch.testing.assert_close(divergence(one, other), expected, atol=0, rtol=0.05)


@pytest.mark.parametrize("gap", [1e-4, 0.03, 0.999, 1.001, 4.0, 50.0, 300.0, 1e4])
def test_a_term_is_right_near_and_far(gap):
    for larger in (0.0, -3.0):
        one, other = torch.tensor([larger, larger - gap]), torch.tensor([larger - gap, larger])
        p, q = one.double().exp(), other.double().exp()
        middle = (p + q) / 2
        expected = (torch.xlogy(p, p / middle) + torch.xlogy(q, q / middle)) / 2
        torch.testing.assert_close(between(one, other).double(), expected, rtol=2e-6 + 2e-6 / gap, atol=0)


def test_a_learned_sink_is_an_outcome():
    one = layer(0, sink=True)
    other = heads_module.replace(one, sink=one.sink + 5)  # the same among keys
    expected = torch.stack([reference.divergence(*(dense(each)[row] for each in (one, other))) for row in range(BATCH)])
    assert float(expected.min()) > 0.1
    torch.testing.assert_close(divergence(one, other), expected, atol=1e-7, rtol=1e-5)
    for block in one.log_probabilities():
        total = block.scores.exp().sum(-1) + block.sink.exp()
        torch.testing.assert_close(total, torch.ones_like(total))


def test_weights_in_place_of_scores_give_the_same():
    one, other = (layer(seed, real=REAL) for seed in (0, 1))
    given = [Weights(dense(each).float(), seen_in(dense(each), REAL)) for each in (one, other)]
    torch.testing.assert_close(divergence(*given), divergence(one, other), atol=1e-7, rtol=1e-5)


def test_weights_on_different_keys_are_ln_two_apart():
    one, other = torch.zeros(1, 1, 2, 2), torch.zeros(1, 1, 2, 2)
    one[..., 0], other[..., 1] = 1, 1
    visibility = Visibility(2, 2, 1, None)
    assert float(divergence(Weights(one, visibility), Weights(other, visibility))) == pytest.approx(math.log(2), rel=1e-7)
