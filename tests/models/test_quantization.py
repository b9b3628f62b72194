"""NF4 on a CPU: what it stores, that it trains, and that evaluating does not change it."""

import json
import shutil

import bitsandbytes
import pytest
import torch

from lab.errors import ModelUnsupported
from lab.models.adapters import attach, detach
from lab.models.fingerprint import fingerprint, fingerprint_of_state_dict
from lab.models.loading import load_base

WIDE = {"hidden_size": 64, "intermediate_size": 128, "head_dim": 16}  # blocks of 64 values fit


@pytest.fixture
def base(make_model):
    return load_base(str(make_model(**WIDE)), device="cpu", quantization="nf4")


def layers_of(model):
    return [module for module in model.modules() if isinstance(module, bitsandbytes.nn.Linear4bit)]


def test_it_is_nf4_with_double_quantisation(base, make_model):
    plain = load_base(str(make_model(**WIDE)), device="cpu")
    assert (base.quantization, base.prequantized, base.fingerprint) == ("nf4", False, plain.fingerprint)
    quantised = dict(base.model.named_modules())
    layers = layers_of(base.model)
    assert len(layers) == 14, "every linear map in the layers, not the output"
    for layer in layers:
        assert layer.weight.quant_state.quant_type == "nf4" and layer.weight.quant_state.nested
        assert layer.compute_dtype == torch.float32
    weight = plain.model.model.layers[0].mlp.up_proj.weight
    stored = quantised["model.layers.0.mlp.up_proj"].weight
    back = bitsandbytes.functional.dequantize_4bit(stored.data, stored.quant_state)
    error = (back - weight).abs().max() / weight.abs().max()
    assert 0 < error < 0.16  # half the widest gap between NF4 levels, in units of the block's largest value


def test_nothing_but_the_linear_maps_changes_its_format(base):
    for name, tensor in base.model.named_parameters():
        assert tensor.dtype == (torch.uint8 if "proj" in name else torch.float32), name


def test_it_trains_and_only_the_adapter_moves(base, ids, train):
    before = fingerprint_of_state_dict({n: t for n, t in base.model.state_dict().items() if t.dim()})
    model = attach(base, r=4, alpha=8, seed=0)
    assert {p.dtype for p in model.parameters() if p.requires_grad} == {torch.float32}
    losses = train(model, ids, steps=8, lr=0.2)
    assert losses[-1] < 0.95 * losses[0]
    plain = detach(model)
    assert fingerprint_of_state_dict({n: t for n, t in plain.state_dict().items() if t.dim()}) == before


def test_its_gradients_are_those_of_the_dequantised_model(base, ids):
    """Against autograd on an ordinary model whose weights are the dequantised ones."""
    model = attach(base, r=4, alpha=8, seed=0)
    with torch.no_grad():
        model.eval()(input_ids=ids)  # an evaluation before training, where bitsandbytes would repack the weights
    reference = {}
    for repetition in range(2):
        model.train()
        model(input_ids=ids, labels=ids).loss.backward()
        if repetition == 0:
            reference = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
            model.zero_grad()
            for name, module in list(model.named_modules()):
                if isinstance(module, bitsandbytes.nn.Linear4bit):
                    dense = torch.nn.Linear(module.in_features, module.out_features, bias=False)
                    dense.weight.data = bitsandbytes.functional.dequantize_4bit(module.weight.data,
                                                                                module.weight.quant_state).float()
                    parent, _, leaf = name.rpartition(".")
                    setattr(model.get_submodule(parent), leaf, dense.requires_grad_(False))
    for name, p in model.named_parameters():
        if name in reference and "lora_B" in name:
            assert torch.allclose(p.grad, reference[name], rtol=1e-3, atol=1e-6), name
    assert any(g.abs().max() > 0 for g in reference.values())


def test_evaluating_changes_neither_weights_nor_answers(base, ids, logits):
    before = [(layer.weight.data.clone(), layer.weight.quant_state.absmax.clone()) for layer in layers_of(base.model)]
    training = base.model.train()(input_ids=ids).logits.detach()
    assert logits(base.model, ids).equal(training)
    assert base.model.train()(input_ids=ids).logits.equal(training)
    for layer, (weight, scales) in zip(layers_of(base.model), before, strict=True):
        assert layer.weight.equal(weight) and layer.weight.quant_state.absmax.equal(scales)


def test_a_quantised_checkpoint_is_its_own_base(base, make_model, tmp_path, ids, logits):
    base.model.save_pretrained(tmp_path / "nf4")
    base.tokenizer.save_pretrained(tmp_path / "nf4")
    stored = load_base(str(tmp_path / "nf4"), device="cpu")
    assert (stored.quantization, stored.prequantized) == ("nf4", True)
    assert stored.fingerprint == fingerprint(tmp_path / "nf4") != base.fingerprint
    assert logits(stored.model, ids).equal(logits(base.model, ids))
    assert load_base(str(tmp_path / "nf4"), device="cpu", quantization="nf4").quantization == "nf4"


def test_what_cannot_be_quantised(make_model, tmp_path):
    with pytest.raises(ModelUnsupported, match="quantization=int3 is none of none, nf4"):
        load_base(str(make_model(**WIDE)), device="cpu", quantization="int3")
    copy = shutil.copytree(make_model(**WIDE), tmp_path / "gptq")
    config = json.loads((copy / "config.json").read_text())
    stored = {"quant_method": "gptq", "bits": 4}
    (copy / "config.json").write_text(json.dumps({**config, "quantization_config": stored}))
    with pytest.raises(ModelUnsupported, match="quantization=nf4: the checkpoint is stored as gptq"):
        load_base(str(copy), device="cpu", quantization="nf4")
