"""Repeated random tokens: two equal halves of different ordinary tokens."""

import numpy as np
import pytest
from tokenizers import AddedToken

from lab.data.repeated import ordinary_tokens, repeated_random
from lab.errors import OptionError

VOCABULARY = np.arange(10, 60)


def test_special_and_added_tokens_are_left_out(make_tokenizer):
    tokenizer = make_tokenizer("llama3")
    before = set(ordinary_tokens(tokenizer))
    tokenizer.add_tokens([AddedToken("Oslo-Mira", normalized=False)])
    tokenizer.add_special_tokens({"pad_token": "<|pad|>"})
    ids = ordinary_tokens(tokenizer)
    assert set(ids) == before and (np.diff(ids) > 0).all()
    special = {"<|begin_of_text|>", "<|eot_id|>", "<|pad|>", "Oslo-Mira", "<|start_header_id|>"}
    assert not special & set(tokenizer.convert_ids_to_tokens(ids.tolist()))
    assert len(ids) + len(tokenizer.added_tokens_decoder) == len(tokenizer)


def test_halves_are_equal_and_hold_no_token_twice():
    prompts = repeated_random(VOCABULARY, 32, 20, seed=0)
    assert prompts.shape == (20, 64) and prompts.dtype == np.int64
    assert (prompts[:, :32] == prompts[:, 32:]).all()
    assert all(len(set(row)) == 32 for row in prompts)
    assert np.isin(prompts, VOCABULARY).all()


def test_every_token_is_drawn_equally_often():
    first = repeated_random(VOCABULARY, 5, 2000, seed=1)[:, :5]
    counts = np.array([(first == token).sum() for token in VOCABULARY])
    share = counts / first.size  # each 1/50, standard error sqrt(0.02 * 0.98 / 10000) = 0.0014
    assert abs(share - 1 / 50).max() < 4 * 0.0014
    assert abs(first.mean(0) - VOCABULARY.mean()).max() < 4 * VOCABULARY.std() / 2000 ** 0.5  # at every position too


def test_rows_depend_on_the_seed_and_not_on_how_many_there_are():
    ten = repeated_random(VOCABULARY, 8, 10, seed=3)
    assert (repeated_random(VOCABULARY, 8, 4, seed=3) == ten[:4]).all()
    assert (repeated_random(VOCABULARY, 8, 10, seed=4) != ten).any(1).all()


def test_what_cannot_be_drawn_is_an_error():
    for length in (0, 51):
        with pytest.raises(OptionError, match=f"length={length}: allowed are 1 to 50 tokens"):
            repeated_random(VOCABULARY, length, 1, seed=0)
    with pytest.raises(OptionError, match="count=0: allowed is 1 or more"):
        repeated_random(VOCABULARY, 4, 0, seed=0)
