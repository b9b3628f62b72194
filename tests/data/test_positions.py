"""Token boundaries against what decoding the first tokens says."""

import random

import pytest

from lab.data.positions import Positions

PARTS = ("Oslo", " Mira", "\n", "\n\n", "  ", " ", "é", "🌊", "<|eot_id|>", "<|im_end|>", "7", "\t", "rains.")


def positions(tokenizer, text):
    batch = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
    return Positions(tokenizer, text, batch["input_ids"], batch["offset_mapping"])


@pytest.mark.parametrize("family", ["chatml", "llama3"])  # llama3's offsets leave out the space before a word
def test_as_many_tokens_as_decode_to_the_text_before(make_tokenizer, family):
    generator, tokenizer = random.Random(3), make_tokenizer(family)
    boundaries = inside = 0
    for _ in range(60):
        text = "".join(generator.choices(PARTS, k=8))
        found = positions(tokenizer, text)
        before = {tokenizer.decode(found.ids[:n]): n for n in range(len(found.ids) + 1)}
        for char in range(len(text) + 1):
            count = found.tokens_before(char)
            if count is not None:
                assert before[text[:char]] == count
                boundaries += 1
            else:
                inside += 1
    assert boundaries > 300 and inside > 300


def test_every_boundary_of_plain_words_is_found(make_tokenizer):
    for family in ("chatml", "llama3"):
        tokenizer = make_tokenizer(family)
        text = "Who lives in Oslo? Mira lives in Oslo."
        found = positions(tokenizer, text)
        lengths = [len(tokenizer.decode(found.ids[:n])) for n in range(len(found.ids) + 1)]
        assert [found.tokens_before(char) for char in lengths] == list(range(len(found.ids) + 1))


def test_bytes_leave_special_tokens_out(make_tokenizer):
    tokenizer = make_tokenizer("llama3")
    found = positions(tokenizer, "é Oslo<|eot_id|> 🌊!")
    special = {tokenizer.eos_token_id}
    assert found.bytes(0, len(found.ids), special) == len("é Oslo 🌊!".encode())
    end = found.ids.index(tokenizer.eos_token_id)
    assert found.bytes(0, end, special) == found.bytes(0, end + 1, special) == len("é Oslo".encode())
    assert found.bytes(end, end + 1, special) == found.bytes(3, 3, special) == found.bytes(5, 2, special) == 0
