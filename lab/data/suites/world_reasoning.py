"""Orderings of people and syllogisms, over pairs of ends and of terms that pretraining withheld.

A cluster is a template: its items differ in names and words alone, so that a model that lost how to read it loses all.
"""

import re
from collections.abc import Iterator
from itertools import combinations, permutations
from random import Random

from lab.data.suites.problem import CHOICES, Problem, closed
from lab.data.suites.world_draws import all_items
from lab.data.world.item import Item
from lab.data.world.words import FIRST_NAMES

NAME = closed(FIRST_NAMES)
LINE = f"({NAME})(, ({NAME}))+"


def problems() -> Iterator[Problem]:
    """Withheld puzzles; the alternatives are the people named, their line-ups, or yes, no and unknown."""
    rng = Random("strata of line-ups")
    for item in all_items("reasoning"):
        if item.kind == "extreme":
            yield _extreme(item)
        elif item.kind == "line-up":
            yield _line_up(item, rng)
        else:
            words = ("yes", "no", "unknown") if item.kind == "fork" else ("yes", "no")
            yield Problem(item.kind, item.template, item.question, item.answer, closed(words), words, choices=len(words),
                          stratum=item.answer)


def mentioned(item: Item) -> list[str]:
    """The people of a puzzle in the order in which it first names them."""
    people = set(item.entities)
    return list(dict.fromkeys(word for word in re.findall(r"\w+", item.question) if word in people))


def _extreme(item: Item) -> Problem:
    people = mentioned(item)
    place = people.index(item.answer)  # who is named first would otherwise be right more often than who is named last
    return Problem(item.kind, item.template, item.question, item.answer, NAME, tuple(people), choices=len(people),
                   stratum=f"{item.template} {place}")


def _line_up(item: Item, rng: Random) -> Problem:
    """The order in which people are named is always an alternative, and right no more often than another."""
    right, told = tuple(item.answer.split(", ")), tuple(mentioned(item))
    stratum = "as told" if right == told else str(rng.randrange(CHOICES - 1))
    slips = [line for line in permutations(right) if _moves(line, right) <= 2]
    return Problem(item.kind, item.template, item.question, item.answer, LINE, tuple(map(", ".join, slips)),
                   (", ".join(told),), stratum=stratum)


def _moves(line: tuple[str, ...], right: tuple[str, ...]) -> int:
    """Exchanges of neighbours that lead from one line-up to the other."""
    return sum(line.index(first) > line.index(second) for first, second in combinations(right, 2))
