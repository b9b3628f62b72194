"""Tuned lenses: the identity is the logit lens, one set by hand is exact, distances are of whole distributions."""

import copy

import numpy as np
import pytest
import torch

from lab.errors import DataError, OptionError
from lab.models.batch import inputs
from lab.probing.decomposition import decompose
from lab.probing.final import find_final
from lab.probing.logit_lens import logit_lens
from lab.probing.tuned_lens import TunedLens, quality
from tests import architectures

pytestmark = pytest.mark.usefixtures("one_thread")
WIDTH = architectures.WIDTH


def texts(lengths=(9, 6, 7), side="left"):
    return [architectures.padded([architectures.prompts(1, length, seed=length + i)[0] for i in range(2)], side, length + 2)
            for length in lengths]


def measured(model, lenses, given=None):
    return quality(model, decompose(model), find_final(model), given or texts(), lenses)


def random_lens(scale=0.3):
    generator = torch.Generator().manual_seed(0)
    return TunedLens(torch.randn(1, WIDTH, WIDTH, generator=generator) * scale / WIDTH**0.5,
                     torch.randn(1, WIDTH, generator=generator) * scale)


@pytest.mark.parametrize("name", ["llama", "gpt2", "gemma2"])
@pytest.mark.parametrize("side", ["left", "right"])
def test_distances_are_those_of_whole_distributions(name, side):
    model, lens = architectures.model(name), random_lens()
    final, given = find_final(model), texts(side=side)
    found = measured(model, {"identity": TunedLens.identity(2, WIDTH), "lens": lens}, given)
    for key, used in (("identity", None), ("lens", lens)):
        row, said, read = 0, [], []
        for tokens, real in given:
            for ids, kept in zip(tokens, real, strict=True):
                states = []
                layers = next(each for each in model.modules() if isinstance(each, torch.nn.ModuleList) and len(each) == 2)
                handles = [layer.register_forward_hook(lambda module, args, out, into=states: into.append(
                    out[0] if isinstance(out, tuple) else out)) for layer in layers]
                with torch.no_grad():
                    whole = model(ids[kept][None]).logits[0].double().log_softmax(-1)
                    state = states[0] if used is None else states[0] + states[0] @ used.weight[0].T + used.bias[0]
                    lensed = final.logits(state)[0].double().log_softmax(-1)
                for handle in handles:
                    handle.remove()
                each = (whole.exp() * (whole - lensed)).sum(-1) / np.log(2)
                np.testing.assert_allclose(found[key].divergence[row], [float(each.mean()), 0], atol=2e-4, rtol=1e-3)
                said.append(whole.exp())
                read.append(lensed.exp())
                row += 1
        mine, theirs = torch.cat(said).mean(0), torch.cat(read).mean(0)
        np.testing.assert_allclose(found[key].bias, [float((mine * (mine / theirs).log()).sum() / np.log(2)), 0], atol=2e-4)
        assert row == len(found[key].divergence)


def test_the_lens_that_undoes_what_follows_is_exact():
    model = copy.deepcopy(architectures.model("llama"))
    last = model.model.layers[1]
    generator = torch.Generator().manual_seed(0)
    shift, turn = torch.randn(WIDTH, generator=generator) * 0.5, torch.randn(WIDTH, WIDTH, generator=generator) * 0.1
    for block in (last.self_attn.o_proj, last.mlp.down_proj):
        block.weight.data.zero_()
    parts = decompose(model)
    last.register_forward_pre_hook(lambda module, args: (args[0] + args[0] @ turn.T + shift, *args[1:]))
    found = quality(model, parts, find_final(model), texts(),
                    {"none": TunedLens.identity(2, WIDTH), "right": TunedLens(turn[None], shift[None])})
    assert abs(found["right"].divergence).max() < 1e-5 and found["none"].divergence[:, 0].min() > 0.01
    assert abs(found["right"].bias).max() < 1e-5


def test_a_lens_is_read_through_the_logit_lens():
    model, lens, tokens = architectures.model("llama"), random_lens(), architectures.prompts(2, 9)
    positions = torch.arange(9).expand(2, -1)
    found = logit_lens(model, inputs(model, tokens), decompose(model), find_final(model), positions, torch.tensor([3, 4]),
                       torch.tensor([5, 6]), translate=lens)
    measure = measured(model, {"lens": lens}, [(tokens, torch.ones_like(tokens).bool())])["lens"]
    np.testing.assert_allclose(found.divergence.mean(2), measure.divergence, atol=1e-4)


def test_a_lens_is_kept_and_read_again(tmp_path):
    from safetensors.torch import load_file, save_file

    lens = random_lens()
    save_file(lens.tensors(), tmp_path / "lens.safetensors")
    again = TunedLens.of(load_file(tmp_path / "lens.safetensors"))
    assert torch.equal(again.weight, lens.weight) and torch.equal(again.bias, lens.bias)


@pytest.mark.parametrize("shapes", [{}, {"weight": (1, 3, 3)}, {"weight": (1, 3, 2), "bias": (1, 3)},
                                    {"weight": (1, 3, 3), "bias": (2, 3)}, {"weight": (1, 3, 3), "bias": (1, 3), "a": (1,)}])
def test_other_tensors_are_no_lens(shapes):
    tensors = {name: torch.zeros(shape) for name, shape in shapes.items()}
    with pytest.raises(DataError, match="a tuned lens has weight"):
        TunedLens.of(tensors)


def test_a_lens_of_another_model_is_refused():
    model = architectures.model("llama")
    with pytest.raises(OptionError, match="lens base is for 5 layers and this model has 2"):
        measured(model, {"base": TunedLens.identity(5, WIDTH)})
    with pytest.raises(OptionError, match="layer 0 of width 64: this lens is for 2 layers of width 8"):
        measured(model, {"base": TunedLens.identity(2, 8)})
