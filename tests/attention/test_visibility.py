"""Masks by blocks against Transformers' own whole masks, which are dense and made in one piece."""

import pytest
import torch
from transformers.masking_utils import (
    and_masks,
    causal_mask_function,
    chunked_causal_mask_function,
    or_masks,
    packed_sequence_mask_function,
    sdpa_mask,
    sliding_window_causal_mask_function,
)

from lab.attention.visibility import Visibility, lazy_mask

LENGTH = 37
LEFT = torch.arange(LENGTH) >= torch.tensor([[0], [9], [30]])
RIGHT = torch.arange(LENGTH) < torch.tensor([[37], [20], [1]])
PACKED = (torch.arange(LENGTH)[None] // torch.tensor([[5], [11], [40]])).long()
RULES = {
    "causal": (causal_mask_function, {}),
    "window": (sliding_window_causal_mask_function(6), {"local_size": 6}),
    "wide window": (sliding_window_causal_mask_function(99), {"local_size": 99}),
    "chunk": (chunked_causal_mask_function(8, torch.tensor([0, 9, 30])), {"local_size": 8}),
    "packed": (and_masks(causal_mask_function, packed_sequence_mask_function(PACKED)), {}),
    "prefix": (or_masks(causal_mask_function, lambda b, h, q, k: (q < 4) & (k < 4)), {"use_vmap": True}),
}


def whole(visibility):
    """[B, Q, K] of bool, put together from blocks of 5 queries."""
    mask = torch.zeros(visibility.rows, visibility.queries, visibility.keys, dtype=torch.bool)
    for first in range(0, visibility.queries, 5):
        last = min(first + 5, visibility.queries)
        low, high, start, part = visibility.block(first, last)
        mask[:, first:last, low:high] = True
        if part is not None:
            mask[:, first:last, start:high] = part[:, 0]
    return mask


@pytest.mark.parametrize("real", [None, LEFT, RIGHT], ids=["whole", "left", "right"])
@pytest.mark.parametrize("kind", RULES)
def test_blocks_put_together_are_the_mask(kind, real):
    rule, more = RULES[kind]
    visibility = lazy_mask(3, LENGTH, LENGTH, mask_function=rule, attention_mask=real, **more)
    expected = sdpa_mask(3, LENGTH, LENGTH, mask_function=rule, attention_mask=real, allow_is_causal_skip=False, **more)
    expected, rows = expected[:, 0], torch.tensor([2, 0, 2, 1])
    assert torch.equal(whole(visibility), expected)
    assert torch.equal(whole(visibility.of_rows(rows)), expected[rows])


@pytest.mark.parametrize(("kind", "ruled"), [("causal", False), ("window", False), ("wide window", False), ("chunk", True),
                                             ("packed", True), ("prefix", True)])
def test_only_other_rules_than_causal_and_window_are_asked(kind, ruled):
    rule, more = RULES[kind]
    assert (lazy_mask(3, LENGTH, LENGTH, mask_function=rule, **more).rule is not None) == ruled


def test_no_scores_are_made_for_keys_that_no_query_sees():
    window = Visibility(LENGTH, LENGTH, 1, None, window=6)
    assert window.block(20, 25)[:2] == (15, 25)
    chunk = lazy_mask(1, LENGTH, LENGTH, mask_function=chunked_causal_mask_function(8, torch.tensor([0])), local_size=8)
    assert chunk.block(17, 20)[:2] == (16, 20)


def test_a_mask_of_ones_is_no_padding():
    visibility = lazy_mask(2, LENGTH, LENGTH, attention_mask=torch.ones(2, LENGTH, dtype=torch.bool))
    assert visibility.real is None
    assert visibility.block(5, 10)[3].shape == (1, 1, 5, 5)


def test_first_keys_and_real_queries():
    visibility = lazy_mask(3, LENGTH, LENGTH, attention_mask=LEFT)
    assert visibility.first_keys.tolist() == [0, 9, 30]
    assert torch.equal(visibility.real_queries, LEFT)
    assert Visibility(4, 4, 2, None).real_queries.all()
    assert Visibility(4, 4, 2, None).first_keys.tolist() == [0, 0]
