"""A model before training: the same shape and computation, first weights, and nobody's random state touched."""

from types import SimpleNamespace

import pytest
import torch

from lab.errors import ModelUnsupported
from lab.probing.linear_untrained import untrained
from tests import architectures

pytestmark = pytest.mark.usefixtures("one_thread")


def test_only_the_weights_are_others():
    model = architectures.model("qwen2")
    before = torch.random.get_rng_state()
    fresh, same, other = untrained(model), untrained(model), untrained(model, seed=1)
    assert torch.equal(before, torch.random.get_rng_state()) and not fresh.training
    mine, new = dict(model.named_parameters()), dict(fresh.named_parameters())
    assert {name: each.shape for name, each in mine.items()} == {name: each.shape for name, each in new.items()}
    weights = [each.model.layers[0].mlp.up_proj.weight for each in (model, fresh, same, other)]
    assert torch.equal(weights[1], weights[2])
    assert not torch.equal(weights[0], weights[1]) and not torch.equal(weights[1], weights[3])
    assert fresh.config.to_dict() == model.config.to_dict()
    half = untrained(model.to(torch.bfloat16))
    assert {each.dtype for each in half.parameters()} == {torch.bfloat16} and torch.get_default_dtype() == torch.float32


def test_a_model_that_its_configuration_cannot_make_is_refused():
    class Odd(torch.nn.Linear):
        config, dtype, device = SimpleNamespace(), torch.float32, "cpu"

    with pytest.raises(ModelUnsupported, match="Odd cannot be made anew from its configuration .*untrained=false"):
        untrained(Odd(2, 2))
    assert torch.get_default_dtype() == torch.float32
