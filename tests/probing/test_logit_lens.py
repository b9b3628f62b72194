"""The lens held to the model's own logits in its last layer, to float64 formulas in the others, and to itself in blocks."""

import numpy as np
import pytest
import torch

from lab.errors import OptionError
from lab.models.batch import inputs
from lab.models.rows import BASE, adapter_rows
from lab.probing import logit_lens as lens_module
from lab.probing.decomposition import decompose
from lab.probing.final import find_final
from lab.probing.logit_lens import logit_lens
from tests import architectures

pytestmark = pytest.mark.usefixtures("one_thread")
ANSWER, FOIL = torch.tensor([3, 4]), torch.tensor([17, 18])


def read(model, tokens, positions, real=None, **options):
    return logit_lens(model, inputs(model, tokens, real), decompose(model), find_final(model), positions,
                      options.pop("answer", ANSWER), options.pop("foil", FOIL), **options)


def every(tokens):
    return torch.arange(tokens.shape[1]).expand(len(tokens), -1)


@pytest.mark.parametrize("name", ["llama", "gemma2", "gpt2", "granite"])
def test_the_last_layer_says_what_the_model_says(name):
    model, tokens = architectures.model(name), architectures.prompts(2, 9)
    found = read(model, tokens, every(tokens), top=3)
    said = model(tokens).logits.double().log_softmax(-1).detach()
    for values, ids in ((found.answer, ANSWER), (found.foil, FOIL)):
        np.testing.assert_allclose(values[:, -1], said[torch.arange(2), :, ids], atol=1e-4)
    np.testing.assert_allclose(found.difference, found.answer - found.foil, atol=1e-5)
    np.testing.assert_allclose(found.entropy[:, -1], -(said.exp() * said).sum(-1) / np.log(2), atol=1e-4)
    np.testing.assert_allclose(found.divergence[:, -1], 0, atol=1e-6)
    best = said.topk(3, -1)
    np.testing.assert_array_equal(found.top[:, -1], best.indices)
    np.testing.assert_allclose(found.top_probability[:, -1], best.values.exp(), atol=1e-5)
    mine = said[torch.arange(2), :, ANSWER]
    np.testing.assert_array_equal(found.rank[:, -1], (said > mine[..., None]).sum(-1) + 1)


def test_tokens_that_are_as_likely_stand_before_the_answer():
    import copy

    model = copy.deepcopy(architectures.model("llama"))
    with torch.no_grad():
        model.lm_head.weight[[10, 11]] = model.lm_head.weight[3].clone()  # rare tokens of which it knows nothing
    tokens = architectures.prompts(2, 9)
    found = read(model, tokens, every(tokens), answer=torch.tensor([3, 3]))
    said = model(tokens).logits
    np.testing.assert_array_equal(found.rank[:, -1], (said > said[..., 3:4]).sum(-1) + 3)


@pytest.mark.parametrize("site", lens_module.READABLE)
def test_earlier_layers_are_final_norm_and_unembedding_in_float64(site):
    model, tokens = architectures.model("llama"), architectures.prompts(2, 9)
    positions = torch.tensor([[8, 2], [5, 0]])
    found = read(model, tokens, positions, site=site)
    with architectures.InFloat64():
        exact = architectures.exact("llama")
        hidden = exact(tokens, output_hidden_states=True)
        states = {"pre_attn": hidden.hidden_states[0], "post_ffn": hidden.hidden_states[1]}  # of layer 0
        layer = exact.model.layers[0]
        attended = layer.self_attn(layer.input_layernorm(states["pre_attn"]), attention_mask=None,
                                   position_embeddings=exact.model.rotary_emb(states["pre_attn"], torch.arange(9)[None]))
        states["post_attn"] = states["pre_attn"] + attended[0] if site == "post_attn" else None
    state = states[site]
    gain, head = exact.model.norm.weight, exact.lm_head.weight
    normed = gain * state / (state.square().mean(-1, keepdim=True) + exact.config.rms_norm_eps).sqrt()
    said, final = (normed @ head.T).log_softmax(-1), hidden.logits.log_softmax(-1)
    for row in range(2):
        for place, position in enumerate(positions[row].tolist()):
            if site == "post_attn" and position < 8:
                continue  # without a mask only the last position attends as in the model
            one, whole = said[row, position], final[row, position]
            assert found.answer[row, 0, place] == pytest.approx(float(one[ANSWER[row]]), abs=1e-4)
            assert found.difference[row, 0, place] == pytest.approx(float(one[ANSWER[row]] - one[FOIL[row]]), abs=1e-4)
            divergence = float((whole.exp() * (whole - one)).sum() / np.log(2))
            assert found.divergence[row, 0, place] == pytest.approx(divergence, abs=1e-4)


def test_blocks_change_nothing(monkeypatch):
    model, tokens = architectures.model("llama"), architectures.prompts(2, 9)
    whole = read(model, tokens, every(tokens), top=2)
    monkeypatch.setattr(lens_module, "_BLOCK", 2 * architectures.VOCABULARY * 4)  # four positions at a time
    parts = read(model, tokens, every(tokens), top=2)
    for name, value in vars(whole).items():
        np.testing.assert_allclose(getattr(parts, name), value, atol=1e-6, err_msg=name)


def test_rows_are_read_through_their_own_adapters():
    tuned, tokens = architectures.tuned("llama"), architectures.prompts(1, 9)
    positions = torch.tensor([[8]])
    with adapter_rows(tuned, [BASE, "strong"]):
        both = logit_lens(tuned, inputs(tuned, tokens.expand(2, -1)), decompose(architectures.model("llama")),
                          find_final(tuned), positions.expand(2, -1), ANSWER[:1].expand(2), FOIL[:1].expand(2))
    for row, adapter in enumerate((None, "strong")):
        with architectures.under(tuned, adapter):
            alone = read(tuned, tokens, positions, answer=ANSWER[:1], foil=FOIL[:1])
        for name in ("answer", "difference", "entropy", "divergence"):
            np.testing.assert_allclose(getattr(both, name)[row], getattr(alone, name)[0], atol=1e-4)


def test_a_translation_is_read_in_place_of_the_stream():
    model, tokens = architectures.model("llama"), architectures.prompts(2, 9)
    plain = read(model, tokens, every(tokens))
    same = read(model, tokens, every(tokens), translate=lambda layer, residual: residual * (2.0 + layer))
    np.testing.assert_allclose(same.answer, plain.answer, atol=1e-3)  # RMSNorm undoes a scale
    turned = read(model, tokens, every(tokens), translate=lambda layer, residual: -residual)
    assert abs(turned.answer - plain.answer).min() > 0


def test_answers_of_each_position_are_taken_apart():
    model, tokens = architectures.model("llama"), architectures.prompts(2, 9)
    each = read(model, tokens, torch.tensor([[3, 5], [3, 5]]), answer=torch.tensor([[3, 7], [4, 8]]))
    for place, answer in enumerate((torch.tensor([3, 4]), torch.tensor([7, 8]))):
        alone = read(model, tokens, torch.tensor([[3, 5], [3, 5]]), answer=answer)
        np.testing.assert_allclose(each.answer[:, :, place], alone.answer[:, :, place], atol=1e-6)


def test_what_a_block_adds_is_no_state():
    model, tokens = architectures.model("llama"), architectures.prompts(2, 9)
    with pytest.raises(OptionError, match="site=delta_ffn: a lens reads the stream itself; allowed are pre_attn, post_attn"):
        read(model, tokens, every(tokens), site="delta_ffn")


def test_answers_have_to_match_positions():
    model, tokens = architectures.model("llama"), architectures.prompts(2, 9)
    with pytest.raises(OptionError, match=r"foil of shape \(3,\): needed is \[B\] or \[B, P\], here \[2\] or \[2, 9\]"):
        read(model, tokens, every(tokens), foil=torch.tensor([1, 2, 3]))
