"""Layers asked once more: what they are asked with, what is kept of them, and that nothing is left behind."""

import pytest
import torch

from lab.attention.crossing import Crossing, before_layers
from lab.attention.pairs import against, record
from lab.models import anatomy
from tests import architectures as reference

ROWS = reference.prompts()


class Layer:
    """Hands a pattern over in the middle, unless it fails before."""

    def __init__(self, crossing, failing=False):
        self.crossing, self.failing, self.finished = crossing, failing, 0

    def forward(self, entering, factor, *, shift):
        if self.failing:
            raise KeyError("on purpose")
        self.crossing.intercept(entering * factor + shift)
        self.finished += 1


def test_a_layer_that_is_asked_stops_at_its_attention_which_is_handed_out_once():
    crossing = Crossing()
    layer = Layer(crossing)
    crossing.ask(layer, torch.ones(2), (3,), {"shift": 4})
    assert layer.finished == 0
    assert crossing.taken().tolist() == [7, 7]
    assert crossing.taken() is None
    layer.forward(torch.ones(2), 3, shift=4)
    assert layer.finished == 1 and crossing.taken() is None


def test_after_an_exception_layers_run_to_their_end_again():
    crossing = Crossing()
    with pytest.raises(KeyError, match="on purpose"):
        crossing.ask(Layer(crossing, failing=True), torch.ones(2), (3,), {"shift": 4})
    layer = Layer(crossing)
    layer.forward(torch.ones(2), 3, shift=4)
    assert layer.finished == 1


def test_layers_called_by_name_are_entered_and_asked_like_others(tmp_path):
    model = reference.model("llama")
    usual, named = [], []

    def by_name(layer, args, kwargs):
        return (), {"hidden_states": args[0], **kwargs}

    def run(kept):
        with before_layers(model, lambda index, layer, entering, *_: kept.append((index, entering))), torch.no_grad():
            model(ROWS, use_cache=False)

    run(usual)
    record(model, ROWS, None, tmp_path)
    handles = [layer.register_forward_pre_hook(by_name, with_kwargs=True) for layer in anatomy.layers(model)]
    try:
        run(named)
        found = against(model, tmp_path, ROWS, routed=True)
    finally:
        for handle in handles:
            handle.remove()
    assert [index for index, _ in named] == [index for index, _ in usual] == [0, 1]
    assert all(torch.equal(one, other) for (_, one), (_, other) in zip(named, usual, strict=True))
    assert not found.direct.any() and not found.inherited.any()
