"""Models outside Transformers' attention interface; their statistics are held to float64 in test_architectures.py."""

import copy

import pytest
import torch

from lab.attention.measure import measure
from lab.attention.routing import listen
from lab.attention.weights import Weights, seen_in
from lab.errors import ModelUnsupported
from tests import architectures as reference

ROWS = reference.prompts()
TOKENS, REAL = reference.padded([ROWS[0], ROWS[1][:9]], "left")


@pytest.mark.parametrize("name", ["llama", "gemma2", "mistral"])
def test_the_fallback_agrees_with_the_interface(name):
    model = reference.model(name)
    one, other = (measure(model, TOKENS, REAL, routed=routed) for routed in (True, False))
    for statistic, values in one.statistics.items():
        torch.testing.assert_close(other.statistics[statistic], values, atol=1e-5, rtol=1e-5, equal_nan=True)
        torch.testing.assert_close(other.uniform[statistic], one.uniform[statistic], equal_nan=True)


def test_falcon_built_for_sdpa_gets_masks_for_eager():
    """At 5.17 its weights are those of scores plus a mask of bool, if only `output_attentions` is asked for."""
    model = copy.deepcopy(reference.model("falcon"))
    assert model.config._attn_implementation == "sdpa"
    expected = reference.runs("falcon", tuple(ROWS[0].tolist()))[0][0]
    kept = []
    with listen(model, lambda layer, pattern: kept.append(pattern.weights), routed=False), torch.no_grad():
        model(input_ids=ROWS[:1], use_cache=False)
    torch.testing.assert_close(kept[0][0].double(), expected, atol=1e-5, rtol=1e-5)
    with torch.no_grad():
        wrong = model(input_ids=ROWS[:1], use_cache=False, output_attentions=True).attentions[0][0]
    assert float((wrong.double() - expected).abs().max()) > 0.1


def test_weights_are_dropped_layer_by_layer():
    held = []

    def keep(layer, pattern):
        held.append(pattern.weights.untyped_storage()._weak_ref() if layer == 0 else None)

    model = reference.model("gptj")
    with listen(model, keep, routed=False), torch.no_grad():
        out = model(input_ids=ROWS, use_cache=False)
    assert out.attentions == (None, None)
    assert torch.UntypedStorage._expired(held[0])


def test_attention_that_returns_no_weights():
    from transformers import AutoConfig, AutoModelForCausalLM

    config = AutoConfig.for_model("minimax", **reference.COMMON, num_local_experts=2, block_size=8,
                                  layer_types=["full_attention", "linear_attention"])
    with pytest.raises(ModelUnsupported, match="MiniMaxLightningAttention neither goes through.*nor returns"):
        measure(AutoModelForCausalLM.from_config(config).eval(), ROWS, routed=False)


def test_what_is_seen_is_read_from_the_weights_of_all_heads():
    weights = torch.tensor([[[[1.0, 0], [0, 1]], [[1, 0], [1, 0]]]])
    visibility = seen_in(weights, None)
    assert visibility.block(0, 2)[3][0, 0].tolist() == [[True, False], [True, True]]
    rows = Weights(weights.repeat(2, 1, 1, 1), seen_in(weights.repeat(2, 1, 1, 1), None)).of_rows(torch.tensor([1]))
    assert rows.shape == (1, 2, 2, 2)
    assert rows.visibility.block(1, 2)[3][0, 0].tolist() == [[True, True]]
