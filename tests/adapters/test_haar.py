import copy

import pytest
import torch
from peft import IA3Config, LoraConfig, get_peft_model
from transformers import Qwen2Config, Qwen2ForCausalLM

from lab.adapters.haar import add_slots, draw, haar_frame, remove_slots
from lab.adapters.spectra import spectra
from lab.errors import ModelUnsupported

TARGETS = ["q_proj", "k_proj", "down_proj"]
IDS = torch.arange(14).reshape(2, 7) % 32


def base():
    torch.manual_seed(0)
    return Qwen2ForCausalLM(Qwen2Config(
        vocab_size=32, hidden_size=16, intermediate_size=40, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=64)).eval()


def tuned(*, trained=True, **settings):
    """A tiny PEFT model whose adapter's B is random, as after training."""
    model = get_peft_model(base(), LoraConfig(**{"r": 3, "lora_alpha": 7, "target_modules": TARGETS, **settings}))
    if trained:
        for module in model.modules():
            if "default" in getattr(module, "lora_B", {}):
                torch.nn.init.normal_(module.lora_B["default"].weight, std=0.3)
    return model.eval()


def dense(model, name, adapter):
    """The whole update of a module in float64."""
    layer = model.get_submodule(f"base_model.model.{name}")
    return layer.scaling[adapter] * layer.lora_B[adapter].weight.double() @ layer.lora_A[adapter].weight.double()


def test_the_frame_is_orthonormal_and_follows_from_its_seed():
    frame = haar_frame(50, 4, torch.Generator().manual_seed(1)).double()
    torch.testing.assert_close(frame.T @ frame, torch.eye(4, dtype=torch.float64), atol=1e-6, rtol=0)
    assert frame.equal(haar_frame(50, 4, torch.Generator().manual_seed(1)).double())


def test_frames_are_haar_moments_of_every_entry_and_no_preferred_sign():
    """Under Haar measure E q = 0, E q² = 1/D and E q⁴ = 3 / (D (D + 2)); without the sign fix the means are far off."""
    generator = torch.Generator().manual_seed(0)
    width, count, draws = 5, 2, 20_000
    frames = torch.stack([haar_frame(width, count, generator) for _ in range(draws)]).double()
    error = draws**-0.5
    assert frames.mean(0).abs().max() < 4 * error * width**-0.5
    assert (frames.square().mean(0) - 1 / width).abs().max() < 4 * error * width**-0.5
    assert (frames.pow(4).mean(0) - 3 / (width * (width + 2))).abs().max() < 4 * error * 0.2


@pytest.mark.parametrize("settings", [
    {}, {"use_rslora": True}, {"r": 12}, {"lora_dropout": 0.5},
    {"rank_pattern": {"k_proj": 1, "layers.1.self_attn.q_proj": 5}, "alpha_pattern": {"k_proj": 30}}],
    ids=["plain", "rank-stabilised", "rank above a width", "dropout", "patterns"])
def test_the_update_keeps_its_singular_values_in_every_module(settings):
    model = tuned(**settings)
    add_slots(model, "default", ["null"])
    draw(model, "default", "null", seed=3)
    for name in spectra(model):
        observed, drawn = (torch.linalg.svdvals(dense(model, name, a)) for a in ("default", "null"))
        rank = min(torch.linalg.matrix_rank(dense(model, name, "default")).item(), len(observed))
        torch.testing.assert_close(drawn[:rank], observed[:rank], rtol=1e-5, atol=0)
        assert all(drawn[rank:] < 1e-5 * observed[0])
        assert not torch.allclose(dense(model, name, "default"), dense(model, name, "null"), atol=1e-2)


def test_the_seed_decides_the_draw_and_old_draws_leave_nothing_behind():
    model = tuned()
    add_slots(model, "default", ["first", "second"])
    draw(model, "default", "first", seed=1)
    draw(model, "default", "second", seed=2, values=spectra(model))
    name = next(iter(spectra(model)))
    assert not torch.allclose(dense(model, name, "first"), dense(model, name, "second"), atol=1e-2)
    draw(model, "default", "second", seed=1)
    for name in spectra(model):
        assert dense(model, name, "first").equal(dense(model, name, "second"))


def test_the_update_points_nowhere_in_particular_in_the_models_own_coordinates():
    """Over draws every input and output coordinate of a module carries the same share of the squared update."""
    model = tuned()
    add_slots(model, "default", ["null"])
    values, name = spectra(model), "model.layers.0.mlp.down_proj"
    squares = torch.zeros(16, 40, dtype=torch.float64)
    for seed in range(400):
        draw(model, "default", "null", seed, values)
        squares += dense(model, name, "null").square() / 400
    expected = values[name].square().sum() / (16 * 40)
    assert (squares.mean(0) / expected - 1).abs().max() < 0.3 and (squares.mean(1) / expected - 1).abs().max() < 0.3


def test_a_zero_update_has_zero_draws_also_when_its_scaling_is_zero():
    for settings in ({"trained": False}, {"lora_alpha": 0}):
        model = tuned(**settings)
        add_slots(model, "default", ["null"])
        draw(model, "default", "null", seed=0)
        assert all(dense(model, name, "null").abs().max() == 0 for name in spectra(model))


@pytest.mark.parametrize("frozen", [True, False])
def test_slots_disturb_nothing_and_leave_without_a_trace(frozen):
    model = tuned()
    model.peft_config["default"].inference_mode = frozen
    before = {key: tensor.clone() for key, tensor in model.state_dict().items()}
    trainable = {key: p.requires_grad for key, p in model.named_parameters()}
    config, state = copy.deepcopy(model.peft_config["default"]), torch.get_rng_state()
    with torch.no_grad():
        logits = model(IDS).logits
        add_slots(model, "default", ["one", "two"])
        assert model(IDS).logits.equal(logits)  # fresh slots, the old one active
        both = model(IDS, adapter_names=["one", "default"]).logits
        draw(model, "default", "one", seed=0)
        assert model(IDS).logits.equal(logits) and model.active_adapter == "default"
        drawn = model(IDS, adapter_names=["one", "default"]).logits
    assert torch.get_rng_state().equal(state) and drawn[1].equal(both[1]) and not drawn[0].allclose(both[0], atol=1e-3)
    assert not model.training and not any(module.training for module in model.modules())
    new = {key: p.requires_grad for key, p in model.named_parameters() if ".one." in key or ".two." in key}
    assert new and not any(new.values())
    remove_slots(model, ["one", "two"])
    after = model.state_dict()
    assert list(after) == list(before) and all(after[key].equal(before[key]) for key in before)
    assert {key: p.requires_grad for key, p in model.named_parameters()} == trainable
    assert model.active_adapter == "default" and list(model.peft_config) == ["default"]
    assert model.peft_config["default"].to_dict() == config.to_dict()


def test_slots_take_the_dtype_of_the_adapter():
    model = tuned()
    for module in model.modules():
        for part in ("lora_A", "lora_B"):
            if "default" in getattr(module, part, {}):
                getattr(module, part)["default"].to(torch.bfloat16)
    add_slots(model, "default", ["null"])
    draw(model, "default", "null", seed=0)
    dtypes = {p.dtype for key, p in model.named_parameters() if ".null." in key}
    assert dtypes == {torch.bfloat16}


def test_an_initialisation_that_would_rewrite_the_base_is_not_repeated():
    model = tuned(init_lora_weights="pissa", lora_alpha=3)
    weights = {key: p.clone() for key, p in model.named_parameters()}
    add_slots(model, "default", ["null"])
    assert all(p.equal(weights[key]) for key, p in model.named_parameters() if key in weights)


@pytest.mark.parametrize("settings, complaint", [
    ({"use_dora": True}, "has DoraLinearVariant in"),
    ({"modules_to_save": ["lm_head"]}, r"has modules_to_save=\['lm_head'\]"),
    ({"bias": "lora_only"}, "has bias=lora_only"),
    ({"lora_bias": True, "target_modules": ["q_proj"]}, "has lora_bias=True"),
    ({"trainable_token_indices": [1]}, "has trainable_token_indices="),
    ({"target_modules": [*TARGETS, "embed_tokens"]}, "has LoRA on the embedding model.embed_tokens"),
])
def test_what_has_no_random_counterpart_is_refused(settings, complaint):
    model = tuned(**settings)
    with pytest.raises(ModelUnsupported, match=complaint):
        add_slots(model, "default", ["null"])
    assert list(model.peft_config) == ["default"]


def test_convolutions_are_refused():
    model = get_peft_model(torch.nn.Sequential(torch.nn.Conv1d(3, 4, 2)), LoraConfig(r=2, target_modules=["0"]))
    with pytest.raises(ModelUnsupported, match="has a convolution in 0"):
        add_slots(model, "default", ["null"])


def test_a_merged_adapter_and_other_kinds_are_refused():
    model = tuned()
    model.merge_adapter()
    with pytest.raises(ModelUnsupported, match=r"merged into the weights of .*; unmerge it: model.unmerge_adapter"):
        add_slots(model, "default", ["null"])
    other = get_peft_model(base(), IA3Config(target_modules=["k_proj"], feedforward_modules=[]))
    with pytest.raises(ModelUnsupported, match="is of type .*IA3; only a LoRA adapter is a product B @ A"):
        add_slots(other, "default", ["null"])


def test_wrong_names_say_what_there_is():
    model = tuned()
    with pytest.raises(ModelUnsupported, match="no adapter best; it has default"):
        add_slots(model, "best", ["null"])
    with pytest.raises(ModelUnsupported, match="no adapter default; it has none"):
        add_slots(base(), "default", ["null"])
    with pytest.raises(ModelUnsupported, match="already has adapters default"):
        add_slots(model, "default", ["default"])
    for slot in ("default", "missing"):
        with pytest.raises(ModelUnsupported, match=f"adapter {slot} is no slot for draws like default; make one"):
            draw(model, "default", slot, seed=0)
    with pytest.raises(ModelUnsupported, match="no adapter missing; it has default"):
        remove_slots(model, ["missing"])
    with pytest.raises(ModelUnsupported, match="adapter default is active; switch to another first"):
        remove_slots(model, ["default"])
