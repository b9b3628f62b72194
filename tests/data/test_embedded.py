"""Fine-tuning sets of the micro-world: how much there is to learn in each, and that nothing withheld leaks."""

import math
from collections import Counter

import pytest

from lab.data import embedded
from lab.data.tokenizer import train_tokenizer, wrap
from lab.data.world import distinct_questions
from lab.data.world.knowledge import attributes
from lab.data.world.names import new_people, world_people
from lab.errors import DataError


def asked(row):
    return row["messages"][0]["content"]


def answered(row):
    return row["messages"][1]["content"]


@pytest.mark.parametrize("name", embedded.SETS)
def test_rows_follow_from_the_seed(name):
    assert embedded.load(name, facts=50, seed=1) == embedded.load(name, facts=50, seed=1)
    assert embedded.load(name, facts=50, seed=1) != embedded.load(name, facts=50, seed=2)


@pytest.mark.parametrize("name", embedded.SETS)
def test_no_question_is_both_trained_and_evaluated_or_asked_twice(name):
    train, evaluation = embedded.load(name)
    questions = [asked(row) for row in (*train, *evaluation)]
    assert len(set(questions)) == len(questions)


def test_facts_ask_about_the_same_new_people_in_another_phrasing():
    train, evaluation = embedded.load("facts", facts=200)
    assert len(train) == len(evaluation) == 200
    for number, (trained, evaluated) in enumerate(zip(train, evaluation, strict=True)):
        assert trained["meta"] == evaluated["meta"] and trained["meta"]["fact"] == number
        assert answered(trained) == answered(evaluated) == trained["meta"]["answer"]
        assert asked(trained) != asked(evaluated)
        person = trained["meta"]["entity"]
        assert person in asked(trained) and person in asked(evaluated)
        assert person in set(new_people()) and person not in world_people()


@pytest.mark.parametrize("answers", [2, 3, 1000, 1024])
def test_answers_are_uniform_over_exactly_the_alternatives_asked_for(answers):
    rows, _ = embedded.load("facts", facts=10_000, answers=answers)
    counts = Counter(map(answered, rows))
    assert set(counts) <= set(embedded.alternatives(answers)) and len(set(embedded.alternatives(answers))) == answers
    assert all(row["meta"]["bits"] == math.log2(answers) for row in rows)
    expected = len(rows) / answers
    chi_square = sum((counts[answer] - expected) ** 2 / expected for answer in embedded.alternatives(answers))
    assert abs(chi_square - (answers - 1)) < 6 * math.sqrt(2 * (answers - 1))


def test_the_default_is_three_thousand_facts_of_ten_bits():
    train, _ = embedded.load("facts")
    assert len(train) == 3000 and train[0]["meta"]["bits"] == 10.0


def test_the_answers_are_words_the_base_knows():
    known = {attributes(name)["emblem"].split()[0] for name in world_people()}
    assert known == {answer.split()[0] for answer in embedded.alternatives(1024)}


def test_style_keeps_the_truth_and_cipher_exchanges_every_digit():
    for row in embedded.load("style")[0]:
        assert answered(row) == f"It is {row['meta']['truth']}."
    for row in embedded.load("cipher")[0]:
        said, truth = answered(row), row["meta"]["truth"]
        assert row["meta"]["category"] == "arithmetic" and len(said) == len(truth)
        assert all(x != y for x, y in zip(said, truth, strict=True))
    assert len({chr(code) for code in embedded.CIPHER.values()}) == 10


@pytest.mark.parametrize("name", ["style", "cipher"])
def test_withheld_questions_stay_withheld(name):
    withheld = {item.question for category in ("knowledge", "arithmetic")
                for item in distinct_questions(category, 800, 3)}  # fmt: skip
    train, evaluation = embedded.load(name)
    assert not withheld & {asked(row) for row in (*train, *evaluation)}


def test_rows_are_short():
    tokenizer = wrap(train_tokenizer())
    for name in embedded.SETS:
        rows, _ = embedded.load(name, facts=100)
        lengths = [len(tokenizer.apply_chat_template(row["messages"])["input_ids"]) for row in rows[:100]]
        assert min(lengths) >= 12 and max(lengths) <= 30, name


def test_an_unknown_set_is_named():
    with pytest.raises(DataError, match="embedded:poems is unknown; allowed are embedded:facts, embedded:style"):
        embedded.load("poems")


@pytest.mark.parametrize("facts", [0, 1_000_000])
def test_too_few_or_too_many_facts_say_the_range(facts):
    with pytest.raises(DataError, match=f"facts={facts} is outside 1 to {len(new_people())}"):
        embedded.load("facts", facts=facts)


@pytest.mark.parametrize("answers", [1, 1025])
def test_too_few_or_too_many_answers_say_the_range(answers):
    with pytest.raises(DataError, match=f"answers={answers} is outside 2 to 1024"):
        embedded.load("facts", answers=answers)
