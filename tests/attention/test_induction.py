"""Induction scores are those of float64 eager weights, and find the one induction head of a hand-built model."""

import pytest
import torch

from lab.attention.ablation import ablated
from lab.attention.copying import copying_loss
from lab.attention.induction import induction
from lab.attention.measure import measure
from lab.errors import OptionError
from tests import architectures as reference
from tests.attention.induction_model import HEADS, INDUCTION, PREVIOUS, induction_model, said_twice


def twice(copy):
    once = reference.prompts(count=2, length=copy)
    return torch.cat([once, once], dim=1)


def dense(name, layer, weights, copy):
    """Score and uniform reference of each head of a layer, by loops over the definition."""
    seen = reference.visible(name, layer, 2 * copy)
    queries = [query for query in range(copy, 2 * copy - 1) if seen[query, query - copy + 1]]
    if not queries:
        return torch.full((reference.HEADS,), torch.nan, dtype=torch.float64), torch.nan
    uniform = sum(1 / int(seen[query].sum()) for query in queries) / len(queries)
    return sum(weights[:, query, query - copy + 1] for query in queries) / len(queries) - uniform, uniform


@pytest.mark.parametrize("copy", [5, 8, 20])
@pytest.mark.parametrize("name", ["llama", "mistral", "gemma2", "gpt2", "gpt_oss", "llama4", "bloom", "gpt_neo"])
def test_scores_are_those_of_float64_weights(name, copy, monkeypatch):
    monkeypatch.setattr("lab.attention.heads._CPU_BYTES", 0)  # blocks of 16 queries
    tokens = twice(copy)
    found = induction(reference.model(name), tokens)
    for row, prompt in enumerate(tokens):
        weights, _ = reference.run(reference.exact(name), prompt)
        for layer, own in enumerate(weights):
            scores, uniform = dense(name, layer, own, copy)
            torch.testing.assert_close(found.scores[row, layer], scores, atol=1e-5, rtol=0, equal_nan=True)
            assert found.uniform[row, layer].item() == pytest.approx(uniform, abs=1e-12, nan_ok=True)


def test_a_window_shorter_than_one_copy_is_said_to_have_no_score():
    found = induction(reference.model("gemma2"), twice(20))  # a window of 7 in the first layer, none in the second
    assert found.scores[:, 0].isnan().all() and found.uniform[:, 0].isnan().all()
    assert not found.scores[:, 1].isnan().any()
    assert not induction(reference.model("gemma2"), twice(reference.WINDOW)).scores.isnan().any()
    assert induction(reference.model("gemma2"), twice(reference.WINDOW + 1)).scores[:, 0].isnan().all()


def test_a_layer_without_softmax_attention_has_no_score():
    found = induction(reference.model("lfm2"), twice(5))
    assert found.scores.isnan().all(dim=(0, 2)).tolist() == [True, False]


def test_the_heads_of_a_hand_built_circuit_are_found():
    model, tokens = induction_model(), said_twice()
    found = induction(model, tokens)
    assert found.scores.shape == (4, 2, HEADS) and found.uniform.shape == (4, 2)
    others = torch.ones(2, HEADS, dtype=torch.bool)
    others[INDUCTION] = False
    assert (found.scores + found.uniform[..., None])[:, *INDUCTION].min() > 0.999
    assert found.scores[:, others].abs().max() < 0.03
    previous = measure(model, tokens).statistics["previous_token"]
    others[PREVIOUS], others[INDUCTION] = False, True
    assert previous[:, *PREVIOUS].min() > 0.999 and previous[:, others].max() < 0.1
    assert copying_loss(model, tokens).accuracy.eq(1).all()


def test_without_its_previous_token_head_the_circuit_does_neither():
    model, tokens = induction_model(), said_twice()
    with ablated(model, {PREVIOUS[0]: [PREVIOUS[1]]}):
        assert induction(model, tokens).scores.abs().max() < 0.03
        assert copying_loss(model, tokens).accuracy.max() < 0.05


@pytest.mark.parametrize("tokens", [torch.arange(8)[None], torch.tensor([[1, 2, 3, 1, 2]]), torch.tensor([[1, 1]])])
def test_tokens_that_are_not_said_twice_are_refused(tokens):
    with pytest.raises(OptionError, match=r"tokens of shape .* are not \[s, s\] with at least 2 tokens in s"):
        induction(reference.model("llama"), tokens)
