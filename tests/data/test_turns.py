"""Templates with peculiarities: what the two ways to find the assistant's turns do with them."""

import random

import pytest

from lab.data.chat import render
from lab.data.template import ChatTemplate
from lab.errors import DataError

FAMILIES = ("chatml", "llama3", "mistral", "gemma")


def chat(*turns):
    return {"messages": [{"role": role, "content": content} for role, content in turns]}


EXCHANGE = (("user", "Who?"), ("assistant", "Mira."))
LONGER = (*EXCHANGE, ("user", "Where?"), ("assistant", "In Oslo."))


def labels(tokenizer, conversation):
    return render(tokenizer, conversation).labels


@pytest.mark.parametrize("place", ["{% endgeneration %}{{ '<|im_end|>' }}{{ '\n' }}",
                                   "{{ '<|im_end|>\n' }}{% endgeneration %}"])
def test_markers_need_not_enclose_exactly_the_end_of_turn(make_tokenizer, place):
    tokenizer = make_tokenizer("chatml")
    expected = [labels(tokenizer, chat(*turns)) for turns in (LONGER, (("user", "Who?"), ("assistant", "")))]
    usual = "{{- '<|im_end|>' }}{% endgeneration %}{{ '\n' }}"
    assert usual.replace("\n", "\\n") in tokenizer.chat_template
    tokenizer.chat_template = tokenizer.chat_template.replace(usual.replace("\n", "\\n"), place.replace("\n", "\\n"))
    assert [labels(tokenizer, chat(*turns)) for turns in (LONGER, (("user", "Who?"), ("assistant", "")))] == expected


def test_a_token_that_begins_the_next_turn_is_no_end_of_turn(make_tokenizer):
    tokenizer = make_tokenizer("chatml", template=None)
    tokenizer.chat_template = (
        "{% for m in messages %}{{ '<|im_start|>' }}{% if m.role == 'assistant' %}{% generation %}{{ m.content }}"
        "{% endgeneration %}{% else %}{{ m.content }}{% endif %}{% endfor %}")
    rendered = render(tokenizer, chat(*LONGER))
    trained = [token for token, keep in zip(rendered.input_ids, rendered.trained, strict=True) if keep]
    assert tokenizer.decode(trained) == "Mira.In Oslo."


def test_two_marked_parts_of_one_turn_are_both_trained(make_tokenizer):
    tokenizer = make_tokenizer("chatml", template=None)
    tokenizer.chat_template = (
        "{% for m in messages %}{% if m.role == 'assistant' %}{{ 'A:' }}{% generation %}{{ m.content }}"
        "{% endgeneration %}{{ '|' }}{% generation %}{{ '<|im_end|>' }}{% endgeneration %}"
        "{% else %}{{ m.content }}{% endif %}{% endfor %}")
    rendered = render(tokenizer, chat(*LONGER))
    trained = [token for token, keep in zip(rendered.input_ids, rendered.trained, strict=True) if keep]
    assert tokenizer.decode(trained) == "Mira.<|im_end|>In Oslo.<|im_end|>"


def test_markers_around_some_turns_only_are_an_error(make_tokenizer):
    tokenizer = make_tokenizer("chatml")
    tokenizer.chat_template = tokenizer.chat_template.replace(
        "{%- if message.role == 'assistant' %}", "{%- if message.role == 'assistant' and loop.last %}")
    with pytest.raises(DataError, match="generation markers around 1 of 2 assistant turns"):
        labels(tokenizer, chat(*LONGER))


def test_markers_inside_a_macro_are_an_error(make_tokenizer):
    tokenizer = make_tokenizer("chatml", template=None)
    tokenizer.chat_template = (
        "{% macro turn(m) %}{{ '<|im_start|>' + m.role + ' ' }}{% if m.role == 'assistant' %}{% generation %}"
        "{{ m.content + '<|im_end|>' }}{% endgeneration %}{% else %}{{ m.content }}{% endif %}{% endmacro %}"
        "{% for m in messages %}{{ turn(m) }}{% endfor %}")
    with pytest.raises(DataError, match=r"message 2 \(assistant\): .* does not hold the answer's last word 'Mira.'"):
        labels(tokenizer, chat(*EXCHANGE))


def test_a_template_that_drops_earlier_thinking_is_an_error_where_it_does(make_tokenizer):
    tokenizer = make_tokenizer("chatml", template="thinking")
    thought = "<think>\nMira.\n</think>\n\nMira."
    conversation = chat(("user", "Who?"), ("assistant", thought), ("user", "Where?"), ("assistant", "In Oslo."))
    with pytest.raises(DataError, match=r"message 2 \(assistant\): .*when it ends there.*'<think>.*thinking"):
        labels(tokenizer, conversation)
    rendered = render(tokenizer, chat(("user", "Who?"), ("assistant", thought)))
    kept = [token for token, keep in zip(rendered.input_ids, rendered.trained, strict=True) if keep]
    assert tokenizer.decode(kept) == thought + "<|im_end|>"
    assert labels(tokenizer, chat(*LONGER)) == labels(make_tokenizer("chatml"), chat(*LONGER))


def test_a_template_that_moves_the_system_text_to_the_last_user_turn(make_tokenizer):
    tokenizer, usual = make_tokenizer("mistral", template="mistral_last"), make_tokenizer("mistral")
    assert labels(tokenizer, chat(*LONGER)) == labels(usual, chat(*LONGER))
    with pytest.raises(DataError, match=r"message 3 \(assistant\): .*differently before it is answered.*'Be brief"):
        labels(tokenizer, chat(("system", "Be brief."), *EXCHANGE))


@pytest.mark.parametrize(("family", "template", "turns", "refusal"), [
    ("gemma", "gemma2", (("system", "Be brief."), *EXCHANGE), "System role not supported"),
    ("gemma", "gemma", (("assistant", "Hello."), *EXCHANGE), "must alternate"),
    ("mistral", "mistral", (("assistant", "Hello."), *EXCHANGE), "must take turns"),
    ("mistral", "mistral", (*EXCHANGE, ("system", "Be brief.")), "only one system message"),
])
def test_what_a_template_refuses_is_an_error_in_its_own_words(make_tokenizer, family, template, turns, refusal):
    tokenizer = make_tokenizer(family, template=template)
    with pytest.raises(DataError, match=rf"refuses these messages \(roles: .*assistant.*\): .*{refusal}"):
        labels(tokenizer, chat(*turns))


def test_a_template_that_fails_is_an_error(make_tokenizer):
    tokenizer = make_tokenizer("chatml", template=None)
    tokenizer.chat_template = "{{ messages[0].content + 1 }}"
    with pytest.raises(DataError, match="refuses these messages .*can only concatenate str"):
        labels(tokenizer, chat(*EXCHANGE))


def test_no_template_is_an_error(make_tokenizer):
    with pytest.raises(DataError, match="no chat template.*-Instruct"):
        labels(make_tokenizer("chatml", template=None), chat(*EXCHANGE))
    several = make_tokenizer("chatml")
    several.chat_template = {"tool_use": several.chat_template, "rag": several.chat_template}
    with pytest.raises(DataError, match=r"found 'tool_use', 'rag'\)"):
        labels(several, chat(*EXCHANGE))


def test_the_template_for_tools_is_used_for_rows_with_tools(make_tokenizer):
    tokenizer = make_tokenizer("chatml")
    tokenizer.chat_template = {"default": tokenizer.chat_template,
                               "tool_use": tokenizer.chat_template.replace("Tools:", "Callable:")}
    assert "Callable:" in render(tokenizer, {**chat(*EXCHANGE), "tools": [{"name": "f"}]}).text
    assert "Callable:" not in render(tokenizer, chat(*EXCHANGE)).text


def test_special_tokens_hold_what_the_template_ends_turns_with(make_tokenizer):
    for family, end in (("chatml", "<|im_end|>"), ("llama3", "<|eot_id|>"), ("mistral", "</s>"),
                        ("gemma", "<end_of_turn>")):
        template = ChatTemplate(make_tokenizer(family))
        assert template.end_of_turn == end and end in template.special_tokens.values()


WORDS = ("Oslo", "Mira", "rains", "", " ", "\n", "\n\n", "  ", "Zürich", "🌊", "12", "```", "a b", "\t", "[x]", "é")


def random_chat(generator, family):
    """Turns in an order that the family takes, of words that tokenizers and templates trip over."""
    def content():
        return generator.choice(("", " ")).join(generator.choices(WORDS, k=generator.randint(0, 6)))

    turns = [("system", content())] if generator.random() < 0.3 else []
    if family in ("chatml", "llama3") and generator.random() < 0.3:
        turns.append(("assistant", content()))
    for _ in range(generator.randint(1, 3)):
        turns += [("user", content()), ("assistant", content())]
    if generator.random() < 0.2:
        turns.append(("user", content()))
    return chat(*turns)


def outcome(tokenizer, conversation):
    try:
        rendered = render(tokenizer, conversation)
    except DataError as error:
        assert "before the beginning of an assistant turn" in str(error)
        return "joined"
    return rendered.text, rendered.input_ids, rendered.labels, rendered.trained_bytes


@pytest.mark.parametrize("family", FAMILIES)
def test_both_ways_agree_on_random_conversations(make_tokenizer, family):
    generator = random.Random(7)
    marked, bare = make_tokenizer(family), make_tokenizer(family, markers=False)
    outcomes = []
    for _ in range(300):
        conversation = random_chat(generator, family)
        outcomes.append(outcome(marked, conversation))
        assert outcome(bare, conversation) == outcomes[-1], conversation
    assert sum(o != "joined" for o in outcomes) > 200


@pytest.mark.parametrize(("family", "end"), [("chatml", "<|im_end|>"), ("llama3", "<|eot_id|>"),
                                             ("gemma", "<end_of_turn>")])
def test_what_is_trained_of_random_conversations_is_what_the_assistant_says(make_tokenizer, family, end):
    generator, tokenizer = random.Random(8), make_tokenizer(family)
    for _ in range(100):
        conversation = random_chat(generator, family)
        found = outcome(tokenizer, conversation)
        if found == "joined":
            continue
        said = [m["content"] for m in conversation["messages"] if m["role"] == "assistant"]
        expected = "".join((text if family == "chatml" else text.strip()) + end for text in said)
        assert tokenizer.decode([label for label in found[2] if label != -100]) == expected
        assert found[3] == len(expected.replace(end, "").encode())
