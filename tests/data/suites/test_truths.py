"""Right answers against independent references: brute force, a real interpreter; and withheld ones only."""

import json
import re
import subprocess
import sys
from itertools import permutations, product

import pytest

from lab.data.suites.item import SuiteItem
from lab.data.world.arithmetic import pair_withheld
from lab.data.world.holdout import withheld
from lab.data.world.knowledge import attributes
from lab.data.world.words import FIRST_NAMES
from tests.data.suites.made import made
from tests.data.suites.test_build import everywhere


def of_kind(suite: str, language: str, *kinds: str) -> list[SuiteItem]:
    found = [item for item in made(suite, language) if item.kind in kinds]
    assert len(found) > 20
    return found


def integers(text: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", text)]


def test_sums_of_the_world_are_right_and_withheld():
    for item in made("math", "world"):
        a, b = integers(item.question)
        a, b = (b, a) if item.question.startswith("Take") else (a, b)
        assert int(item.answer) == {"addition": a + b, "subtraction": a - b, "multiplication": a * b}[item.kind]
        assert pair_withheld(a, b)


def test_facts_are_right_withheld_in_this_phrasing_and_clustered_by_person():
    for item in made("knowledge", "world"):
        assert item.answer == attributes(item.cluster)[item.kind] and item.cluster in item.question
        kind, phrasing = item.template.split("/")
        assert withheld("fact", kind, int(phrasing), item.cluster)


def told(question: str, names: tuple[str, ...]) -> tuple[list[str], list[tuple[str, str]]]:
    """The people of a puzzle and who is said to be above whom."""
    pairs = re.findall(r"(\w+) is (taller|older|faster|richer|shorter|younger|slower|poorer) than (\w+)\.", question)
    above = [(a, b) if word in ("taller", "older", "faster", "richer") else (b, a) for a, word, b in pairs]
    return sorted({name for pair in above for name in pair if name in names}), above


def orders(people: list[str], above: list[tuple[str, str]]) -> list[tuple[str, ...]]:
    return [order for order in permutations(people) if all(order.index(a) < order.index(b) for a, b in above)]


def test_orderings_of_the_world_are_right_by_brute_force():
    for item in of_kind("reasoning", "world", "extreme", "line-up", "pair", "fork"):
        possible = orders(*told(item.question, FIRST_NAMES))
        downward = re.search(r"(tallest|oldest|fastest|richest)", item.question)
        lines = possible if downward or item.kind in ("pair", "fork") else [order[::-1] for order in possible]
        if item.kind == "extreme":
            assert {line[0] for line in lines} == {item.answer}
        elif item.kind == "line-up":
            assert [", ".join(line) for line in lines] == [item.answer]
        else:
            first, second = re.findall(r"Is (\w+) \w+ than (\w+)\?", item.question)[0]
            truths = {line.index(first) < line.index(second) for line in lines}
            assert item.answer == ("unknown" if len(truths) == 2 else "yes" if truths == {True} else "no")


def test_english_orderings_are_right_by_brute_force():
    for item in of_kind("reasoning", "english", "ordering"):
        [order] = orders(*told(item.question, tuple(re.findall(r"[A-Z][a-z]+", item.question))))
        place = 1 if "second" in item.question else 2 if "third" in item.question else 0
        if not re.search(r"(tallest|oldest|fastest|richest)", item.question):
            place = 3
        assert item.answer == order[place] and set(item.choices) == set(order)


WORLDS = list(product((False, True), repeat=8))  # which of the eight combinations of three groups have members


def holds(sentence: str, groups: list[str], world: tuple[bool, ...]) -> bool:
    word, rest = sentence.split(" ", 1)
    first, second = re.split(r" are not | are ", rest)
    members = [cell for cell, full in enumerate(world) if full and cell >> groups.index(first) & 1]
    inside = [bool(cell >> groups.index(second) & 1) for cell in members]
    if word == "some":
        return not all(inside) if " are not " in rest else any(inside)
    return all(inside) if word == "all" else not any(inside)


@pytest.mark.parametrize("language", ["world", "english"])
def test_syllogisms_are_valid_in_all_worlds_or_not(language):
    for item in of_kind("reasoning", language, "syllogism")[:80]:
        said = [f"{a.lower()} {b}" for a, b in re.findall(
            r"\b([Aa]ll|[Nn]o|[Ss]ome) ((?:\w+ )?\w+ are (?:not )?(?:(?:chess|dog) )?\w+)", item.question)]  # fmt: skip
        groups = sorted({group for one in said for group in re.split(r" are not | are ", one.split(" ", 1)[1])})
        assert len(said) == 3 and len(groups) == 3, item.question
        valid = all(holds(said[2], groups, world) for world in WORLDS if all(holds(one, groups, world) for one in said[:2]))
        assert item.answer.lower() == ("yes" if valid else "no"), item.question


def test_conditionals_follow_by_affirming_the_condition_or_denying_the_consequence():
    from lab.data.suites.english_words import CONDITIONS

    for item in of_kind("reasoning", "english", "conditional"):
        text = item.question.lower()
        [(p, q, not_p, not_q)] = [c for c in CONDITIONS if f"{c[0]}, {c[1]}".lower() in text]
        rest = text.split(f"{p}, {q}".lower(), 1)[1]
        follows = any(re.search(rf"{re.escape(fact.lower())}\..* that {re.escape(end.lower())}\?", rest)
                      for fact, end in ((p, q), (not_q, not_p)))
        assert item.answer == ("Yes" if follows else "No"), item.question


def test_reflection_problems_are_right_and_their_first_thought_is_an_alternative():
    for item in of_kind("reasoning", "english", "price", "pace", "growth"):
        numbers, answer, wrong = integers(item.question), int(item.answer), {int(choice) for choice in item.choices}
        if item.kind == "price":
            total, more = numbers
            assert answer + (answer + more) == total and total - more in wrong
        elif item.kind == "pace":
            assert len(set(numbers[:3])) == 1 and answer == numbers[0] and numbers[3] == numbers[4] and numbers[3] in wrong
        else:
            assert 2 ** (answer - numbers[0]) == 0.5 and numbers[0] / 2 in wrong


def test_english_equations_and_percentages_come_out():
    for item in of_kind("math", "english", "equation"):
        if "Solve" in item.question:
            left, right = re.findall(r"x: (.*) = (\d+)", item.question)[0]
            assert eval(re.sub(r"(\d)([x(])", r"\1*\2", left), {"x": int(item.answer)}) == int(right)
        else:
            a, b, c = integers(item.question)
            b, a = (a, b) if "sum of" in item.question else (b, a)
            x = int(item.answer)
            assert c == (a * x - b if "minus" in item.question else (x + b) * a if "sum of" in item.question else a * x + b)
    for item in of_kind("math", "english", "percentage"):
        rate, whole = sorted(integers(item.question), key=lambda n: f"{n}%" not in item.question)
        change = {"cheaper": -1, "destroyed": -1, "rises": 1, "more": 1}
        sign = next((sign for word, sign in change.items() if word in item.question), 0)
        assert int(item.answer) * 100 == (whole * rate if not sign else whole * (100 + sign * rate))


def test_english_arithmetic_comes_out():
    for item in of_kind("math", "english", "addition", "subtraction", "multiplication", "division"):
        a, b = integers(item.question)
        a, b = (b, a) if "Subtract" in item.question else (a, b)
        a, b = (b, a) if "How many times" in item.question else (a, b)
        truths = {"addition": a + b, "subtraction": a - b, "multiplication": a * b, "division": a / b}
        assert float(item.answer) == truths[item.kind]


WORKED = {
    "pens and one notebook": (lambda a, b, c: a * c + b), "tickets": (lambda b, a, c: c - a * b),
    "A rope of": (lambda c, b, a: c - a * b), "travels at": (lambda a, b: a * b), "shelves": (lambda b, a: a * b),
    "sweets": (lambda a, b: a / b), "rectangle": (lambda a, b: 2 * a + 2 * b), "A bus leaves": (lambda a, b, c: a - b + c),
    "Tom is": (lambda a, b, c: (a - b) * c), "average of": (lambda a, b: a + a - b), "boxes": (lambda a, b, c: a * b + c),
    "workers need": (lambda a, b, c: a * b / c),
}  # fmt: skip


def test_word_problems_come_out():
    from lab.data.suites import assembly

    _, problems = assembly._existing("math", "english")
    for part, work in WORKED.items():
        found = [problem for problem in problems if problem.kind == "word problem" and part in problem.question]
        assert found
        assert all(work(*integers(problem.question)) == int(problem.answer) for problem in found), part


@pytest.mark.parametrize("language", ["world", "english"])
def test_programs_print_their_answers(language):
    items = made("code", language)
    sources = [
        re.sub(r"^(Run:|What does this print\?|What does this Python program print\?|Here is a Python program:)\n+", "",
               item.question).split("\n\nAnswer with")[0].split("\n\nWrite what")[0] for item in items
    ]  # fmt: skip
    code = ("import contextlib, io, json, sys\nprinted = []\nfor source in json.load(sys.stdin):\n    out = io.StringIO()\n"
            "    with contextlib.redirect_stdout(out):\n        exec(source, {})\n    printed.append(out.getvalue())\n"
            "print(json.dumps(printed))")
    printed = subprocess.check_output([sys.executable, "-c", code], input=json.dumps(sources), text=True)
    assert json.loads(printed) == [f"{item.answer}\n" for item in items]


@everywhere
def test_nothing_that_pretraining_saw_is_asked_of_the_world(suite, language):
    from lab.data.world import generate

    category = {"math": "arithmetic"}.get(suite, suite)
    trained = {item.question for item in generate(category, 5000, 0)}
    assert not trained & {item.question for item in made(suite, language)}
