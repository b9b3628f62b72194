"""Labels of tokens: the text comes back from them, and none is empty."""

import random

import pytest
from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from lab.data.token_labels import token_labels
from lab.errors import DataError
from lab.models.references import EMBEDDED
from lab.models.tokenizers import load_tokenizer

FAMILIES = ("chatml", "llama3", "mistral", "gemma")


@pytest.fixture(scope="module")
def embedded():
    return load_tokenizer(EMBEDDED, 2048)


def labels(tokenizer, text, **options):
    return token_labels(tokenizer, tokenizer(text, **options)["input_ids"])


def test_white_space_and_special_tokens_can_be_seen(embedded):
    assert labels(embedded, "<|im_start|>user\nWhat is  red?\t<|im_end|>\n") == [
        "<|im_start|>", "user", "↵", "What", "␣is", "␣", "␣red", "?", "→", "<|im_end|>", "↵"]


@pytest.mark.parametrize("family", FAMILIES)
def test_the_text_comes_back_from_the_labels(make_tokenizer, family):
    text = "Who lives in Oslo?\n\nMira, {x}:  'It rains' 19% #_"
    tokenizer = make_tokenizer(family)
    found = "".join(labels(tokenizer, text, add_special_tokens=False))
    first = "␣" if family == "mistral" else ""  # it writes a word at the start as inside a text
    assert found == first + text.replace(" ", "␣").replace("\n", "↵")


@pytest.mark.parametrize("family", FAMILIES)
def test_pieces_of_a_character_show_it_and_which_piece_they_are(make_tokenizer, family):
    tokenizer = make_tokenizer(family)
    assert labels(tokenizer, "xé🌊", add_special_tokens=False)[-6:] == [
        "é(1/2)", "é(2/2)", "🌊(1/4)", "🌊(2/4)", "🌊(3/4)", "🌊(4/4)"]


def test_a_token_may_end_inside_a_character(embedded):
    merged = {"Ġ": 0, "æ": 1, "Ġæ": 2, "ķ": 3, "°": 4, "ķ°": 5}
    stored = Tokenizer(models.BPE(merged, [("Ġ", "æ"), ("ķ", "°")]))
    stored.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    stored.decoder = embedded.backend_tokenizer.decoder
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=stored)
    assert labels(tokenizer, " 数") == ["␣数(1/2)", "数(2/2)"]


@pytest.mark.parametrize("family", FAMILIES)
def test_bytes_that_spell_nothing_stand_by_number(make_tokenizer, family):
    tokenizer = make_tokenizer(family)
    ids = tokenizer("🌊x", add_special_tokens=False)["input_ids"]
    assert token_labels(tokenizer, ids[-4:]) == ["<0x9F>", "<0x8C>", "<0x8A>", "x"]


@pytest.mark.parametrize("family", FAMILIES)
def test_no_label_is_empty_whatever_the_tokens(make_tokenizer, family):
    tokenizer = make_tokenizer(family)
    ids = random.Random(0).choices(range(len(tokenizer)), k=5000)
    found = token_labels(tokenizer, ids)
    assert len(found) == 5000 and all(label.strip() for label in found)
    assert not any("Ġ" in label or "▁" in label or "�" in label for label in found)


def test_characters_that_cannot_be_seen_are_written_out(embedded):
    assert labels(embedded, "a\u00a0b\r") == ["a", "<U+00A0>(1/2)", "<U+00A0>(2/2)", "b", "<U+000D>"]
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.WordLevel(
        {"": 0, "\u200b": 1, "\u0301": 2, "\u0301a": 3, "\r\n": 4, "é": 5, "<0xC3>": 6, "<0xA9>": 7},
        unk_token="é")))
    assert token_labels(tokenizer, range(6)) == ["<id 0>", "<U+200B>", "◌\u0301", "◌\u0301a", "<U+000D>↵", "é"]
    assert token_labels(tokenizer, [6, 0, 7]) == ["é(1/2)", "<id 0>", "é(2/2)"]


def test_added_text_is_shown_as_it_stands(make_tokenizer):
    tokenizer = make_tokenizer("gemma")
    tokenizer.add_tokens([AddedToken("  \n", normalized=False), AddedToken("<0x41>", normalized=False)])
    assert labels(tokenizer, "a  \n<0x41>", add_special_tokens=False)[-2:] == ["␣␣↵", "<0x41>"]


def test_a_slow_tokenizer_is_an_error(embedded, monkeypatch):
    monkeypatch.setattr(type(embedded), "is_fast", False)
    with pytest.raises(DataError, match="does not say how its tokens are spelled"):
        token_labels(embedded, [5])
