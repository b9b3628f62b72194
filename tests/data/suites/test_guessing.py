"""Nobody who does not read the question does better than chance, whatever the seed: rules written here independently."""

from collections import Counter
from collections.abc import Callable, Sequence
from difflib import SequenceMatcher
from statistics import fmean

import pytest

from lab.data.suites.item import SuiteItem
from tests.data.suites.made import made
from tests.data.suites.test_build import everywhere

BAR = 0.04
SEEDS = range(3)

Rule = Callable[[SuiteItem, str], float]


def numeric(item: SuiteItem) -> bool:
    return all(choice.lstrip("-").isdigit() for choice in item.choices)


def from_the_others(item: SuiteItem, choice: str) -> float:
    return abs(int(choice) - fmean(int(other) for other in item.choices if other != choice))


def resemblance(item: SuiteItem, choice: str) -> float:
    return sum(SequenceMatcher(None, choice, other).ratio() for other in item.choices)


RULES: dict[str, Rule] = {
    "the longest": lambda item, choice: len(choice),
    "the shortest": lambda item, choice: -len(choice),
    "one that stands in the question": lambda item, choice: f" {choice} " in f" {spaced(item.question)} ",
    "one that does not": lambda item, choice: f" {choice} " not in f" {spaced(item.question)} ",
    "the one most like the others": resemblance,
    "the one least like the others": lambda item, choice: -resemblance(item, choice),
    "the first in the alphabet": lambda item, choice: -sorted(item.choices).index(choice),
    "the last in the alphabet": lambda item, choice: sorted(item.choices).index(choice),
}
NUMERIC_RULES: dict[str, Rule] = {
    "the largest": lambda item, choice: int(choice),
    "the smallest": lambda item, choice: -int(choice),
    "the nearest to the mean of the others": lambda item, choice: -from_the_others(item, choice),
    "the farthest from the mean of the others": from_the_others,
}


def spaced(question: str) -> str:
    return "".join(sign if sign.isalnum() else " " for sign in question)


def gain(items: Sequence[SuiteItem], rule: Rule) -> float:
    """Expected accuracy beyond chance of always picking what scores highest, ties broken by lot."""
    credits = []
    for item in items:
        scores = [rule(item, choice) for choice in item.choices]
        credits.append((scores[item.gold] == max(scores)) / scores.count(max(scores)) - item.chance)
    return fmean(credits)


@everywhere
def test_no_rule_does_better_than_chance(suite, language):
    for seed in SEEDS:
        items = made(suite, language, seed)
        numbers = [item for item in items if numeric(item)]
        gains = {name: gain(items, rule) for name, rule in RULES.items()}
        if len(numbers) > 100:
            gains |= {name: gain(numbers, rule) for name, rule in NUMERIC_RULES.items()}
        assert {name: round(value, 3) for name, value in gains.items() if value > BAR} == {}


@everywhere
def test_what_is_often_right_elsewhere_is_no_likelier_right(suite, language):
    """Counted on one half of the suite and tried on the other, both ways, over all seeds: the answer itself is left out."""
    gains = []
    for seed in SEEDS:
        items = made(suite, language, seed)
        for known, asked in ((items[::2], items[1::2]), (items[1::2], items[::2])):
            often = Counter((item.kind, item.answer) for item in known)
            gains.append(gain(asked, lambda item, choice, often=often: often[item.kind, choice]))
            often = Counter(item.answer for item in known)
            gains.append(gain(asked, lambda item, choice, often=often: often[choice]))
    assert fmean(gains) < BAR


@everywhere
def test_one_place_is_no_better_than_another(suite, language):
    items = made(suite, language)
    for place in range(4):
        assert gain(items, lambda item, choice, place=place: item.choices.index(choice) == place) < BAR


@pytest.mark.parametrize(("suite", "language"), [("knowledge", "world"), ("reasoning", "world"), ("reasoning", "english")])
def test_values_that_recur_are_wrong_in_proportion_to_how_often_they_are_right(suite, language):
    for seed in SEEDS:
        right: Counter[tuple[str, str]] = Counter()
        shown: Counter[tuple[str, str]] = Counter()
        for item in made(suite, language, seed):
            if not numeric(item) and item.kind not in ("line-up", "emblem"):
                right[item.kind, item.answer] += 1
                shown.update({(item.kind, choice): item.chance for choice in item.choices})
        for value in shown:  # its share of the right answers is what chance would give it
            assert abs(right[value] - shown[value]) <= (1e-9 if suite == "knowledge" else 4 * shown[value] ** 0.5 + 1)


def test_emblems_share_their_colour_and_their_animal_with_one_alternative_each():
    for item in made("knowledge", "world"):
        if item.kind == "emblem":
            colours, animals = (Counter(words) for words in zip(*(choice.split() for choice in item.choices), strict=True))
            assert set(colours.values()) == set(animals.values()) == {2}


def test_the_bar_is_seen_to_bite():
    triples = [(str(i), str(i + 1), str(i + 2)) for i in range(10, 99)]
    bad = [SuiteItem("", "math", "", "", "", "?", choices, i % 10 == 0, "") for i, choices in enumerate(triples)]
    assert gain(bad, NUMERIC_RULES["the smallest"]) > 10 * BAR
