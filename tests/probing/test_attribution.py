"""Attributed logit differences held to whole weight matrices in float64, sums to the models' own logits."""

import copy
from functools import cache

import numpy as np
import pytest
import torch

from lab.errors import ModelUnsupported, OptionError
from lab.models.batch import inputs
from lab.models.rows import BASE, adapter_rows
from lab.probing.attribution import attribute
from lab.probing.capture import capture
from lab.probing.decomposition import decompose
from lab.probing.final import find_final
from tests import architectures

pytestmark = pytest.mark.usefixtures("one_thread")
ROWS, LENGTH = 3, 10
ANSWER, FOIL = torch.tensor([3, 4, 5]), torch.tensor([17, 18, 19])
SPECIAL = {
    "cohere": ("cohere", {"logit_scale": 0.0625}),
    "granite_scaled": ("granite", {"residual_multiplier": 0.22, "logits_scaling": 8.0, "embedding_multiplier": 3.0}),
}
NAMES = ("llama", "gemma2", "gpt2", "gpt_neox", "olmo2", "bloom", *SPECIAL)


@cache
def model(name):
    if name not in SPECIAL:
        return architectures.model(name)
    from transformers import AutoConfig, AutoModelForCausalLM

    kind, changes = SPECIAL[name]
    torch.manual_seed(3)
    made = AutoModelForCausalLM.from_config(AutoConfig.for_model(kind, **{**architectures.COMMON, **changes})).eval()
    with torch.no_grad():
        for path, weight in made.named_parameters():
            architectures._randomise(path, weight)
    return made


@cache
def double(name):
    return architectures.widened(model(name))


@cache
def parts_of(name):
    return decompose(model(name)), find_final(model(name))


def measured(name, tokens, real=None, answer=ANSWER, foil=FOIL):
    return attribute(model(name), inputs(model(name), tokens, real), *parts_of(name), answer, foil)


def gain_of(norm):
    gain = norm.weight.double()
    return 1 + gain if "Gemma" in type(norm).__name__ else gain


def through(norm, part, whole):
    """A part [.., D] of a norm's input, at the scale that the whole input has; without the bias."""
    centred = type(norm).__name__ in ("LayerNorm", "CohereLayerNorm")
    if centred:
        part, whole = part - part.mean(-1, keepdim=True), whole - whole.mean(-1, keepdim=True)
    eps = getattr(norm, "eps", None) or getattr(norm, "variance_epsilon", None)
    return gain_of(norm) * part / (whole.square().mean(-1, keepdim=True) + eps).sqrt()


def reference(name, row, answer, foil):
    """By name, of one prompt [T]: from whole weight matrices, in float64."""
    exact = double(name)
    plain = exact.get_base_model() if hasattr(exact, "get_base_model") else exact
    core = getattr(plain, "model", None) or getattr(plain, "transformer", None) or plain.gpt_neox
    layers = getattr(core, "layers", None) or core.h
    norm = getattr(core, "norm", None) or getattr(core, "ln_f", None) or core.final_layer_norm
    scale = getattr(plain, "logit_scale", None) or 1 / getattr(plain.config, "logits_scaling", 1)
    taken, decomposition = {}, decompose(exact)
    blocks = [next(getattr(layer, each) for each in ("self_attn", "attn", "attention", "self_attention")
                   if hasattr(layer, each)) for layer in layers]
    out = [next(getattr(block, each) for each in ("o_proj", "c_proj", "dense") if hasattr(block, each)) for block in blocks]
    handles = [module.register_forward_pre_hook(lambda module, args: taken.setdefault(module, args[0])) for module in out]
    with architectures.InFloat64():
        kept = capture(exact, inputs(exact, row[None]), decomposition)
    for handle in handles:
        handle.remove()
    sites = {site: kept.stack(site)[0, :, -1] for site in kept.values}  # [L, D]
    read = (plain.lm_head.weight[answer] - plain.lm_head.weight[foil]).double() * scale
    last = sites["post_ffn"][-1]
    found = {"embedding": through(norm, sites["pre_attn"][0], last) @ read}
    found["attention"] = through(norm, sites["delta_attn"], last) @ read
    found["feed_forward"] = through(norm, sites["delta_ffn"], last) @ read
    found["bias"] = norm.bias @ read if getattr(norm, "bias", None) is not None else torch.zeros(())
    found["total"] = through(norm, last, last) @ read + found["bias"]
    heads = []
    for layer, module in zip(layers, out, strict=True):
        weight = module.weight.T if type(module).__name__ == "Conv1D" else module.weight  # [D, H · dv]
        mixed = taken[module][0, -1].view(architectures.HEADS, -1)
        each = torch.einsum("dhv,hv->hd", weight.view(weight.shape[0], *mixed.shape), mixed)
        if name in ("gemma2", "olmo2"):
            each = through(layer.post_attention_layernorm, each, each.sum(0))
        heads.append(through(norm, each * getattr(plain.config, "residual_multiplier", 1), last) @ read)
    return {**found, "heads": torch.stack(heads)}


@pytest.mark.parametrize("name", NAMES)
def test_parts_are_those_of_whole_weight_matrices_in_float64(name):
    tokens = architectures.prompts(ROWS, LENGTH)
    with architectures.InFloat64():
        found = attribute(double(name), inputs(double(name), tokens), decompose(double(name)), find_final(double(name)),
                          ANSWER, FOIL)
    for row in range(ROWS):
        for part, value in reference(name, tokens[row], int(ANSWER[row]), int(FOIL[row])).items():
            np.testing.assert_allclose(getattr(found, part)[row], value.detach(), atol=1e-8, err_msg=part)
    assert not found.without_heads


@pytest.mark.parametrize("name", [*NAMES, "falcon", "mpt", "phi", "gpt_oss", "deepseek_v3", "qwen3_next", "lfm2"])
def test_parts_sum_to_the_models_own_logits_before_the_cap(name):
    tokens = architectures.prompts(ROWS, LENGTH, seed=1)
    found = measured(name, tokens)
    logits = model(name)(tokens).logits[:, -1].double()
    cap = getattr(model(name).config, "final_logit_softcapping", None)
    logits = cap * torch.atanh(logits / cap) if cap else logits
    own = (logits.gather(1, ANSWER[:, None]) - logits.gather(1, FOIL[:, None]))[:, 0].detach()
    total = found.embedding + found.attention.sum(1) + found.feed_forward.sum(1) + found.bias
    np.testing.assert_allclose(total, own, atol=2e-3 if cap else 2e-5)  # undoing the cap magnifies rounding
    np.testing.assert_allclose(found.left, found.total - total, atol=1e-9)
    assert (abs(found.left) < found.bound).all() and (found.bound < 0.01).all()
    whole = [layer for layer in range(2) if layer not in found.without_heads]
    np.testing.assert_allclose((found.heads.sum(-1) + found.head_bias)[:, whole], found.attention[:, whole], atol=2e-5)
    assert list(found.without_heads) == ([0] if name in ("qwen3_next", "lfm2") else [])
    assert np.isnan(found.heads[:, list(found.without_heads)]).all() and np.isfinite(found.heads[:, whole]).all()


@pytest.mark.parametrize("side", ["left", "right"])
def test_a_padded_prompt_is_attributed_at_its_own_last_token(side):
    rows = [architectures.prompts(1, length, seed=length)[0] for length in (10, 6)]
    tokens, real = architectures.padded(rows, side, 10)
    both = measured("gpt2", tokens, real, ANSWER[:2], FOIL[:2])
    for index, row in enumerate(rows):
        alone = measured("gpt2", row[None], None, ANSWER[index:index + 1], FOIL[index:index + 1])
        for part in ("embedding", "attention", "feed_forward", "bias", "heads", "head_bias", "total"):
            np.testing.assert_allclose(getattr(both, part)[index], getattr(alone, part)[0], atol=2e-5)


@pytest.mark.parametrize("name", ["llama", "gpt2", "gemma3"])
def test_rows_have_scales_and_adapters_of_their_own(name):
    tuned = architectures.tuned(name)
    tokens = architectures.prompts(1, LENGTH).expand(3, -1)
    decomposition, final = decompose(architectures.model(name)), find_final(tuned)
    answer, foil = torch.tensor([3, 3, 3]), torch.tensor([9, 9, 9])
    with adapter_rows(tuned, [BASE, "strong", "weak"]):
        rows = attribute(tuned, inputs(tuned, tokens), decomposition, final, answer, foil)
    for index, adapter in enumerate((None, "strong", "weak")):
        with architectures.under(tuned, adapter):
            alone = attribute(tuned, inputs(tuned, tokens[:1]), decomposition, final, answer[:1], foil[:1])
        for part in ("embedding", "attention", "feed_forward", "heads", "total"):
            np.testing.assert_allclose(getattr(rows, part)[index], getattr(alone, part)[0], atol=5e-5)
    assert abs(rows.total[0] - rows.total[1]) > 0.01


def test_an_adapter_on_the_unembedding_counts():
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(0)
    tuned = get_peft_model(copy.deepcopy(architectures.model("llama")), LoraConfig(r=2, target_modules=["lm_head", "o_proj"],
                                                                                   init_lora_weights=False)).eval()
    tokens = architectures.prompts(ROWS, LENGTH)
    found = attribute(tuned, inputs(tuned, tokens), decompose(tuned), find_final(tuned), ANSWER, FOIL)
    merged = copy.deepcopy(tuned).merge_and_unload()
    again = attribute(merged, inputs(merged, tokens), decompose(merged), find_final(merged), ANSWER, FOIL)
    for part in ("embedding", "attention", "heads", "total"):
        np.testing.assert_allclose(getattr(found, part), getattr(again, part), atol=2e-5)
    assert abs(found.total - measured("llama", tokens).total).max() > 0.1


@pytest.mark.parametrize("name", ["llama", "gemma3", "gpt_neox"])
def test_sixteen_bits_close_within_their_rounding(name):
    half = copy.deepcopy(architectures.model(name)).bfloat16()
    tokens = architectures.prompts(ROWS, LENGTH)
    found = attribute(half, inputs(half, tokens), decompose(half), find_final(half), ANSWER, FOIL)
    exact = measured(name, tokens)
    assert (abs(found.left) <= found.bound).all()
    scale = abs(exact.attention).max() + abs(exact.feed_forward).max() + abs(exact.embedding).max()
    np.testing.assert_allclose(found.attention, exact.attention, atol=0.1 * scale)


def test_a_base_in_four_bits_is_told_apart_like_any_other():
    from lab.models.loading import load_base

    model = load_base("embedded", quantization="nf4", device="cpu").model
    tokens = architectures.prompts(ROWS, LENGTH)
    found = attribute(model, inputs(model, tokens), decompose(model), find_final(model), ANSWER, FOIL)
    assert (abs(found.left) <= found.bound).all() and found.bound.max() < 1e-3 and not found.without_heads
    np.testing.assert_allclose(found.heads.sum(-1) + found.head_bias, found.attention, atol=1e-4)


def test_what_is_added_between_layers_is_noticed():
    changed = copy.deepcopy(architectures.model("llama"))
    parts = decompose(changed), find_final(changed)
    changed.model.layers[1].register_forward_pre_hook(lambda module, args: (args[0] + 0.1, *args[1:]))
    with pytest.raises(ModelUnsupported, match="prompt 0: the parts miss the logit difference .* by .*, where rounding"):
        attribute(changed, inputs(changed, architectures.prompts(ROWS, LENGTH)), *parts, ANSWER, FOIL)


def test_a_final_norm_that_is_none_is_refused():
    changed = copy.deepcopy(architectures.model("llama"))
    changed.model.norm = torch.nn.Sequential(changed.model.norm, torch.nn.GELU())
    with pytest.raises(ModelUnsupported, match=r"the final norm \(Sequential\) is not gain"):
        attribute(changed, inputs(changed, architectures.prompts(ROWS, LENGTH)), decompose(changed), find_final(changed),
                  ANSWER, FOIL)


def test_the_head_of_another_model_is_noticed():
    one, other = architectures.model("llama"), architectures.model("qwen2")
    with pytest.raises(ModelUnsupported, match="find_final was asked of another model"):
        attribute(one, inputs(one, architectures.prompts(ROWS, LENGTH)), decompose(one), find_final(other), ANSWER, FOIL)


def test_heads_that_do_not_make_up_attention_are_noticed(monkeypatch):
    from lab.probing import attribution_heads

    whole = attribution_heads._through
    monkeypatch.setattr(attribution_heads, "_through", lambda *given: (whole(*given)[0] * 1.01, *whole(*given)[1:]))
    with pytest.raises(ModelUnsupported, match="layer 0, prompt 0: heads miss what attention adds"):
        measured("llama", architectures.prompts(ROWS, LENGTH))


def test_heads_are_left_out_by_name_where_more_lies_after_them():
    changed = copy.deepcopy(architectures.model("olmo2"))
    changed.model.layers[0].self_attn.register_forward_hook(lambda module, args, output: (output[0].tanh(), *output[1:]))
    found = attribute(changed, inputs(changed, architectures.prompts(ROWS, LENGTH)), decompose(changed), find_final(changed),
                      ANSWER, FOIL)
    assert list(found.without_heads) == [0] and "more than a norm" in found.without_heads[0]


@pytest.mark.parametrize(("answer", "foil", "match"), [
    (torch.tensor([3, 4, 5]), torch.tensor([7, 4, 9]), "prompt 1: answer and foil are the same token 4"),
    (torch.tensor([3, 4, 50]), FOIL, "answer 50: this model has tokens 0 to 49"),
    (ANSWER, torch.tensor([-1, 4, 5]), "foil -1: this model has tokens 0 to 49"),
    (ANSWER[:2], FOIL, r"answer of shape \(2,\): needed is one token id for each of 3 prompts"),
])
def test_bad_answers_are_refused(answer, foil, match):
    with pytest.raises(OptionError, match=match):
        measured("llama", architectures.prompts(ROWS, LENGTH), None, answer, foil)
