"""The four forms, recognised by their columns."""

import pytest

from lab.data.forms import convert, metadata, recognise
from lab.errors import DataError

SAID = {"messages": [{"role": "user", "content": "Who?"}, {"role": "assistant", "content": "Mira."}]}


@pytest.mark.parametrize(("row", "name", "conversation"), [
    ({"instruction": "Who?", "output": "Mira."}, "alpaca", SAID),
    ({"instruction": "Who?", "input": " ", "output": "Mira."}, "alpaca", SAID),
    ({"instruction": "Who?", "input": None, "output": "Mira."}, "alpaca", SAID),
    ({"prompt": "Who?", "completion": "Mira."}, "prompt/completion", SAID),
    ({"prompt": SAID["messages"][:1], "completion": SAID["messages"][1:]}, "prompt/completion", SAID),
    (SAID, "messages", SAID),
    ({"conversations": [{"from": "human", "value": "Who?"}, {"from": "gpt", "value": "Mira."}]}, "messages", SAID),
    ({"conversations": SAID["messages"]}, "messages", SAID),
    ({**SAID, "tools": '[{"name": "f"}]'}, "messages", {**SAID, "tools": [{"name": "f"}]}),
    ({**SAID, "tools": []}, "messages", SAID),
    ({"text": "Mira."}, "text", {"text": "Mira."}),
    ({"instruction": "Who?", "output": "Mira.", "text": "### Who?\nMira."}, "alpaca", SAID),
])
def test_forms(row, name, conversation):
    form = recognise(row, "a.jsonl")
    assert form.name == name and convert(row, form, "a.jsonl row 1") == conversation


def test_columns_of_no_form_list_all_four():
    with pytest.raises(DataError, match=r"a.csv: the columns 'question', 'answer' make none of the four forms.*alpaca "
                                        r"\(instruction, output, perhaps input\), prompt/completion .*messages .*text"):
        recognise(["question", "answer"], "a.csv")


def test_columns_of_two_forms_are_an_error():
    with pytest.raises(DataError, match="'messages' and 'prompt', 'completion' are forms of their own"):
        recognise(["prompt", "completion", "messages"], "a.csv")


def test_metadata_names_the_group_and_what_is_not_read():
    row = {"text": "Mira.", "conversation_id": 7, "score": 0.5, "id": "x"}
    form = recognise(row, "a.jsonl")
    assert metadata(row, form, "a.jsonl row 1") == {"form": "text", "conversation": "7", "unused": ["id", "score"]}
    assert metadata({"text": "Mira.", "thread_id": None}, form, "a.jsonl row 1") == {"form": "text"}
    with pytest.raises(DataError, match=r"row 3, column 'dialog_id': found the number 0.5; allowed is text or a whole"):
        metadata({"text": "Mira.", "dialog_id": 0.5}, form, "a.jsonl row 3")
