"""What a layer adds is found whatever way it adds it; where it cannot be found the layer is refused by name."""

import copy

import pytest
import torch

from lab.errors import ModelUnsupported
from lab.models import anatomy
from lab.probing.closure import Closure, closure
from lab.probing.decomposition import decompose
from lab.probing.sites import ATTN_OUT, FFN_OUT
from tests import architectures
from tests.probing import toy

pytestmark = pytest.mark.usefixtures("one_thread")


def parts(*rules, **more):
    return decompose(toy.toy(*rules, **more)).layers


def paths(terms):
    return [(term.path, term.factor) for term in terms]


def test_terms_in_sequence():
    (found,) = parts(toy.sequential)
    assert paths(found.attention) == [("self_attn", 1.0)] and paths(found.feed_forward) == [("mlp", 1.0)]
    assert not found.virtual and found.raw == {ATTN_OUT: "self_attn", FFN_OUT: "mlp"}
    assert found.closure.ratio < 1e-6


def test_a_parallel_block_has_a_virtual_middle():
    found = decompose(toy.toy(toy.sequential, toy.parallel))
    assert found.virtual == [1]


def test_multipliers_are_fitted():
    (found,) = parts(toy.scaled)
    assert [path for path, _ in paths(found.terms)] == ["self_attn", "mlp"]
    assert [factor for _, factor in paths(found.terms)] == pytest.approx([0.37, 1.6], rel=1e-6)


def test_a_multiplier_that_the_configuration_states_is_exact():
    config = copy.deepcopy(architectures.model("granite").config)
    config.residual_multiplier = 0.22
    from transformers import GraniteForCausalLM

    torch.manual_seed(0)
    for layer in decompose(GraniteForCausalLM(config).eval()).layers:
        assert [term.factor for term in layer.terms] == [0.22, 0.22]


def test_several_feed_forward_branches():
    (found,) = parts(toy.two_branches)
    assert paths(found.feed_forward) == [("mlp", 1.0), ("shared_mlp", 1.0)] and found.raw == {ATTN_OUT: "self_attn"}


def test_layers_with_one_part_or_none():
    mixing, feeding, idle = parts(toy.only_mixes, toy.only_feeds, toy.nothing)
    assert paths(mixing.attention) == [("self_attn", 1.0)] and not mixing.feed_forward and not mixing.virtual
    assert paths(feeding.feed_forward) == [("mlp", 1.0)] and not feeding.attention
    assert idle.terms == ()


def test_what_is_written_into_is_known():
    (output,) = parts(toy.writes_into_output)
    assert {term.path: term.overwritten for term in output.terms} == {"self_attn": False, "mlp": True}
    (taken,) = parts(toy.writes_into_input)
    assert taken.input_overwritten


def test_a_faint_part_is_not_lost_in_the_rounding_of_bfloat16():
    (found,) = parts(toy.faint_feed_forward, dtype=torch.bfloat16)
    assert [term.path for term in found.terms] == ["self_attn", "mlp"]
    assert found.closure.roundings <= 4


@pytest.mark.parametrize("rule", [toy.gained, toy.post_norm, toy.feeds_twice])
def test_what_is_no_sum_of_outputs_is_refused_by_name(rule):
    with pytest.raises(ModelUnsupported, match=r"LlamaForCausalLM: layer 1 \(ToyLayer\) does not add up"):
        parts(toy.sequential, rule)


def test_a_layer_that_runs_twice():
    model = toy.toy(toy.sequential, toy.sequential)
    model.model.layers[1] = model.model.layers[0]
    with pytest.raises(ModelUnsupported, match="layer 0 .* ran 2 times in one forward pass"):
        decompose(model)


def test_a_layer_without_a_single_stream():
    with pytest.raises(ModelUnsupported, match=r"layer 0 .* takes a tensor of shape \(4, 2, 16, 32\)"):
        from tests.probing import tiny_models
        decompose(tiny_models.build("gemma3n_text"))


def test_a_module_of_which_nobody_can_say_what_it_does():
    model = toy.toy(toy.sequential)
    layer = model.model.layers[0]
    layer.first, layer.second = layer.self_attn, layer.mlp
    del layer.self_attn, layer.mlp, layer.shared_mlp
    layer.rule = lambda layer, x: x + layer.first(layer.input_norm(x)) + layer.second(layer.input_norm(x))
    with pytest.raises(ModelUnsupported, match="adds first, second, of which the lab cannot tell whether it mixes tokens"):
        decompose(model)


def test_adapters_are_inside_the_modules_that_are_found():
    tuned = architectures.with_adapters(architectures.model("bloom"))
    assert [term.path for term in decompose(tuned).layers[0].terms] == ["self_attention.dense", "mlp.dense_4h_to_h"]


def test_looking_leaves_no_hook_behind():
    model = toy.toy(toy.sequential)
    decompose(model)
    with pytest.raises(ModelUnsupported):
        decompose(toy.toy(toy.gained))
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


def test_closure_is_a_ratio_and_a_count_of_roundings():
    torch.manual_seed(0)
    pre, attended, fed = torch.randn(3, 2, 5, 8)
    assert Closure(*closure(pre, (attended, fed), pre + attended + fed).tolist()).holds
    wrong = Closure(*closure(pre, (attended, fed), pre + attended + 1.01 * fed).tolist())
    expected = (0.01 * fed).norm() / (attended + 1.01 * fed).norm()
    assert wrong.ratio == pytest.approx(float(expected), rel=1e-4) and not wrong.holds
    assert not Closure(float("nan"), float("nan")).holds


def test_factors_near_one_are_told_from_one_in_bfloat16():
    (found,) = parts(toy.nearly_one, dtype=torch.bfloat16)
    (plain,) = parts(toy.sequential, dtype=torch.bfloat16)
    assert [term.factor for term in plain.terms] == [1.0, 1.0]
    assert found.feed_forward[0].factor == pytest.approx(0.985, abs=0.003)


def test_a_long_stream_in_bfloat16_closes_by_its_roundings():
    torch.manual_seed(0)
    pre, attended, fed = torch.randn(4096) * 1000, torch.randn(4096), torch.randn(4096)
    pre, attended, fed = (each.bfloat16() for each in (pre, attended, fed))
    reached = Closure(*closure(pre, (attended, fed), (pre + attended) + fed).tolist())
    assert reached.ratio > 0.1 and reached.roundings < 2 and reached.holds
    lacking = Closure(*closure(pre, (attended, fed), (pre + attended) + fed + 0.1 * pre).tolist())
    assert not lacking.holds


def test_layers_nobody_listed_are_found_if_there_is_one_list_of_them():
    from tests.probing import tiny_models

    mamba = tiny_models.build("mamba")
    assert anatomy.layers(mamba) is mamba.backbone.layers
    with pytest.raises(ModelUnsupported, match="lists of 2 modules are"):
        anatomy.layers(tiny_models.build("xlm"))
