"""Final norm, unembedding, factors and caps, found in models of many architectures; their logits are the model's."""

import copy
import types

import numpy as np
import pytest
import torch

from lab.errors import ModelUnsupported
from lab.probing.final import find_final
from tests import architectures

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.parametrize("name", [*architectures.ROUTED, *architectures.EAGER, *architectures.HYBRID, "diffllama", "doge"])
def test_logits_from_the_last_layers_output_are_the_models(name):
    model = architectures.model(name)
    final, streams = find_final(model), []
    layers = next(module for module in model.modules() if isinstance(module, torch.nn.ModuleList) and len(module) == 2)
    handle = layers[-1].register_forward_hook(lambda module, args, out: streams.append(out[0] if isinstance(out, tuple)
                                                                                       else out))
    logits = model(architectures.prompts(2, 9)).logits
    handle.remove()
    np.testing.assert_allclose(final.logits(streams[0]).detach(), logits.detach(), atol=1e-5)
    assert final.vocabulary == architectures.VOCABULARY
    assert final.cap == (30.0 if name == "gemma2" else None)
    assert final.inner == final.factor == 1


def changed(name="llama"):
    return copy.deepcopy(architectures.model(name))


def test_factors_before_and_after_the_unembedding_are_found():
    model = changed()
    model.model.norm.register_forward_hook(lambda module, args, output: output)
    plain = model.model.forward
    model.model.forward = types.MethodType(lambda self, *given, **named: _times(plain(*given, **named), 0.25), model.model)
    head = model.forward
    model.forward = types.MethodType(lambda self, *given, **named: _scaled(head(*given, **named), 3.0), model)
    found = find_final(model)
    assert found.inner == pytest.approx(0.25) and found.factor == pytest.approx(3.0)
    assert found.norm is model.model.norm


def _times(output, factor):
    output.last_hidden_state = output.last_hidden_state * factor
    return output


def _scaled(output, factor):
    output.logits = output.logits * factor
    return output


def test_a_model_without_a_final_norm_is_read_directly():
    model = changed()
    model.model.norm = torch.nn.Identity()
    final = find_final(model)
    stream = torch.randn(1, 3, architectures.WIDTH)
    torch.testing.assert_close(final.logits(stream), stream @ model.lm_head.weight.T)


def test_adapters_around_the_unembedding_are_part_of_it():
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(0)
    tuned = get_peft_model(changed(), LoraConfig(r=2, target_modules=["lm_head"], init_lora_weights=False)).eval()
    final = find_final(tuned)
    assert final.head is tuned.get_base_model().lm_head and hasattr(final.head, "lora_A")


def test_sixteen_bits_are_no_factor():
    final = find_final(changed("gemma2").bfloat16())
    assert final.inner == final.factor == 1 and final.cap == 30.0


def test_more_than_a_norm_before_the_unembedding_is_refused():
    model = changed()
    model.lm_head = torch.nn.Linear(architectures.WIDTH, architectures.VOCABULARY)
    plain = model.model.forward
    model.model.forward = types.MethodType(lambda self, *given, **named: _tanh(plain(*given, **named)), model.model)
    with pytest.raises(ModelUnsupported, match="no one module after its last layer takes"):
        find_final(model)


def _tanh(output):
    output.last_hidden_state = output.last_hidden_state.tanh()
    return output


def test_logits_that_are_changed_otherwise_are_refused():
    model = changed()
    head = model.forward

    def forward(self, *given, **named):
        output = head(*given, **named)
        output.logits = output.logits.sin()
        return output

    model.forward = types.MethodType(forward, model)
    with pytest.raises(ModelUnsupported, match="neither a multiple of what its unembedding returns"):
        find_final(model)


def test_a_norm_that_depends_on_the_pass_is_refused():
    model = changed()
    model.model.norm.register_forward_hook(lambda module, args, output: output * (1 + 0.1 * torch.rand(1)))
    with pytest.raises(ModelUnsupported, match="of the logits' norm away from the model's own"):
        find_final(model)


def test_a_model_without_output_embeddings_is_refused():
    model = changed()
    model.get_output_embeddings = lambda: None
    with pytest.raises(ModelUnsupported, match="has no output embeddings"):
        find_final(model)


def test_a_head_that_does_not_run_is_refused():
    model = changed()
    model.get_output_embeddings = lambda: torch.nn.Linear(2, 2)
    with pytest.raises(ModelUnsupported, match="its output embeddings did not run"):
        find_final(model)
