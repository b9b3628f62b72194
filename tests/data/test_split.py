"""Holding rows out: how many, which, and what never ends up on both sides."""

import random
import subprocess
import sys

import pytest

from lab.data.conversation import prompt
from lab.data.split import split, without_duplicates
from lab.errors import DataError, OptionError


def row(question, answer="So.", group=None, number=1, **more):
    meta = {"row": number} if group is None else {"row": number, "conversation": group}
    return {"messages": [{"role": "user", "content": question}, {"role": "assistant", "content": answer}],
            "meta": meta, **more}


def test_duplicates_are_rows_with_the_same_content_whatever_their_number():
    rows = [row("a", number=1), row("b", number=2), row("a", number=3), row("a", "No.", number=4),
            row("a", number=5, tools=[{"name": "f"}])]
    assert [r["meta"]["row"] for r in without_duplicates(rows)] == [1, 2, 4, 5]


@pytest.mark.parametrize(("count", "share", "held"), [(2, 0.1, 1), (10, 0.1, 1), (24, 0.1, 2), (25, 0.1, 3),
                                                      (26, 0.1, 3), (100, 0.25, 25), (3, 0.5, 2), (10, 0.001, 1)])
def test_the_share_is_rounded_and_at_least_one(count, share, held):
    rows = [row(f"{i}") for i in range(count)]
    train, evaluation = split(rows, share, 0, "a.jsonl")
    assert (len(train), len(evaluation)) == (count - held, held)
    assert sorted([*train, *evaluation], key=rows.index) == rows
    assert train == sorted(train, key=rows.index) and evaluation == sorted(evaluation, key=rows.index)


def test_the_seed_decides():
    rows = [row(f"{i}") for i in range(40)]
    assert split(rows, 0.2, 1, "a") == split(rows, 0.2, 1, "a") != split(rows, 0.2, 2, "a")


def test_the_split_does_not_depend_on_hash_randomisation():
    code = ("from lab.data.split import split; rows = [{'text': str(i), 'meta': {'conversation': str(i // 2)}} "
            "for i in range(50)]; print(split(rows, 0.2, 3, 'a')[1])")
    outputs = {subprocess.run([sys.executable, "-c", code], env={"PYTHONHASHSEED": seed}, capture_output=True,
                              text=True, check=True).stdout for seed in ("1", "2", "3")}
    assert len(outputs) == 1 and len(outputs.pop()) > 10


def test_groups_are_never_divided():
    generator = random.Random(5)
    for seed in range(30):
        rows = [row(f"q{generator.randint(0, 30)}", f"a{i}", str(generator.randint(0, 30)) if i % 3 else None)
                for i in range(60)]
        try:
            train, evaluation = split(rows, 0.2, seed, "a.jsonl")
        except DataError:
            continue  # all linked together
        for key in (prompt, lambda r: r["meta"].get("conversation", prompt(r))):
            assert not {key(r) for r in train} & {key(r) for r in evaluation}
        assert len(train) + len(evaluation) == 60 and evaluation


def test_rows_linked_through_others_stay_together():
    rows = [row("a", "1", "x"), row("b", "2", "x"), row("b", "3", "y"), row("c", "4", "y"), row("d", "5", "z")]
    train, evaluation = split(rows, 0.2, 0, "a.jsonl")
    assert (train, evaluation) == (rows[:4], rows[4:])


def test_earlier_and_later_states_of_one_conversation_stay_together():
    start = row("a")["messages"]
    rows = [{"messages": start}, {"messages": [*start, *row("b")["messages"]]}, row("c")]
    assert split(rows, 0.5, 0, "a.jsonl")[0] == rows[:2] or split(rows, 0.5, 0, "a.jsonl")[1] == rows[:2]


def test_a_conversation_that_opens_with_an_answer_is_only_like_itself():
    rows = [{"messages": [{"role": "assistant", "content": text}]} for text in ("Hello.", "Hi.")]
    train, evaluation = split(rows, 0.5, 0, "a.jsonl")
    assert len(train) == len(evaluation) == 1


@pytest.mark.parametrize("rows", [[row("a")], [row("a", "1"), row("a", "2")],
                                  [row("a", group="x"), row("b", group="x")]])
def test_nothing_left_to_train_is_an_error(rows):
    with pytest.raises(DataError, match=rf"eval_split=0.1 of {len(rows)} rows in 1 groups .*leaves nothing to train"):
        split(rows, 0.1, 0, "a.jsonl")


@pytest.mark.parametrize("share", [0, 1, -0.1, 1.5])
def test_the_share_is_between_zero_and_one(share):
    with pytest.raises(OptionError, match=rf"eval_split={share}: .*above 0 and below 1"):
        split([row("a"), row("b")], share, 0, "a.jsonl")
