"""No architecture of Transformers is decomposed wrongly: each closes, or is refused by name, or cannot be made small."""

import json
import logging
from pathlib import Path

import pytest
import torch

from lab.errors import ModelUnsupported
from lab.models import anatomy
from lab.models.batch import inputs
from lab.probing.capture import capture
from lab.probing.decomposition import decompose
from lab.probing.sites import SITES
from tests.probing import tiny_models

pytestmark = pytest.mark.usefixtures("one_thread")
RECORD = Path(__file__).parents[2] / "results" / "architectures.json"
NAMED = ("llama", "mistral", "qwen2", "qwen3", "qwen3_moe", "mixtral", "gpt2", "gpt_neox", "phi", "falcon", "bloom", "opt",
         "gemma", "gemma2", "gemma3_text", "olmo2", "granite", "cohere", "starcoder2", "deepseek_v3", "gpt_oss")
RENEW = "if what is found now is right: python -m tests.probing.tiny_models > results/architectures.json"
BUILDS = [kind for kind in tiny_models.kinds() if kind not in json.loads(RECORD.read_text())["not built"]]


@pytest.mark.parametrize("kind", BUILDS)
def test_what_is_returned_closes_and_what_does_not_is_refused_by_name(kind, caplog):
    caplog.set_level(logging.CRITICAL)
    model, recorded = tiny_models.build(kind), json.loads(RECORD.read_text())
    try:
        found = decompose(model)
    except ModelUnsupported as error:
        assert str(error) == recorded["refused"].get(kind), RENEW
        assert type(model).__name__ in str(error)
        return
    assert recorded["closes"].get(kind) == tiny_models.described(found), RENEW
    _check(model, found)


def test_the_architectures_that_must_close_do():
    assert set(NAMED) <= set(json.loads(RECORD.read_text())["closes"])


@pytest.mark.parametrize("changes", [{"use_parallel_residual": False}, {"use_parallel_residual": True}])
def test_both_kinds_of_gpt_neox_close(changes):
    from transformers import AutoModelForCausalLM, GPTNeoXConfig

    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(GPTNeoXConfig(
        vocab_size=64, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=48, **changes)).eval()
    found = decompose(model)
    assert found.virtual == ([0, 1] if changes["use_parallel_residual"] else [])
    _check(model, found)


def _check(model, found):
    """On other tokens, against what hooks of this test see at the layers' borders."""
    tokens = torch.randint(3, 64, (2, 24), generator=torch.Generator().manual_seed(7))
    borders: list[list[torch.Tensor]] = []
    handles = [layer.register_forward_hook(_keeping(borders), with_kwargs=True) for layer in anatomy.layers(model)]
    captured = capture(model, inputs(model, tokens), found)
    for handle in handles:
        handle.remove()
    for layer, (post,) in enumerate(borders):
        at = {site: captured.values[site][layer].double() for site in SITES}
        assert torch.equal(at["post_ffn"], post.double())
        if layer:
            assert torch.equal(at["pre_attn"], borders[layer - 1][0].double())
        added = (at["post_ffn"] - at["pre_attn"]).norm()
        assert (at["pre_attn"] + at["delta_attn"] + at["delta_ffn"] - at["post_ffn"]).norm() <= 1e-5 * added
        assert (at["pre_attn"] + at["delta_attn"] - at["post_attn"]).abs().max() <= 1e-6 * at["post_attn"].abs().max()


def _keeping(borders):
    def hook(module, args, kwargs, output):
        borders.append([(output[0] if isinstance(output, tuple) else output).clone()])
    return hook
