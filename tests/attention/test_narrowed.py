"""A part of a part is the part of the whole; parts themselves are held to whole weights in test_maps.py."""

import pytest
import torch

from lab.attention.narrowed import narrowed
from lab.attention.routing import listen
from tests import architectures as reference

ROWS = reference.prompts()
TOKENS, REAL = reference.padded([ROWS[0][:37], ROWS[1][:23]], "left")


def patterns(name):
    kept = []

    def keep(layer, pattern):
        kept.append(pattern)
        return torch.zeros(*TOKENS.shape, reference.HEADS, pattern.value_width)

    with listen(reference.model(name), keep, routed=name in reference.ROUTED), torch.no_grad():
        reference.model(name)(input_ids=TOKENS, attention_mask=REAL.long(), use_cache=False)
    return kept


@pytest.mark.parametrize("name", ["gemma2", "llama4", "gpt_oss", "bloom"])
def test_a_part_of_a_part(name):
    for whole in patterns(name):
        direct, nested = narrowed(whole, 17, 31, [3, 1]), narrowed(narrowed(whole, 5, 35, [1, 2, 3]), 12, 26, [2, 0])
        assert direct.shape == nested.shape == (2, 2, 14, 40)
        assert torch.equal(direct.visibility.real_queries, REAL[:, 17:31])
        assert torch.equal(nested.visibility.real_queries, REAL[:, 17:31])
        for one, other in zip(direct.log_probabilities(), nested.log_probabilities(), strict=True):
            assert one[:4] == other[:4]
            assert torch.equal(one.scores, other.scores)
