"""Two whole models compared through files agree with one comparison in memory and with float64 weights."""

import copy
import json

import pytest
import torch

from lab.attention.compare import compare
from lab.attention.measure import measure
from lab.attention.pairs import against, record
from lab.errors import ModelUnsupported, OptionError
from lab.models import anatomy
from tests import architectures as reference

TOKENS = reference.prompts()
TARGETS = {"llama": ["q_proj", "v_proj"], "gemma2": ["k_proj", "o_proj"], "gpt_oss": ["q_proj"], "gpt2": ["c_attn"],
           "bloom": ["query_key_value"]}


def adapted(name):
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(1)
    return get_peft_model(copy.deepcopy(reference.model(name)), LoraConfig(r=4, target_modules=TARGETS[name],
                                                                           init_lora_weights=False)).eval()


def changed(name, seed=2):
    """A copy of a model with all its weights moved."""
    model = copy.deepcopy(reference.model(name))
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(torch.randn(weight.shape, generator=generator) * 0.05)
    return model


def one_way(base, tuned, prompt):
    """Weights by layer: of the base, of the tuned layer on what enters the base's, of the tuned model."""
    entering, crossed = [], []
    handles = [layer.register_forward_pre_hook(lambda _, args: entering.append(args[0])) for layer in anatomy.layers(base)]
    before, _ = reference.run(base, prompt)
    for handle in handles:
        handle.remove()
    for index, layer in enumerate(anatomy.layers(tuned)):
        handle = layer.register_forward_pre_hook(lambda _, args, index=index: (entering[index], *args[1:]))
        crossed.append(reference.run(tuned, prompt)[0][index])
        handle.remove()
    return before, crossed, reference.run(tuned, prompt)[0]


@pytest.mark.parametrize("name", TARGETS)
def test_a_merged_adapter_is_the_same_comparison_as_rows_of_one_batch(name, tmp_path):
    tokens, real = reference.padded([TOKENS[0], TOKENS[1, :30]], "left")
    model = adapted(name)
    expected = compare(model, ["default"], tokens, real, decompose=False)
    size = record(reference.model(name), tokens, real, tmp_path)
    assert size == sum(path.stat().st_size for path in tmp_path.iterdir())
    found = against(model.merge_and_unload(), tmp_path, tokens, real, decompose=False)
    torch.testing.assert_close(found.divergence, expected.divergence, atol=1e-6, rtol=1e-3)
    torch.testing.assert_close(found.output_change, expected.output_change, atol=1e-4, rtol=1e-4, equal_nan=True)
    assert found.direct is None and found.inherited is None
    for each in ("base", "tuned", "uniform"):
        for statistic, values in getattr(expected, each).items():
            mine = getattr(found, each)[statistic]
            torch.testing.assert_close(mine, values, atol=1e-5, rtol=1e-5, equal_nan=True)
    assert expected.divergence.min() >= 0 and expected.divergence.max() > 1e-3


@pytest.mark.parametrize("name", ["llama", "gemma2", "gpt_oss", "gpt2", "deepseek_v3", "bloom"])
def test_divergence_direct_and_inherited_are_those_of_float64_weights(name, tmp_path):
    model = changed(name)
    record(reference.model(name), TOKENS, None, tmp_path)
    found = against(model, tmp_path, TOKENS)
    assert found.divergence.shape == found.direct.shape == found.inherited.shape == (1, 2, 2, reference.HEADS)
    base, tuned = reference.exact(name), reference.widened(model)
    for row, prompt in enumerate(TOKENS):
        before, crossed, after = one_way(base, tuned, prompt)
        for layer in range(2):
            for values, pair in ((found.divergence, (before[layer], after[layer])),
                                 (found.direct, (before[layer], crossed[layer])),
                                 (found.inherited, (crossed[layer], after[layer]))):
                torch.testing.assert_close(values[0, row, layer], reference.divergence(*pair), atol=1e-6, rtol=1e-3)
    assert found.direct.min() > 1e-4 and found.inherited.min() > 1e-4


@pytest.mark.parametrize("name", ["gemma2", "lfm2", "bloom"])
def test_a_model_against_itself_does_not_differ(name, tmp_path):
    tokens, real = reference.padded([TOKENS[0], TOKENS[1, :30]], "right")
    model = reference.model(name)
    record(model, tokens, real, tmp_path, recent=6)
    found = against(model, tmp_path, tokens, real)
    attends = ~found.divergence.isnan()
    assert attends[0, 0, :, 0].tolist() == [name != "lfm2", True]
    for values in (found.divergence, found.direct, found.inherited):
        assert not values[attends].any()
    assert name == "bloom" or not found.output_change[attends].any()
    for statistic, values in measure(model, tokens, real, recent=6).statistics.items():
        assert torch.equal(found.base[statistic].nan_to_num(-1), values.nan_to_num(-1))
        assert torch.equal(found.tuned[statistic][0].nan_to_num(-1), values.nan_to_num(-1))


def test_number_formats_are_kept(tmp_path):
    from safetensors import safe_open

    model = copy.deepcopy(reference.model("llama")).bfloat16()
    record(model, TOKENS, None, tmp_path)
    with safe_open(tmp_path / "layer.1.safetensors", "pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118, it is no mapping
    assert {name: tuple(tensor.shape) for name, tensor in tensors.items()} == {
        "queries": (2, 4, 40, 16), "keys": (2, 2, 40, 16), "output": (2, 40, 4, 16), "entering": (2, 40, 64)}
    assert {tensor.dtype for tensor in tensors.values()} == {torch.bfloat16}
    assert not against(model, tmp_path, TOKENS).divergence.any()


def test_a_folder_holds_one_model(tmp_path):
    model = reference.model("llama")
    with pytest.raises(OptionError, match="holds no recorded model; record the base there first"):
        against(model, tmp_path, TOKENS)
    record(model, TOKENS, None, tmp_path / "new" / "folder")
    with pytest.raises(OptionError, match="holds a recorded model already; name a new folder"):
        record(model, TOKENS, None, tmp_path / "new" / "folder")


def test_tokens_have_to_be_those_that_were_recorded(tmp_path):
    model = reference.model("llama")
    record(model, TOKENS, None, tmp_path)
    others = TOKENS.clone()
    others[1, 3] += 1
    padding = torch.ones_like(TOKENS, dtype=torch.bool)
    padding[0, 0] = False
    for tokens, real in ((others, None), (TOKENS, padding), (TOKENS[:, :39], None)):
        with pytest.raises(OptionError, match=r"are not those that were recorded, of shape \(2, 40\)"):
            against(model, tmp_path, tokens, real)
    assert not against(model, tmp_path, TOKENS, torch.ones_like(TOKENS)).divergence.any()


@pytest.mark.parametrize(("other", "message"), [
    ("qwen2", "architecture: LlamaForCausalLM in the recorded model, Qwen2ForCausalLM in this one"),
    ("bfloat16", "dtype: float32 in the recorded model, bfloat16 in this one"),
    ("layers", "layers: 1 in the recorded model, 2 in this one"),
    ("heads", "heads: 8 in the recorded model, 4 in this one; only models that agree in it"),
])
def test_models_that_cannot_be_compared_head_by_head_are_refused(other, message, tmp_path):
    model = reference.model("llama")
    record(model, TOKENS, None, tmp_path)
    if other == "bfloat16":
        model = copy.deepcopy(model).bfloat16()
    elif other == "qwen2":
        model = reference.model("qwen2")
    else:
        about = json.loads((tmp_path / "recorded.json").read_text())
        (tmp_path / "recorded.json").write_text(json.dumps({**about, other: {"layers": 1, "heads": 8}[other]}))
    with pytest.raises(ModelUnsupported, match=message):
        against(model, tmp_path, TOKENS)


def test_windows_scales_and_caps_have_to_agree(tmp_path):
    model = copy.deepcopy(reference.model("mistral"))
    record(model, TOKENS, None, tmp_path / "mistral")
    model.config.sliding_window = reference.WINDOW + 1
    with pytest.raises(ModelUnsupported, match="layer 0: window 7 in the recorded model, 8 in this one; only models whose"):
        against(model, tmp_path / "mistral", TOKENS)
    model = copy.deepcopy(reference.model("gemma2"))
    record(model, TOKENS, None, tmp_path / "gemma2")
    attention = anatomy.attention(anatomy.layers(model)[1])
    attention.attn_logit_softcapping = 3.0
    with pytest.raises(ModelUnsupported, match="layer 1: softcap 2.0 in the recorded model, 3.0 in this one"):
        against(model, tmp_path / "gemma2", TOKENS)
    attention.attn_logit_softcapping, attention.scaling = 2.0, 0.5
    with pytest.raises(ModelUnsupported, match="layer 1: scale 0.25 in the recorded model, 0.5 in this one"):
        against(model, tmp_path / "gemma2", TOKENS)
