"""Every item's probability, split and chance, against enumeration and counting."""

import math
from collections import Counter
from dataclasses import replace
from random import Random

import pytest

from lab.data.world import (
    CATEGORIES,
    copying,
    distinct_questions,
    generate,
    knowledge,
    orderings,
    programs,
    stories,
    syllogisms,
)
from lab.data.world.draws import templates
from lab.data.world.item import Template, split_cases
from lab.errors import DataError

DRAWS = 400


def same_item(item):
    return item.template, item.question, item.text, item.answer


def check_against_counts(template: Template, draws: int, split="train", missing=0.01):
    """Draw until nearly all was seen: probabilities add up to the weight, and counts agree with them."""
    rng = Random(1)
    items = [template.draw(rng, split) for _ in range(draws)]
    probability = {same_item(item): item.probability for item in items}
    counts = Counter(map(same_item, items))
    # Only the rarest items may have been missed.
    assert (1 - missing) * template.weight < math.fsum(probability.values()) <= template.weight * (1 + 1e-9)
    for key, p in probability.items():
        expected = draws * p / template.weight
        assert abs(counts[key] - expected) < 6 * math.sqrt(expected) + 1
    chi_square = sum((counts[k] - draws * p / template.weight) ** 2 / (draws * p / template.weight)
                     for k, p in probability.items())  # fmt: skip
    freedom = len(probability) - 1
    assert chi_square < freedom + 6 * math.sqrt(2 * freedom) + 6


@pytest.mark.parametrize("category", CATEGORIES)
def test_weights_add_up_and_splits_share_no_case(category):
    assert math.fsum(template.weight for template in templates(category)) == pytest.approx(1)
    for template in templates(category):
        train, held_out = split_cases(template, "train"), split_cases(template, "held_out")
        assert train and held_out
        assert not set(train) & set(held_out)
        assert len(train) + len(held_out) == len(template.cases())


@pytest.mark.parametrize("category", ["knowledge", "arithmetic"])
@pytest.mark.parametrize("split", ["train", "held_out"])
def test_probabilities_of_a_whole_enumeration_add_up_to_one(category, split):
    total, keys = 0.0, set()
    for template in templates(category):
        cases = split_cases(template, split)
        for case in cases:
            draft = template.dress(Random(0), case)
            total += template.weight * draft.probability / len(cases)
            keys.add((template.name, draft.question, draft.text, draft.answer))
    assert total == pytest.approx(1)
    assert len(keys) == sum(len(split_cases(template, split)) for template in templates(category))


def test_probability_of_facts_equals_counts():
    check_against_counts(knowledge.templates()[0], 20_000)


@pytest.mark.parametrize("part", range(9))
def test_probability_of_orderings_equals_counts(part, monkeypatch):
    monkeypatch.setattr(orderings, "FIRST_NAMES", ("Ann", "Bob", "Cid", "Dan"))
    monkeypatch.setattr(orderings, "SCALES", orderings.SCALES[:1])
    orderings._ends.cache_clear()
    check_against_counts(orderings.templates(1.0)[part], 40_000, missing=0.1)
    orderings._ends.cache_clear()


def test_probability_of_syllogisms_equals_counts(monkeypatch):
    monkeypatch.setattr(syllogisms, "NOUNS", ("cats", "dogs", "elves"))
    syllogisms._terms.cache_clear()
    check_against_counts(syllogisms.templates(1.0)[0], 60_000)
    syllogisms._terms.cache_clear()


@pytest.mark.parametrize("part", [0, 1])
def test_probability_of_copying_equals_counts(part, monkeypatch):
    monkeypatch.setattr(copying, "OPENERS", ("red", "fox", "Rome"))
    monkeypatch.setattr(copying, "WORDS", ("red", "fox", "Rome", "jam", "axe"))
    monkeypatch.setattr(copying, "passing_people", lambda: ("Balvin", "Kensek"))
    monkeypatch.setattr(copying, "LENGTHS", (3, 4))
    monkeypatch.setattr(copying, "PAIRS", (2,))
    copying._openings.cache_clear()
    check_against_counts(copying.templates()[part], 40_000, missing=0.02)
    copying._openings.cache_clear()


def test_probability_of_stories_equals_counts(monkeypatch):
    for name in ("JOBS", "SIZES", "ANIMALS", "FEELINGS", "FOODS"):
        monkeypatch.setattr(stories, name, getattr(stories, name)[:1])
    monkeypatch.setattr(stories, "passing_people", lambda: ("Balvin", "Kensek"))
    monkeypatch.setattr(stories, "QUESTIONS", stories.QUESTIONS[:2])
    story = replace(stories.templates()[0], cases=lambda: [("coin", "forest"), ("ring", "river")],
                    is_held_out=lambda case: False)  # fmt: skip
    check_against_counts(story, 30_000)


@pytest.mark.parametrize("program", programs.PROGRAMS, ids=lambda program: program.name)
def test_probability_of_programs_equals_counts(program, monkeypatch):
    monkeypatch.setattr(programs, "VARIABLES", ("a", "b", "x"))
    monkeypatch.setattr(programs, "COLOURS", ("red", "tan", "sky"))
    monkeypatch.setattr(programs, "execute", lambda source: "0")
    few = program.cases()[:6]
    template = next(t for t in programs.templates() if t.name == program.name)
    check_against_counts(replace(template, cases=lambda: few, is_held_out=lambda case: False), 10_000)


@pytest.mark.parametrize("category", CATEGORIES)
def test_same_seed_same_items_and_another_seed_others(category):
    assert generate(category, 20, 3) == generate(category, 20, 3)
    assert generate(category, 20, 3) != generate(category, 20, 4)


@pytest.mark.parametrize("category", CATEGORIES)
def test_no_held_out_question_is_ever_trained(category):
    held_out = {item.question for item in distinct_questions(category, DRAWS, 0)}
    assert len(held_out) == DRAWS
    assert not held_out & {item.question for item in generate(category, 20 * DRAWS, 1)}


@pytest.mark.parametrize("category", CATEGORIES)
def test_chance_is_at_least_what_the_commonest_answer_gets(category):
    by_template = {}
    for item in generate(category, 40 * DRAWS, 5):
        by_template.setdefault((item.template, item.chance), []).append(item.answer)
    for (template, chance), answers in by_template.items():
        commonest = Counter(answers).most_common(1)[0][1]
        slack = 5 * math.sqrt(max(chance, 1 / len(answers)) / len(answers)) + 2 / len(answers)
        assert commonest / len(answers) <= chance + slack, template
        assert 0 < chance < 1


def test_an_unknown_category_or_split_is_named():
    with pytest.raises(DataError, match="category='poems' is unknown; allowed are knowledge, arithmetic"):
        generate("poems", 1, 0)
    with pytest.raises(DataError, match="split='test' is unknown; allowed are train, held_out"):
        generate("code", 1, 0, split="test")  # type: ignore[arg-type]


def test_more_different_questions_than_there_are_is_an_error(monkeypatch):
    only = generate("code", 1, 0)[0]
    monkeypatch.setattr("lab.data.world.draws.draw", lambda *_: only)
    with pytest.raises(DataError, match="has about 1 different questions; 3 were asked for"):
        distinct_questions("code", 3, 0)
