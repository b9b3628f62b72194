"""Message lists: what is accepted, in what shape it leaves, and how an error names what is not."""

import pytest

from lab.data.messages import checked_messages, checked_tools
from lab.errors import DataError

CALL = {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": {"city": "Oslo"}}}


def test_other_keys_are_kept_and_nulls_are_not():
    assert checked_messages([{"role": "user", "content": "Who?", "name": "Ida", "tool_calls": None, "weight": 1}],
                            "messages", "row 1") == [{"role": "user", "content": "Who?", "name": "Ida"}]


def test_the_json_text_of_a_list_is_read():
    assert checked_messages('[{"role": "user", "content": "Who?"}]', "messages", "row 1") == \
        [{"role": "user", "content": "Who?"}]


@pytest.mark.parametrize("arguments", [{"city": "Oslo"}, '{"city": "Oslo"}'])
@pytest.mark.parametrize("content", [{}, {"content": None}, {"content": ""}])
def test_a_call_of_tools_needs_no_content_and_has_its_arguments_as_an_object(arguments, content):
    call = {**CALL, "function": {"name": "weather", "arguments": arguments}}
    assert checked_messages([{"role": "assistant", "tool_calls": [call], **content}], "messages", "row 1") == \
        [{"role": "assistant", "content": "", "tool_calls": [CALL]}]


@pytest.mark.parametrize(("messages", "found"), [
    ("Who?", "column 'messages': found the text 'Who.'; allowed is a list of messages"),
    ([], "column 'messages': found an empty list; allowed is a list of messages"),
    (["Who?"], r"column 'messages\[0\]': found the text 'Who.'; allowed is an object {role, content}"),
    ([{"content": "Who?"}], r"'messages\[0\].role': found nothing \(null\); allowed is one of 'system', 'developer'"),
    ([{"role": "human", "content": "Who?"}], r"'messages\[0\].role': found the text 'human'; allowed is one of"),
    ([{"from": "bot", "value": "Who?"}], r"'messages\[0\].from': found the text 'bot'; .*'human', 'gpt'"),
    ([{"role": "user"}], r"'messages\[0\].content': found nothing \(null\); allowed is text"),
    ([{"role": "user", "content": [{"type": "text"}]}], r"'messages\[0\].content': found a list of 1; allowed is text"),
    ([{"role": "user", "content": 4}], r"'messages\[0\].content': found the number 4; allowed is text"),
    ([{"role": "assistant", "content": "No.", "weight": 0}], r"'messages\[0\].weight': found the number 0; .*every"),
    ([{"role": "assistant", "tool_calls": "f()"}], r"'messages\[0\].tool_calls': found the text 'f\(\)'; .*list of"),
    ([{"role": "assistant", "tool_calls": [{"name": "f"}]}], r"'messages\[0\].tool_calls\[0\]': found an object with"),
    ([{"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": "city"}}]}],
     r"'messages\[0\].tool_calls\[0\].function.arguments': found the text 'city'; allowed is an object"),
])
def test_what_is_no_message_is_named(messages, found):
    with pytest.raises(DataError, match=rf"a.jsonl row 17, .*{found}"):
        checked_messages(messages, "messages", "a.jsonl row 17")


@pytest.mark.parametrize("tools", ["weather", 7, ["weather"], {"name": "weather"}])
def test_tools_are_a_list_of_objects(tools):
    with pytest.raises(DataError, match="row 17, column 'tools': found .*; allowed is a list of JSON schemas"):
        checked_tools(tools, "a.jsonl row 17")


def test_the_shape_of_what_was_found_is_told():
    from lab.data.malformed import described

    assert described(b"bytes") == "a bytes"
    assert described("a" * 50) == f"the text '{'a' * 39}…'"
    assert described("line\nbreak \ud83d") == r"the text 'line\nbreak \ud83d'"
    assert described({}) == "an object with nothing"
