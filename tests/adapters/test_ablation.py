import pytest
import torch

from lab.adapters.ablation import Ablation, ablated, check, parse
from lab.adapters.intruder_scaling import scale_intruders
from lab.adapters.update import from_factors
from lab.adapters.weights import decompose
from lab.errors import OptionError

HAS = {"layers": (0, 1, 3), "roles": ("q_proj", "up_proj"), "rank": 4}


def update():
    generator = torch.Generator().manual_seed(0)
    return from_factors(torch.randn(4, 9, generator=generator), torch.randn(12, 4, generator=generator), 1.0)


def dense(one):
    return one.left @ torch.diag(one.values) @ one.right.T


def left_of(text, layer=1, role="q_proj"):
    return dense(ablated(parse(text), layer, role, update(), torch.zeros(12, 9)))


def test_texts_mean_what_they_say():
    assert parse("layers:0+3") == Ablation("layers", "layers:0+3", layers=(0, 3))
    assert parse("modules:q_proj+up_proj").modules == ("q_proj", "up_proj")
    assert parse("scale:0.5").factor == 0.5 and parse("drop:2").count == 2


@pytest.mark.parametrize("text, words, name", [
    ("intruders:0.7", "intruders times 0.7", "intruders_times_0_7"), ("scale:0.50", "whole times 0.5", "whole_times_0_5"),
    ("layers:0+1", "without layers 0+1", "without_layers_0_1"), ("layers:3", "without layer 3", "without_layer_3"),
    ("modules:q_proj+v_proj", "without q_proj+v_proj", "without_q_proj_v_proj"),
    ("drop:1", "without direction 1", "without_direction_1"), ("keep:1", "only direction 1", "only_direction_1"),
    ("keep:3", "only directions 1 to 3", "only_directions_1_to_3")])
def test_words_say_what_is_left(text, words, name):
    assert (parse(text).words, parse(text).name) == (words, name)


def test_what_is_left_is_the_rest_of_the_dense_update():
    whole, values = dense(update()), update().values
    torch.testing.assert_close(left_of("scale:0.5"), 0.5 * whole)
    torch.testing.assert_close(left_of("drop:1") + left_of("keep:1"), whole)
    torch.testing.assert_close(torch.linalg.svdvals(left_of("drop:1"))[:3], values[1:])
    torch.testing.assert_close(left_of("layers:0"), whole)
    torch.testing.assert_close(left_of("modules:up_proj"), whole)
    assert not left_of("layers:0+1").any() and not left_of("modules:q_proj").any()


def test_intruders_are_scaled_against_the_weight():
    matrix = torch.randn(12, 9, generator=torch.Generator().manual_seed(4))
    expected, count = scale_intruders(matrix, decompose(matrix), update(), 0.2, k=5, threshold=0.6)
    found = ablated(parse("intruders:0.2"), 0, "q_proj", update(), matrix, k=5, threshold=0.6)
    assert count and dense(found).equal(dense(expected))


@pytest.mark.parametrize("text, complaint", [
    ("shrink:0.5", "shrink:0.5: no such ablation; allowed, several separated by commas: scale:0.5"),
    ("scale", "scale: no such ablation"),
    ("1", r"1: no such ablation \(several layers are joined by \+"),
    ("scale:half", "scale takes a number from 0 to 10; type for example scale:0.5"),
    ("intruders:-1", "intruders takes a number from 0 to 10"),
    ("scale:nan", "scale takes a number from 0 to 10"),
    ("drop:0", "drop takes a whole number from 1"),
    ("keep:1.5", "keep takes a whole number from 1"),
    ("layers:a", r"layers takes whole numbers joined by \+"),
    ("modules:", r"modules takes names joined by \+"),
])
def test_what_means_nothing_is_refused(text, complaint):
    with pytest.raises(OptionError, match=complaint):
        parse(text)


@pytest.mark.parametrize("text, complaint", [
    ("layers:0+2", "the adapter has no layers 2; it changes 0, 1, 3"),
    ("modules:v_proj", "the adapter has no modules v_proj; it changes q_proj, up_proj"),
    ("layers:0+1+3", "takes away all layers of the adapter and leaves the base"),
    ("modules:q_proj+up_proj", "takes away all modules"),
    ("drop:4", "has 4 directions in a module, of which drop takes at most 3"),
    ("keep:5", "of which keep takes at most 4"),
])
def test_what_the_adapter_does_not_have_is_refused(text, complaint):
    with pytest.raises(OptionError, match=complaint):
        check(parse(text), **HAS)
    check(parse("layers:0+1"), **HAS)


def test_one_direction_cannot_be_dropped():
    with pytest.raises(OptionError, match="drop takes none: nothing would be left"):
        check(parse("drop:1"), layers=(0, 1), roles=("q_proj",), rank=1)
