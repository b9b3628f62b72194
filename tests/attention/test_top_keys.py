"""The most attended keys are those that a float64 sort of eager weights puts first."""

import pytest
import torch

from lab.attention.top_keys import top_keys
from lab.errors import OptionError
from tests import architectures as reference

TOKENS = reference.prompts()
QUERIES = [39, 2, 20, 21, 22]


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("name", ["llama", "mistral", "gpt_oss", "llama4", "bloom"])
def test_keys_and_shares_are_those_of_sorted_float64_weights(name, side, monkeypatch):
    monkeypatch.setattr("lab.attention.heads._CPU_BYTES", 0)
    rows, k = [TOKENS[0], TOKENS[1, :30]], 9
    tokens, real = reference.padded(rows, side)
    found = top_keys(reference.model(name), tokens, real, queries=QUERIES, k=k)
    assert found.keys.shape == found.weights.shape == (2, 2, reference.HEADS, 5, k) and found.queries == tuple(QUERIES)
    for row, prompt in enumerate(rows):
        start = int(real[row].int().argmax())
        weights, _ = reference.run(reference.exact(name), prompt)
        for layer in range(2):
            seen = reference.visible(name, layer, len(prompt))
            for at, query in enumerate(QUERIES):
                keys, shares = found.keys[row, layer, :, at], found.weights[row, layer, :, at]
                if not real[row, query]:
                    assert (keys == -1).all() and not shares.any()
                    continue
                own = weights[layer][:, query - start]
                best, place = own.sort(dim=-1, descending=True)
                count = min(k, int(seen[query - start].sum()))
                torch.testing.assert_close(shares[:, :count].double(), best[:, :count], atol=1e-6, rtol=1e-5)
                torch.testing.assert_close(own.gather(1, keys[:, :count] - start), best[:, :count], atol=1e-6, rtol=1e-5)
                clear = (best[:, :count] - best[:, 1:count + 1] > 1e-5) if count < own.shape[1] else None
                if clear is not None:
                    alone = clear & torch.cat([torch.ones(reference.HEADS, 1, dtype=torch.bool), clear[:, :-1]], dim=1)
                    assert torch.equal(keys[:, :count][alone] - start, place[:, :count][alone])
                assert (keys[:, count:] == -1).all() and not shares[:, count:].any()


def test_a_layer_without_softmax_attention_has_no_keys():
    found = top_keys(reference.model("lfm2"), TOKENS, queries=[5], k=3)
    assert (found.keys[:, 0] == -1).all() and not found.weights[:, 0].any()
    assert (found.keys[:, 1] >= 0).all()


def test_what_does_not_exist_is_refused():
    model = reference.model("llama")
    with pytest.raises(OptionError, match="queries 40, -1: allowed are positions 0 to 39"):
        top_keys(model, TOKENS, queries=[3, 40, -1], k=1)
    with pytest.raises(OptionError, match="queries none: allowed are positions 0 to 39"):
        top_keys(model, TOKENS, queries=[], k=1)
    for k in (0, 41):
        with pytest.raises(OptionError, match=f"k={k}: allowed are 1 to 40"):
            top_keys(model, TOKENS, queries=[3], k=k)
