"""Fine-tuning sets of the micro-world: how much there is to learn in each, and that nothing withheld leaks."""

import math
import re
from collections import Counter

import pytest

from lab.data import embedded
from lab.data.tokenizer import train_tokenizer, wrap
from lab.data.world import distinct_questions, generate
from lab.data.world.documents import MIXTURE
from lab.data.world.holdout import pair_withheld
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
    assert {row["meta"]["category"] for row in embedded.load("style")[0]} == set(embedded.STYLED_CATEGORIES)
    for row in embedded.load("cipher")[0]:
        said, truth = answered(row), row["meta"]["truth"]
        assert row["meta"]["category"] == "arithmetic" and len(said) == len(truth)
        assert all(x != y for x, y in zip(said, truth, strict=True))
    assert len({chr(code) for code in embedded.CIPHER.values()}) == 10


@pytest.mark.parametrize("name", ["style", "cipher"])
def test_withheld_questions_stay_withheld(name):
    withheld = {item.question for category in embedded.STYLED_CATEGORIES
                for item in distinct_questions(category, 800, 3)}  # fmt: skip
    train, evaluation = embedded.load(name)
    assert not withheld & {asked(row) for row in (*train, *evaluation)}


def test_the_placebo_is_drawn_as_pretraining_was():
    """Every row is one that pretraining draws, and categories, templates and items come in the shares it draws them in."""
    train, evaluation = embedded.load("placebo")
    assert (len(train), len(evaluation)) == (embedded.TRAIN_ROWS, embedded.EVALUATION_ROWS)
    for rows in (train, evaluation):
        counts = Counter(row["meta"]["category"] for row in rows)
        for category, share in MIXTURE.items():
            expected = len(rows) * share / sum(MIXTURE.values())
            assert abs(counts[category] - expected) < 4 * math.sqrt(expected), category
    kinds, drawn = Counter(), Counter()
    for category, share in MIXTURE.items():
        items = generate(category, 4000, seed=5)
        for item in items:
            drawn[item.kind] += len(train) * share / sum(MIXTURE.values()) / len(items)
    for row in train:
        kinds[row["meta"]["kind"]] += 1
        assert answered(row) == row["meta"]["truth"]
    assert set(kinds) <= set(drawn)
    assert all(abs(kinds[kind] - expected) < 5 * math.sqrt(expected) + 1 for kind, expected in drawn.items())


def test_the_placebo_trains_on_nothing_withheld_and_is_evaluated_on_nothing_else():
    train, evaluation = embedded.load("placebo")
    withheld = {item.question for category in MIXTURE for item in generate(category, 6000, seed=9, split="held_out")}
    assert not withheld & {asked(row) for row in train}
    assert len(withheld & {asked(row) for row in evaluation}) > 50
    for rows, expected in ((train, False), (evaluation, True)):
        operands = [tuple(map(int, re.findall(r"\d+", asked(row)))) for row in rows
                    if row["meta"]["category"] == "arithmetic"]  # fmt: skip
        pairs = [pair for pair in operands if len(pair) == 2]
        assert len(pairs) > 40 and all(pair_withheld(*pair) is expected for pair in pairs)


@pytest.fixture(scope="module")
def tokenizer():
    return wrap(train_tokenizer())


@pytest.mark.parametrize("name, longest", [("facts", 30), ("style", 80), ("cipher", 30), ("placebo", 80)])
def test_rows_are_short(tokenizer, name, longest):
    rows, _ = embedded.load(name, facts=100)
    lengths = [len(tokenizer.apply_chat_template(row["messages"])["input_ids"]) for row in rows[:100]]
    assert min(lengths) >= 12 and max(lengths) <= longest


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
