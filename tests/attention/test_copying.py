"""The second copy's loss is that of float64 logits, and only the head that copies is missed."""

import math

import pytest
import torch

from lab.attention.copying import copying_loss, induction_ablation, top_heads
from lab.attention.induction import induction
from lab.errors import OptionError
from tests import architectures as reference
from tests.attention.induction_model import HEADS, INDUCTION, VOCABULARY, induction_model, said_twice


def test_loss_and_accuracy_are_those_of_float64_logits():
    once = reference.prompts(count=3, length=9)
    tokens = torch.cat([once, once], dim=1)
    found = copying_loss(reference.model("qwen3"), tokens)
    for row, prompt in enumerate(tokens):
        _, logits = reference.run(reference.exact("qwen3"), prompt)
        logs = logits.log_softmax(-1)
        predicted = range(10, 18)
        nats = -sum(logs[at - 1, prompt[at]].item() for at in predicted) / 8
        right = sum(int(logs[at - 1].argmax() == prompt[at]) for at in predicted) / 8
        assert found.nats[row].item() == pytest.approx(nats, abs=1e-5)
        assert found.accuracy[row].item() == right


def test_only_the_head_that_copies_is_missed():
    model, tokens = induction_model(), said_twice(seed=1)
    scores = induction(model, said_twice(seed=0)).scores.mean(0)
    found = induction_ablation(model, tokens, scores, top=1, draws=3, seed=0)
    assert found.top_heads == (INDUCTION,) and found.shared == 0
    assert found.intact.nats.max() < 0.01 and found.intact.accuracy.eq(1).all()
    assert found.top.nats.sub(math.log(VOCABULARY)).abs().max() < 0.01 and found.top.accuracy.max() < 0.1
    for draw, heads in zip(found.random, found.random_heads, strict=True):
        assert heads.keys() == {INDUCTION[0]} and heads[INDUCTION[0]][0] != INDUCTION[1]
        torch.testing.assert_close(draw.nats, found.intact.nats, atol=1e-6, rtol=0)
    torch.testing.assert_close(found.cost, found.top.nats - found.intact.nats, atol=1e-6, rtol=0)


def test_draws_keep_to_the_layers_and_repeat_with_the_seed():
    model, tokens = reference.model("llama"), torch.cat([reference.prompts(length=4)] * 2, dim=1)
    scores = torch.tensor([[0.9, 0.1, 0.2, 0.3], [0.4, 0.95, 0.92, 0.8]])
    runs = [induction_ablation(model, tokens, scores, top=4, draws=20, seed=seed) for seed in (5, 5, 6)]
    assert runs[0].top_heads == ((1, 1), (1, 2), (0, 0), (1, 3))
    assert runs[0].random_heads == runs[1].random_heads != runs[2].random_heads
    assert runs[0].shared == 2  # layer 1 has one head besides its three
    for heads in runs[0].random_heads:
        assert len(heads[0]) == 1 and heads[0][0] != 0
        assert len(set(heads[1])) == 3 and 0 in heads[1]
    assert {heads[0] for heads in runs[0].random_heads} == {(1,), (2,), (3,)}
    costs = [run.cost for run in runs]
    assert torch.equal(costs[0], costs[1])
    assert costs[0].shape == (2,)


def test_heads_without_a_score_are_never_chosen():
    nan = math.nan
    assert top_heads(torch.tensor([[nan, nan], [0.1, 0.1], [0.2, nan]]), 3) == [(2, 0), (1, 0), (1, 1)]
    with pytest.raises(OptionError, match="top=4: allowed are 1-3, the heads with a score"):
        top_heads(torch.tensor([[nan, nan], [0.1, 0.1], [0.2, nan]]), 4)
    with pytest.raises(OptionError, match="top=1: allowed are none"):
        top_heads(torch.tensor([[nan]]), 1)


def test_numbers_out_of_range_are_refused():
    model, tokens = induction_model(), said_twice(rows=1)
    with pytest.raises(OptionError, match="draws=0: allowed is 1 or more"):
        induction_ablation(model, tokens, torch.zeros(2, HEADS), top=1, draws=0, seed=0)
    with pytest.raises(OptionError, match="top=0: allowed are 1-6"):
        induction_ablation(model, tokens, torch.zeros(2, HEADS), top=0, draws=1, seed=0)
    with pytest.raises(OptionError, match=r"are not \[s, s\]"):
        copying_loss(model, tokens[:, 1:])
