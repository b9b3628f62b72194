"""Tokens are found by the characters they hold, behind whatever a template or a tokenizer puts before them."""

from types import SimpleNamespace

import pytest

from lab.data.labels_places import Writer
from lab.errors import DataError


def test_a_slow_tokenizer_is_refused():
    with pytest.raises(DataError, match="reports no offsets.*choose a model with a fast tokenizer"):
        Writer(SimpleNamespace(is_fast=False))


def test_the_last_of_several_tokens_of_a_word_and_of_a_character(make_tokenizer):
    tokenizer, text = make_tokenizer("llama3"), "in Oslo 🌊 rain"
    placed = Writer(tokenizer).tell("x", "test", text)

    def read(start, end):
        return tokenizer.decode(placed.prompt.input_ids[:placed.token_of(start, end) + 1], skip_special_tokens=True)

    assert (read(8, 9), read(3, 7), read(0, 14)) == ("in Oslo 🌊", "in Oslo", text)


def test_characters_that_no_token_holds(make_tokenizer):
    placed = Writer(make_tokenizer("llama3")).tell("x", "test", "in Oslo")
    with pytest.raises(DataError, match="x: no token holds characters 7 to 9 of 'in Oslo'"):
        placed.token_of(7, 9)


def test_a_template_that_rewrites_the_question(make_tokenizer):
    tokenizer = make_tokenizer("chatml")
    tokenizer.chat_template = "{{ messages[0].content | upper }}"
    with pytest.raises(DataError, match="x: the model's chat template changes 'Who'"):
        Writer(tokenizer).ask("x", "test", "Who")


def test_a_question_is_counted_from_where_it_begins(make_tokenizer):
    tokenizer = make_tokenizer("gemma")
    placed = Writer(tokenizer).ask("x", "test", "user or Oslo")
    assert tokenizer.decode(placed.prompt.input_ids[:placed.token_of(0, 4) + 1]).rstrip().endswith("user\nuser")
