"""Training of lenses: a planted affine map is found again, the model stays frozen, every token is used once a round."""

import copy

import numpy as np
import pytest
import torch

from lab.errors import DataError
from lab.probing import tuned_lens_training
from lab.probing.decomposition import decompose
from lab.probing.final import find_final
from lab.probing.tuned_lens import TunedLens, quality
from lab.probing.tuned_lens_training import train
from tests import architectures

pytestmark = pytest.mark.usefixtures("one_thread")
WIDTH = architectures.WIDTH


def texts(count, seed=0):
    rows = architectures.prompts(count, 32, seed=seed)
    rows[:, 0] = torch.arange(count) % 40  # prompts that begin alike would have equal activations there
    return [(each, torch.ones_like(each).bool()) for each in rows.split(8)]


def planted():
    """A model whose last layer turns the stream by a fixed affine map, and what a lens needs to know of it."""
    model = copy.deepcopy(architectures.model("llama"))
    last, generator = model.model.layers[1], torch.Generator().manual_seed(0)
    shift, turn = torch.randn(WIDTH, generator=generator) * 8.0, torch.randn(WIDTH, WIDTH, generator=generator) * 0.05
    model.model.embed_tokens.weight.data *= 8.0  # a stream whose length is far from one
    for block in (last.self_attn.o_proj, last.mlp.down_proj):
        block.weight.data.zero_()
    parts, final = decompose(model), find_final(model)
    last.register_forward_pre_hook(lambda module, args: (args[0] + args[0] @ turn.T + shift, *args[1:]))
    return model, parts, final


def test_a_planted_map_is_found_on_other_texts():
    model, parts, final = planted()
    lens, losses = train(model, parts, final, texts(64), steps=150, tokens=128)
    found = quality(model, parts, final, texts(8, seed=9), {"logit": TunedLens.identity(2, WIDTH), "tuned": lens})
    before, after = (found[name].divergence[:, 0].mean() for name in ("logit", "tuned"))
    assert after < 0.05 * before and found["tuned"].bias[0] < 0.05 * found["logit"].bias[0]
    assert losses.shape == (150, 1) and losses[0, 0] == pytest.approx(before, rel=0.2)  # the identity at the start
    assert losses[-10:].mean() < 0.05 * losses[0, 0]


def test_the_model_stays_as_it_is_and_the_seed_decides():
    model, parts, final = planted()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    one, other, third = (train(model, parts, final, texts(16), steps=5, tokens=64, seed=seed)[0] for seed in (0, 0, 1))
    assert torch.equal(one.weight, other.weight) and torch.equal(one.bias, other.bias)
    assert not torch.equal(one.weight, third.weight)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(weight.grad is None for weight in model.parameters())


def test_no_update_leaves_the_logit_lens():
    model, parts, final = planted()
    lens, losses = train(model, parts, final, texts(8), steps=1, tokens=64, rate=0.0)
    assert not lens.weight.any() and not lens.bias.any() and np.isfinite(losses).all()


def test_padding_teaches_nothing():
    model, parts, final = planted()
    (tokens, _), = texts(8)
    real = torch.arange(32) < torch.tensor([32, 20, 9, 1, 32, 32, 32, 2])[:, None]
    other = torch.where(real, tokens, 39)
    one, same = (train(model, parts, final, [(each, real)], steps=2, tokens=80) for each in (tokens, other))
    assert (tokens != other).any() and torch.equal(one[0].weight, same[0].weight) and (one[1] == same[1]).all()
    with pytest.raises(DataError, match="160 tokens of text: an update of a tuned lens takes 161"):
        train(model, parts, final, [(tokens, real)], steps=1, tokens=161)


@pytest.mark.parametrize(("pool", "most", "captures"), [(2**30, 10**6, 2), (1, 10**6, 5), (2**30, 200, 1)])
def test_every_token_is_drawn_once_a_round(monkeypatch, pool, most, captures):
    model, parts, _ = planted()
    monkeypatch.setattr(tuned_lens_training, "_POOL", pool)
    calls, capture = [], tuned_lens_training.capture
    monkeypatch.setattr(tuned_lens_training, "capture", lambda *given, **named: calls.append(1) or capture(*given, **named))
    drawn = tuned_lens_training._drawn(model, parts, texts(16), 64, most, 0)
    count = 4 if most == 200 else 8  # the tokens of one batch, or all
    each = torch.cat([next(drawn)[0] for _ in range(count)])
    assert len(each.unique(dim=0)) == len(each)
    again = torch.cat([next(drawn)[0] for _ in range(count)])
    assert torch.equal(again.unique(dim=0), each.unique(dim=0)) and not torch.equal(again, each)
    next(drawn)
    assert len(calls) == captures


def test_too_little_text_is_refused():
    model, parts, final = planted()
    with pytest.raises(DataError, match="256 tokens of text: an update of a tuned lens takes 500; give more texts"):
        train(model, parts, final, texts(8), tokens=500)
