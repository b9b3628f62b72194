"""Rows of plain text: trained whole, begun and ended once."""

import pytest
from tokenizers import processors

from lab.data.chat import render
from lab.errors import DataError

FAMILIES = ("chatml", "llama3", "mistral", "gemma")


@pytest.mark.parametrize("family", FAMILIES)
def test_plain_text_is_trained_whole_and_ends(make_tokenizer, family):
    tokenizer = make_tokenizer(family, template=None)
    text = "Mira lives in Oslo."
    rendered = render(tokenizer, {"text": text})
    assert rendered.input_ids == [*tokenizer(text)["input_ids"], tokenizer.eos_token_id]
    assert rendered.labels == [-100, *rendered.input_ids[1:]]
    assert rendered.text == text + tokenizer.eos_token
    first = 0 if tokenizer.bos_token else len(tokenizer.decode(rendered.input_ids[:1]))
    assert rendered.trained_bytes == len(text) - first


def test_plain_text_of_a_tokenizer_that_ends_it_itself(make_tokenizer):
    tokenizer = make_tokenizer("chatml", template=None)
    end = ("<|im_end|>", tokenizer.eos_token_id)
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(single="$A <|im_end|>",
                                                                               special_tokens=[end])
    assert render(tokenizer, {"text": "Mira."}).input_ids.count(tokenizer.eos_token_id) == 1


def test_plain_text_needs_an_end(make_tokenizer):
    tokenizer = make_tokenizer("chatml", template=None)
    tokenizer.eos_token = None
    with pytest.raises(DataError, match="no end-of-sequence token"):
        render(tokenizer, {"text": "Mira."})
