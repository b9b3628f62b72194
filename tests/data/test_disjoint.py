"""No entity of a text to fit on is in a text to evaluate on, and no document is on both sides."""

import json
import re

import pytest

from lab.data.disjoint import entities, on_side, texts
from lab.data.english import PASSAGES
from lab.data.prompts import read
from lab.data.questions import read as questions
from lab.data.world import CATEGORIES, generate
from lab.data.world.names import passing_people, world_people
from lab.data.world.words import ANIMALS, COLOURS, FIRST_NAMES, NOUNS
from lab.errors import DataError, OptionError
from lab.models.references import EMBEDDED
from lab.models.tokenizers import load_tokenizer

NAMED = {"knowledge": {*world_people()}, "stories": {*passing_people()}, "reasoning": {*FIRST_NAMES, *NOUNS},
         "code": {*COLOURS, *ANIMALS}, "arithmetic": set()}
EVERYWHERE = {"code": {"0"}}  # where a sum starts


@pytest.fixture(scope="module")
def embedded():
    return load_tokenizer(EMBEDDED, 2048)


def named(category, text):
    """Everything that a question is about, by its words alone."""
    words = re.findall(r"\w+", text.partition("user\n")[2].partition("<|im_end|>")[0])
    if category == "copying":
        return set(words) - {"Repeat"}
    numbers = {word for word in words if word.isdigit()} - EVERYWHERE.get(category, set())
    return numbers | {word for word in words if word in NAMED[category] or word.lower() in NAMED[category]}


@pytest.mark.parametrize("category", CATEGORIES)
def test_no_entity_is_on_both_sides(embedded, category):
    train, evaluation = texts(embedded, [category], count=150, evaluation=100)
    sides = [{name for prompt in side for name in named(category, prompt.text)} for side in (train, evaluation)]
    assert not sides[0] & sides[1] and min(map(len, sides)) > 8
    mixed = [{name for prompt in read(embedded, [category], count=100, seed=seed) for name in named(category, prompt.text)}
             for seed in (0, 1)]
    assert mixed[0] & mixed[1]  # which ordinary prompts share


def test_no_entity_is_on_both_sides_of_the_whole_world(embedded):
    train, evaluation = texts(embedded, count=240, evaluation=120)
    assert len(train) == 240 and len(evaluation) == 120 and {prompt.category for prompt in train} == set(CATEGORIES)
    sides = [{name for prompt in side for name in named(prompt.category, prompt.text)} for side in (train, evaluation)]
    assert not sides[0] & sides[1]


def test_every_entity_is_on_one_side_and_questions_can_be_chosen_by_it(embedded):
    for category in CATEGORIES:
        for item in generate(category, 50, 0):
            sides = [on_side(side)(item) for side in ("train", "evaluation")]
            assert entities(item) and sum(sides) <= 1 and (len(entities(item)) > 1 or sum(sides) == 1)
    train = {name for p in texts(embedded, ["knowledge"], count=400)[0] for name in named("knowledge", p.text)}
    asked = questions(embedded, ["knowledge"], count=40, keep=on_side("evaluation"))
    assert not train & {question.entities[0] for question in asked}


def test_words_that_a_program_quotes_are_entities():
    item = next(item for item in generate("code", 200, 0) if item.kind == "lookup")
    assert entities(item) == {*item.entities, *re.findall(r"'([a-z]+)'", item.question)} and len(entities(item)) >= 3


def test_the_same_arguments_give_the_same_texts_and_a_seed_moves_nothing_across(embedded):
    first, again = texts(embedded, count=60, evaluation=30), texts(embedded, count=60, evaluation=30)
    other = texts(embedded, count=60, evaluation=30, seed=1)
    assert first == again and {p.text for p in first[0]} != {p.text for p in other[0]}
    sides = [{name for prompt in side for name in named(prompt.category, prompt.text)} for side in (first[0], other[1])]
    assert not sides[0] & sides[1]
    assert len({prompt.text for prompt in first[0]}) == 60


def test_documents_are_divided_and_copies_stay_together(embedded, tmp_path):
    train, evaluation = texts(embedded, ["english"])
    assert sorted(prompt.text for prompt in train + evaluation) == sorted(PASSAGES.values()) and len(evaluation) == 6
    rows = tmp_path / "rows.jsonl"
    rows.write_text("".join(json.dumps({"note": f"note {i % 10}"}) + "\n" for i in range(30)))
    train, evaluation = texts(embedded, [str(rows)], column="note")
    assert len(train) == 8 and len(evaluation) == 2 and not {p.text for p in train} & {p.text for p in evaluation}
    again = texts(embedded, [str(rows)], column="note", seed=4)
    assert {p.text for p in again[0]} == {p.text for p in train}
    assert len(texts(embedded, [str(rows)], column="note", count=3, evaluation=1)[0]) == 3


def test_a_text_file_is_divided_by_paragraph_and_long_texts_are_cut(embedded, tmp_path):
    notes = tmp_path / "notes.txt"
    notes.write_text("\n\n".join(f"Paragraph {i} of several words.\nIts second line." for i in range(8)) + "\n \n\n")
    train, evaluation = texts(embedded, [str(notes)], longest=5)
    assert len(train) == 6 and len(evaluation) == 2 and all(len(p.input_ids) == len(p.tokens) == 5 for p in train)
    assert {p.text for p in train + evaluation} == {f"Paragraph {i} of several words.\nIts second line." for i in range(8)}


def test_what_cannot_be_divided_is_an_error(embedded, tmp_path):
    one = tmp_path / "one.txt"
    one.write_text("One paragraph.")
    with pytest.raises(DataError, match=r"one.txt: holds 1 document, and one cannot be divided .* give at least two"):
        texts(embedded, [str(one)])
    with pytest.raises(OptionError, match="count=0: allowed is 1 or more"):
        texts(embedded, evaluation=0)
    with pytest.raises(OptionError, match="prompts=text has no text"):
        texts(embedded, ["text"])
    with pytest.raises(DataError, match=r"stories: found \d+ different items all of whose entities are on the side train"):
        import lab.data.disjoint

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(lab.data.disjoint, "TRIES", 1)
            texts(embedded, ["stories"])
