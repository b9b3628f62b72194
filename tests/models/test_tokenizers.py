"""Pad tokens that end nothing, and hashes of what a tokenizer does."""

import pytest

from lab.errors import ModelUnsupported
from lab.models.tokenizers import chat_template_sha256, load_tokenizer, set_pad_token, tokenizer_sha256


def test_its_own_pad_token_stays(folder):
    assert load_tokenizer(folder, 260).pad_token == "<|pad|>"


@pytest.mark.parametrize("pad", [None, "<|im_end|>", "<|im_start|>"])
def test_a_missing_or_trained_pad_token_is_replaced_by_an_unused_special_token(tiny, pad):
    tokenizer = tiny.tokenizer(pad=pad)
    set_pad_token(tokenizer, 260)
    assert tokenizer.pad_token == "<|pad|>" and len(tokenizer) == 260


def test_a_reserved_token_will_do(tiny):
    tokenizer = tiny.tokenizer(["<|im_start|>", "<|im_end|>", "<|tool|>", "<|reserved_special_token_3|>"], pad=None)
    set_pad_token(tokenizer, 260)
    assert tokenizer.pad_token == "<|reserved_special_token_3|>"


def test_a_free_row_of_the_embedding_becomes_the_pad_token(tiny):
    tokenizer = tiny.tokenizer(["<|im_start|>", "<|im_end|>"], pad=None)
    set_pad_token(tokenizer, 259)
    assert (tokenizer.pad_token, tokenizer.pad_token_id, len(tokenizer)) == ("<|pad|>", 258, 259)
    assert tokenizer("a<|im_end|>").input_ids[1:] == [257]


def test_without_any_room_the_end_token_must_do(tiny):
    tokenizer = tiny.tokenizer(["<|im_start|>", "<|im_end|>"], pad=None)
    set_pad_token(tokenizer, 258)
    assert (tokenizer.pad_token, len(tokenizer)) == ("<|im_end|>", 258)


def test_the_hash_is_of_behaviour(folder, tmp_path):
    tokenizer = load_tokenizer(folder, 260)
    first = tokenizer_sha256(tokenizer)
    tokenizer(["a", "bcd"], padding=True, truncation=True, max_length=2)  # leaves its settings in the tokenizer
    assert tokenizer_sha256(tokenizer) == first
    tokenizer.save_pretrained(tmp_path)
    assert tokenizer_sha256(load_tokenizer(tmp_path, 260)) == first
    tokenizer.chat_template += " "
    assert tokenizer_sha256(tokenizer) != first


def test_saved_files_say_nothing_of_where_it_was_loaded(folder, tmp_path):
    load_tokenizer(folder, 260).save_pretrained(tmp_path)
    text = (tmp_path / "tokenizer_config.json").read_text()
    assert "local" not in text and str(folder) not in text


def test_no_template_is_fine(tiny):
    tokenizer = tiny.tokenizer()
    assert len(chat_template_sha256(tokenizer)) == 64
    tokenizer.chat_template = None
    assert chat_template_sha256(tokenizer) is None
    set_pad_token(tokenizer, 260)


def test_a_folder_without_tokenizer(tmp_path, folder):
    (tmp_path / "config.json").write_bytes((folder / "config.json").read_bytes())
    with pytest.raises(ModelUnsupported, match="holds no tokenizer: none of tokenizer.json"):
        load_tokenizer(tmp_path, 260)
    (tmp_path / "tokenizer.json").write_text("{")
    with pytest.raises(ModelUnsupported, match="its tokenizer cannot be loaded"):
        load_tokenizer(tmp_path, 260)
