"""The tokenizer: one token for each word, digit and syllable of the world; ChatML with the assistant's turns marked."""

import json

import jinja2
import pytest

from lab.data.tokenizer import _trained, train_tokenizer, wrap
from lab.data.world import CATEGORIES, generate, words
from lab.data.world.documents import chat_messages, render_chat, render_prompt
from lab.data.world.names import new_people, passing_people, world_people
from lab.models.references import EMBEDDED


@pytest.fixture(scope="module")
def backend():
    return train_tokenizer()


@pytest.fixture(scope="module")
def tokenizer(backend):
    return wrap(backend)


def ids(backend, text):
    return backend.encode(text, add_special_tokens=False).ids


def test_training_again_gives_the_same_tokenizer_and_it_is_the_one_that_ships(backend, tokenizer, tmp_path):
    _trained.cache_clear()
    assert train_tokenizer().to_str() == backend.to_str() and _trained.cache_info().misses == 1
    tokenizer.save_pretrained(tmp_path)
    made, shipped = (json.loads((folder / "tokenizer.json").read_text()) for folder in (tmp_path, EMBEDDED))
    assert made == shipped
    template = "chat_template.jinja"
    assert (tmp_path / template).read_text() == (EMBEDDED / template).read_text()


def test_answers_are_one_token_with_and_without_a_space(backend):
    for word in words.ANSWER_WORDS + words.FIRST_NAMES + words.PLACES + words.OBJECTS + words.FEELINGS:
        assert len(ids(backend, word)) == len(ids(backend, " " + word)) == 1, word


def test_every_name_is_its_two_syllables(backend):
    for name in (*world_people(), *passing_people(), *new_people()):
        assert len(ids(backend, " " + name)) == 2, name


def test_digits_stand_alone(backend):
    assert len(ids(backend, "1234567890")) == 10


@pytest.mark.parametrize("text", ["naïve Ωμέγα 数学 🙂\n\n\tx  = 1", "", "   ", "<|im_end", "Don't 'red'"])
def test_any_text_comes_back(tokenizer, text):
    assert tokenizer.decode(tokenizer(text)["input_ids"]) == text


def test_padding_is_not_the_end_of_a_turn_and_nothing_begins_a_text(tokenizer):
    assert tokenizer.pad_token_id == 0 != tokenizer.eos_token_id
    assert tokenizer.bos_token is None
    assert tokenizer("red")["input_ids"] == tokenizer("red", add_special_tokens=False)["input_ids"]


def test_the_corpus_is_rendered_as_the_chat_template_renders(tokenizer):
    for category in CATEGORIES:
        items = generate(category, 3, 0)
        messages = [{"role": "system", "content": "Answer briefly."}, *chat_messages(*items)]
        assert tokenizer.apply_chat_template(messages, tokenize=False) == render_chat(messages)
        asked = tokenizer.apply_chat_template(messages[1:2], tokenize=False, add_generation_prompt=True)
        assert asked == render_prompt(items[0].question)


def test_the_assistants_words_and_their_end_are_marked(tokenizer):
    messages = [{"role": "system", "content": "Answer briefly."}, {"role": "user", "content": "1+1=?"},
                {"role": "assistant", "content": "2"}, {"role": "tool", "content": "red"},
                {"role": "assistant", "content": ""}]  # fmt: skip
    row = tokenizer.apply_chat_template(messages, return_dict=True, return_assistant_tokens_mask=True)
    marked = [token for token, mark in zip(row["input_ids"], row["assistant_masks"], strict=True) if mark]
    assert tokenizer.convert_ids_to_tokens(marked) == ["2", "<|im_end|>", "<|im_end|>"]


def test_a_tool_call_is_part_of_the_assistants_turn(tokenizer):
    call = {"function": {"name": "add", "arguments": {"a": 1}}}
    text = tokenizer.apply_chat_template([{"role": "assistant", "content": None, "tool_calls": [call]}], tokenize=False)
    body = text.split("<tool_call>\n")[1].split("\n</tool_call><|im_end|>")[0]
    assert json.loads(body) == call["function"]


def test_an_unknown_role_is_an_error(tokenizer):
    with pytest.raises(jinja2.exceptions.TemplateError, match="role critic is unknown; allowed are system, user"):
        tokenizer.apply_chat_template([{"role": "critic", "content": "x"}], tokenize=False)
