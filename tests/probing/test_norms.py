"""Norms and directions held to plain loops over positions in float64, prompt by prompt without padding."""

import numpy as np
import pytest
import torch

from lab.errors import OptionError
from lab.models.batch import inputs
from lab.models.rows import BASE, adapter_rows
from lab.probing.capture import capture
from lab.probing.decomposition import decompose
from lab.probing.norms import lengths_and_products, norms
from lab.probing.sites import SITES
from tests import architectures

pytestmark = pytest.mark.usefixtures("one_thread")
MEASURES = ("growth", "attention_share", "attention_to_stream", "feed_forward_to_stream", "attention_to_feed_forward",
            "added_to_stream", "attention_projection", "feed_forward_projection")


def reference(name, row):
    """By name, [T, L]; each position on its own, and by name of the projection's parts."""
    double = architectures.exact(name)
    with architectures.InFloat64():
        sites = capture(double, inputs(double, row[None]), decompose(double))
    pre, attention, middle, fed, post = (sites.stack(site)[0].transpose(0, 1) for site in SITES)  # [T, L, D]
    cosine = torch.nn.functional.cosine_similarity
    change = post - pre
    found = {site: each.norm(dim=-1) for site, each in zip(SITES, (pre, attention, middle, fed, post), strict=True)}
    found["growth"] = (post.norm(dim=-1) / pre.norm(dim=-1)).log()
    found["attention_share"] = attention.norm(dim=-1) / (attention.norm(dim=-1) + fed.norm(dim=-1))
    found["attention_to_stream"] = cosine(attention, pre, dim=-1)
    found["feed_forward_to_stream"] = cosine(fed, middle, dim=-1)
    found["attention_to_feed_forward"] = cosine(attention, fed, dim=-1)
    found["added_to_stream"] = cosine(change, pre, dim=-1)
    parts = {"attention_projection": (attention * change).sum(-1), "feed_forward_projection": (fed * change).sum(-1)}
    return found, parts, change.square().sum(-1)


@pytest.mark.parametrize("name", ["llama", "gemma3", "gpt_neox", "bloom"])
@pytest.mark.parametrize("side", ["left", "right"])
def test_measures_are_those_of_each_prompt_alone(name, side):
    rows = [architectures.prompts(1, length, seed=length)[0] for length in (12, 7)]
    tokens, real = architectures.padded(rows, side, 12)
    model = architectures.model(name)
    found = norms(model, inputs(model, tokens, real), decompose(model))
    assert set(found.later) == set(found.first) == {*SITES, *MEASURES}
    for index, row in enumerate(rows):
        each, parts, change = reference(name, row)
        for got, chosen in ((found.later, slice(1, None)), (found.first, slice(0, 1))):
            for measure, values in each.items():
                expected = values[chosen].mean(0)
                expected = expected.exp() if measure == "growth" else expected
                np.testing.assert_allclose(got[measure][index], expected, rtol=2e-4, atol=2e-5, err_msg=measure)
            for measure, values in parts.items():
                np.testing.assert_allclose(got[measure][index], values[chosen].sum(0) / change[chosen].sum(0), atol=1e-4)
    np.testing.assert_allclose(found.later["attention_projection"] + found.later["feed_forward_projection"], 1, atol=1e-5)


def test_rows_of_one_forward_are_measured_as_their_own_models():
    tuned = architectures.tuned("llama")
    tokens, parts = architectures.prompts(1, 10), decompose(architectures.model("llama"))
    with adapter_rows(tuned, [BASE, "strong"]):
        both = norms(tuned, inputs(tuned, tokens.expand(2, -1)), parts)
    base = norms(architectures.model("llama"), inputs(tuned, tokens), parts)
    with architectures.under(tuned, "strong"):
        strong = norms(tuned, inputs(tuned, tokens), parts)
    for measure in (*SITES, *MEASURES):
        np.testing.assert_allclose(both.later[measure][0], base.later[measure][0], rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(both.later[measure][1], strong.later[measure][0], rtol=1e-4, atol=1e-5)
    assert abs(both.later["post_ffn"][0] - both.later["post_ffn"][1]).max() > 0.01


def test_a_massive_first_token_stays_out_of_the_mean_over_the_others():
    found = norms(model := architectures.model("llama"), inputs(model, architectures.prompts(2, 9)), decompose(model))
    grown = architectures.copy.deepcopy(model)
    grown.model.embed_tokens.weight.data[1] *= 1000
    tokens = architectures.prompts(2, 9)
    tokens[:, 0] = 1
    massive = norms(grown, inputs(grown, tokens), decompose(grown))
    assert (massive.first["pre_attn"][:, 0] > 1000).all()
    np.testing.assert_allclose(massive.later["pre_attn"][:, 0], found.later["pre_attn"][:, 0], rtol=1e-5)


def test_a_prompt_of_one_token_is_refused():
    tokens, real = architectures.padded([torch.tensor([5, 6]), torch.tensor([7])], "right", 2)
    model = architectures.model("llama")
    with pytest.raises(OptionError, match="prompt 1 has one token"):
        norms(model, inputs(model, tokens, real), decompose(model))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_in_low_precision_products_lose_no_more_than_activations_did(dtype):
    torch.manual_seed(0)
    exact = dict(zip(SITES, torch.randn(5, 2, 6, 512, dtype=torch.float64), strict=True))
    exact["pre_attn"][..., 7] = exact["delta_attn"][..., 7] = 300  # its square leaves float16's range
    low = {site: value.to(dtype) for site, value in exact.items()}
    found, rounded, expected = (lengths_and_products(0, each)["products"].double() for each in
                                (low, {site: value.double() for site, value in low.items()}, exact))
    np.testing.assert_allclose(found[..., :5], rounded[..., :5], rtol=1e-5)
    scale = expected[..., [0, 0, 1]] * expected[..., [1, 3, 3]]
    assert ((found - rounded)[..., 5:] / scale).abs().max() <= torch.finfo(dtype).eps
    assert found.isfinite().all() and ((found - expected)[..., 5:] / scale).abs().max() <= 2 * torch.finfo(dtype).eps
