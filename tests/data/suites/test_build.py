"""Every suite is what it says: different questions, right answers in every place, forms, names and errors."""

import re
import subprocess
import sys
from collections import Counter

import pytest

from lab.data.suites import LANGUAGES, SUITES, build, texts
from lab.errors import OptionError
from tests.data.suites.made import made

ALL = [(suite, language) for language in LANGUAGES for suite in SUITES if (suite, language) != ("knowledge", "english")]
everywhere = pytest.mark.parametrize(("suite", "language"), ALL)


@everywhere
def test_questions_are_different_and_alternatives_are_too(suite, language):
    items = made(suite, language)
    assert len(items) == len({item.question for item in items}) == len({item.name for item in items}) == 800
    for item in items:
        assert item.suite == suite and item.name.startswith(f"{suite}/{item.kind}/") and item.cluster and item.template
        assert 2 <= len(item.choices) <= 4 and item.answer == item.choices[item.gold]
        assert item.chance == 1 / len(item.choices)
        for one in item.choices:
            assert sum(other.startswith(one) for other in item.choices) == 1, "one of two would never be likelier"


@everywhere
def test_every_alternative_has_the_form_and_no_sentence_has(suite, language):
    for item in made(suite, language):
        for choice in item.choices:
            assert re.fullmatch(item.form, choice), (item.form, choice)
            for styled in (f"{choice}.", f"It is {choice}.", f"It is {choice}", f"The answer: {choice}", f"{choice}!", ""):
                assert not re.fullmatch(item.form, styled), (item.form, styled)


@everywhere
def test_the_right_one_stands_in_every_place_equally_often(suite, language):
    for seed in range(3):
        places = Counter((len(item.choices), item.gold) for item in made(suite, language, seed))
        for size in {size for size, _ in places}:
            counts = [places[size, place] for place in range(size)]
            assert max(counts) - min(counts) <= 1


@everywhere
def test_yes_no_and_unknown_are_right_equally_often_within_one(suite, language):
    words = {"yes", "no", "unknown", "Yes", "No", "True", "False"}
    right: dict[str, Counter[str]] = {}
    for item in made(suite, language):
        if set(item.choices) <= words:
            right.setdefault(item.kind, Counter({choice: 0 for choice in item.choices}))[item.answer] += 1
    assert bool(right) == (suite in ("reasoning", "code"))
    for counts in right.values():
        assert max(counts.values()) - min(counts.values()) <= 1


def test_the_same_seed_makes_the_same_suite_in_another_process():
    code = ("from lab.data.suites import build, texts\nfrom hashlib import sha256\n"
            "made = [build(s, 'world', count=60, seed=3) for s in ('math', 'reasoning', 'code', 'knowledge')]\n"
            "made += [build(s, 'english', count=60, seed=3) for s in ('math', 'reasoning', 'code')]\n"
            "made += [texts(l, count=40, seed=3) for l in ('world', 'english')]\n"
            "print(sha256(repr(made).encode()).hexdigest())")
    digests = {
        subprocess.check_output([sys.executable, "-c", code], text=True, env={"PYTHONHASHSEED": seed, "PYTHONPATH": "."})
        for seed in ("1", "2")
    }
    assert len(digests) == 1


@everywhere
def test_another_seed_chooses_others_and_a_question_keeps_its_name(suite, language):
    first, second = (build(suite, language, count=200, seed=seed) for seed in (0, 1))
    assert first == build(suite, language, count=200, seed=0)
    assert {item.question for item in first} != {item.question for item in second}
    named = {item.question: item.name for item in first}
    assert all(named[item.question] == item.name for item in second if item.question in named)


@everywhere
@pytest.mark.parametrize("count", [1, 2, 7])
def test_small_suites_are_whole_too(suite, language, count):
    items = build(suite, language, count=count)
    assert len(items) == count and all(len(set(item.choices)) == len(item.choices) >= 2 for item in items)


def test_kinds_are_equally_many_as_far_as_there_are():
    counts = Counter(item.kind for item in made("reasoning", "world"))
    assert set(counts.values()) == {160}
    assert max(Counter(item.kind for item in made("math", "world")).values()) < 400


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: build("maths", "world"), r"suite='maths' is unknown; near: math; allowed are math, reasoning, code"),
        (lambda: build("stories", "world"), r"suite='stories' is unknown.*; allowed are math"),
        (lambda: build("math", "englisch"), r"language='englisch' is unknown; near: english; allowed are world, english"),
        (lambda: build("knowledge", "english"), r"name harness tasks instead, such as tasks=arc_easy,hellaswag"),
        (lambda: build("math", "world", count=0), r"count=0 asks for zero items of suite='math'.*from 1 to \d+"),
        (lambda: build("code", "english", count=10**9), r"than the \d{4} there are; write a count from 1 to \d{4}$"),
        (lambda: texts("worlds"), r"language='worlds' is unknown; near: world"),
        (lambda: texts("english", count=-1), r"count=-1 asks for zero documents in language='english'"),
        (lambda: texts("english", count=10**6), r"more documents in language='english' than the \d+ there are"),
    ],
)
def test_what_cannot_be_built_is_said(call, message):
    with pytest.raises(OptionError, match=message):
        call()


@pytest.mark.parametrize(("suite", "language"), [("math", "world"), ("reasoning", "english")])
def test_all_that_there_are_can_be_had(suite, language):
    with pytest.raises(OptionError) as error:
        build(suite, language, count=10**6)
    existing = int(str(error.value).rsplit(" ", 1)[1])
    assert len({item.question for item in build(suite, language, count=existing)}) == existing
