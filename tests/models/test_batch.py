"""What a model is called with, and bad input refused before any work."""

import copy

import pytest
import torch

from lab.attention.measure import measure
from lab.errors import ModelUnsupported, OptionError
from lab.models.batch import forward, inputs
from tests import architectures as reference

ROWS = reference.prompts()
SHORT = [ROWS[0], ROWS[1][:9]]


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("name", ["gpt2", "llama"])
def test_a_padded_row_reads_the_positions_that_it_has_alone(name, side):
    tokens, real = reference.padded(SHORT, side)
    given = inputs(reference.model(name), tokens, real)
    assert [given["position_ids"][row][real[row]].tolist() for row in range(2)] == [list(range(40)), list(range(9))]
    with torch.no_grad():
        logits = forward(reference.model(name), given, keep_logits=True)
        alone = reference.model(name)(SHORT[1][None]).logits[0]
    torch.testing.assert_close(logits[1][real[1]], alone, atol=1e-5, rtol=1e-5)


def test_without_padding_there_is_neither_mask_nor_positions():
    assert inputs(reference.model("llama"), ROWS).keys() == {"input_ids"}
    assert inputs(reference.model("llama"), ROWS, torch.ones_like(ROWS)).keys() == {"input_ids"}


def test_bloom_takes_no_positions():
    assert inputs(reference.model("bloom"), *reference.padded(SHORT, "left")).keys() == {"input_ids", "attention_mask"}


def test_only_the_last_logits_unless_all_are_wanted():
    given = inputs(reference.tuned("llama"), ROWS)
    assert [forward(reference.tuned("llama"), given, keep_logits=each).shape[1] for each in (False, True)] == [1, 40]
    assert measure(reference.model("llama"), ROWS).logits is None


@pytest.mark.parametrize("shape", [(0, 5), (1, 0), (7,)])
def test_an_empty_batch(shape):
    with pytest.raises(OptionError, match=r"has no tokens \[B, T\]; give at least one prompt"):
        measure(reference.model("llama"), torch.zeros(shape, dtype=torch.long))


def test_an_empty_prompt_among_others():
    real = torch.ones_like(ROWS).bool()
    real[1] = False
    with pytest.raises(OptionError, match="each prompt needs one that is"):
        measure(reference.model("llama"), ROWS, real)
    with pytest.raises(OptionError, match=r"real of shape \(2, 39\) for tokens of shape \(2, 40\)"):
        measure(reference.model("llama"), ROWS, real[:, 1:])


def test_padding_between_tokens():
    real = torch.ones_like(ROWS)
    real[1, :2], real[1, -2:] = 0, 0
    assert "attention_mask" in inputs(reference.model("llama"), ROWS, real)
    real[1, 7] = 0
    with pytest.raises(OptionError, match="padding between its tokens.*pad at its ends only"):
        inputs(reference.model("llama"), ROWS, real)


def test_a_model_on_several_devices():
    model = copy.deepcopy(reference.model("llama"))
    model.model.layers[1].to("meta")
    with pytest.raises(ModelUnsupported, match="weights lie on cpu, meta; models are measured on one device"):
        measure(model, ROWS)


@pytest.mark.parametrize("name", ["llama", "gpt2"])
def test_a_prompt_longer_than_the_positions(name):
    with pytest.raises(OptionError, match="a prompt of 65 tokens: this model has positions for 64; shorten it"):
        measure(reference.model(name), reference.prompts(1, 65))


def test_training_mode():
    with pytest.raises(OptionError, match=r"in training mode.*call model.eval\(\) first"):
        measure(copy.deepcopy(reference.model("llama")).train(), ROWS)
