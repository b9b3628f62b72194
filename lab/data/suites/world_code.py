"""The world's programs, withheld ones; wrong is what a plausible misreading of the program prints.

A cluster is a program: its items differ in numbers and words alone. Left out are `max`, since the largest alternative is
what it asks for, and `repeat`, of whose alternatives each begins with the shorter ones, which makes those likelier.
"""

import re
from collections.abc import Callable, Iterator
from itertools import permutations

from lab.data.suites.balance import apart
from lab.data.suites.problem import LIST, NUMBER, NUMBERS, TRUTH, WORD, Problem
from lab.data.suites.slips import near
from lab.data.suites.world_draws import all_items
from lab.data.world.item import Item


def problems() -> Iterator[Problem]:
    """Withheld programs with their misreadings; of programs that differ in nothing but names, one."""
    cases = {(item.kind, item.entities): item for item in all_items("code")}
    for item in cases.values():
        if item.kind in READINGS and (problem := READINGS[item.kind](item)):
            yield problem


def _problem(item: Item, form: str, slips: tuple[str, ...], choices: int, stratum: str = "") -> Problem:
    return Problem(item.kind, item.template, item.question, item.answer, form, slips, choices=choices, stratum=stratum)


def _reckoned(item: Item) -> Problem:
    """One of the numbers itself, another operation, or a slip."""
    a, b, *rest = map(int, item.entities)
    others = [b + rest[0], rest[0]] if rest else [abs(a - b)]
    return _problem(item, NUMBER, near(int(item.answer), a, b, a + b, *others), 4)


def _either_number(item: Item) -> Problem | None:
    """The one number for the other; each is the larger equally often."""
    a, b = item.entities[:2]
    return None if not apart(a, [b]) else _problem(item, NUMBER, (a, b), 2, str(int(item.answer) == max(int(a), int(b))))


def _either_word(item: Item) -> Problem:
    words = tuple(re.findall(r"'([a-z]+)'", item.question))
    return _problem(item, WORD, words, len(words), str(words.index(item.answer)))


def _truth(item: Item) -> Problem:
    return _problem(item, TRUTH, ("True", "False"), 2, item.answer)


def _sorted(item: Item) -> Problem:
    orders = permutations(map(int, item.entities))
    return _problem(item, LIST, tuple(str(list(order)) for order in orders), 4)


def _swap(item: Item) -> Problem | None:
    a, b = item.entities
    return None if not apart(a, [b]) else _problem(item, NUMBERS, (f"{a} {b}", f"{a} {a}", f"{b} {b}"), 4)


def _append(item: Item) -> Problem:
    a, b = item.entities
    lists = ([b, a], [a, a], [b, b], [a], [b], [a, b, b], [a, a, b], [a, [b]])
    return _problem(item, LIST, tuple(map(str, lists)), 4)


def _span(item: Item) -> Problem:
    first, last = map(int, item.entities)
    spans = [range(first + i, last + j) for i in (-1, 0, 1) for j in (-1, 0, 1, 2)]
    return _problem(item, LIST, tuple(str(list(span)) for span in spans if len(span) > 1), 4)


def _length(item: Item) -> Problem:
    return _problem(item, NUMBER, ("2", "3", "4", "5"), 4, item.answer)


READINGS: dict[str, Callable[[Item], Problem | None]] = {
    "sum": _reckoned, "assign": _reckoned, "subtract": _reckoned, "function": _reckoned, "total": _reckoned,
    "keep": _either_number, "lookup": _either_number, "branch": _either_word, "index": _either_word,
    "less": _truth, "member": _truth, "sorted": _sorted, "swap": _swap, "append": _append, "span": _span,
    "length": _length,
}  # fmt: skip
