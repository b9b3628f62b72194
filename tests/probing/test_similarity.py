"""Cosines held to loops over pairs of tokens, in float64."""

import numpy as np
import pytest
import torch

from lab.errors import OptionError
from lab.models.batch import inputs
from lab.models.rows import BASE, adapter_rows
from lab.probing.capture import capture
from lab.probing.decomposition import decompose
from lab.probing.similarity import similarity
from tests import architectures

pytestmark = pytest.mark.usefixtures("one_thread")


def states_of(name, row):
    """[L + 1, T, D] of one prompt [T], without its first token."""
    double = architectures.exact(name)
    with architectures.InFloat64():
        kept = capture(double, inputs(double, row[None]), decompose(double), sites=("pre_attn", "post_ffn"))
    return torch.cat([kept.stack("pre_attn")[0, :1], kept.stack("post_ffn")[0]])[:, 1:]


def cosine(one, other):
    return float(one @ other / (one.norm() * other.norm()))


def loops(states):
    count = states.shape[1]
    layers = [[np.mean([cosine(one[t], other[t]) for t in range(count)]) for other in states] for one in states]
    tokens = [np.mean([cosine(state[t], state[u]) for t in range(count) for u in range(count) if t != u])
              for state in states]
    return np.array(layers), np.array(tokens)


@pytest.mark.parametrize("side", ["left", "right"])
def test_cosines_are_those_of_pairs_one_by_one(side):
    rows = [architectures.prompts(1, length, seed=length)[0] for length in (8, 5)]
    tokens, real = architectures.padded(rows, side, 8)
    model = architectures.model("gpt2")
    found = similarity(model, inputs(model, tokens, real), decompose(model))
    states = [states_of("gpt2", row) for row in rows]
    mean = torch.cat(states, 1).mean(1, keepdim=True)
    for index, each in enumerate(states):
        for name, shift in (("", 0), ("_centred", mean)):
            layers, pairs = loops(each - shift)
            np.testing.assert_allclose(getattr(found, f"layers{name}")[index], layers, atol=1e-4)
            np.testing.assert_allclose(getattr(found, f"tokens{name}")[index], pairs, atol=1e-4)


def test_a_shared_direction_is_seen_and_taken_off():
    import copy

    model = copy.deepcopy(architectures.model("llama"))
    tokens = architectures.prompts(4, 12)
    model.model.embed_tokens.weight.data += 30.0
    found = similarity(model, inputs(model, tokens), decompose(model))
    assert (found.tokens[:, 0] > 0.99).all() and (abs(found.tokens_centred[:, 0]) < 0.2).all()
    np.testing.assert_allclose(np.diagonal(found.layers, axis1=1, axis2=2), 1, atol=1e-5)


def test_rows_of_different_models_have_means_of_their_own():
    tuned, tokens = architectures.tuned("llama"), architectures.prompts(2, 9)
    parts = decompose(architectures.model("llama"))
    with adapter_rows(tuned, [BASE, BASE, "strong", "strong"]):
        both = similarity(tuned, inputs(tuned, tokens.repeat(2, 1)), parts, groups=torch.tensor([0, 0, 1, 1]))
    for rows, adapter in ((slice(0, 2), None), (slice(2, 4), "strong")):
        with architectures.under(tuned, adapter):
            alone = similarity(tuned, inputs(tuned, tokens), parts)
        for name, value in vars(alone).items():
            np.testing.assert_allclose(getattr(both, name)[rows], value, atol=1e-4, err_msg=name)


def test_a_prompt_of_one_token_and_groups_of_other_rows_are_refused():
    model, (tokens, real) = architectures.model("llama"), architectures.padded([torch.tensor([5])], "left", 2)
    with pytest.raises(OptionError, match="prompt 0 has one token"):
        similarity(model, inputs(model, tokens, real), decompose(model))
    with pytest.raises(OptionError, match=r"groups of shape \(3,\): needed is one for each of 2 rows"):
        similarity(model, inputs(model, architectures.prompts(2, 5)), decompose(model), groups=torch.zeros(3))
