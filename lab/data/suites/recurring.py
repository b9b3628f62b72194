"""Values that recur, such as cities: each is among the wrong alternatives in proportion to how often it is right."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from itertools import product
from random import Random

from lab.data.suites.problem import Problem

SWAPS = 10  # times as many as there are values


def handed_round(problems: Sequence[Problem], values: dict[str, Sequence[str]], rng: Random) -> dict[int, list[str]]:
    """The wrong alternatives of the problems that have parts, by their places.

    One part: its value against other problems' values. Two parts: every combination of its two values with those of
    two other problems, so that no alternative has more in common with the others than another.

    Args:
        problems: Of one suite.
        values: All values of each group, for suites too small to be handed round.
        rng: Decides who gets whose.
    """
    groups: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for place, problem in enumerate(problems):
        for part, (group, _) in enumerate(problem.parts):
            groups[group].append((place, part))
    others: dict[tuple[int, int], list[str]] = {}
    for group, owners in groups.items():
        right = [problems[place].parts[part][1] for place, part in owners]
        each = problems[owners[0][0]].choices - 1 if len(problems[owners[0][0]].parts) == 1 else 1
        others |= dict(zip(owners, exchanged(right, each, values[group], rng), strict=True))
    return {
        place: _alternatives(problem, [others[place, part] for part in range(len(problem.parts))])
        for place, problem in enumerate(problems) if problem.parts
    }  # fmt: skip


def _alternatives(problem: Problem, others: Sequence[list[str]]) -> list[str]:
    options = [[value, *wrong] for (_, value), wrong in zip(problem.parts, others, strict=True)]
    return [text for words in product(*options) if (text := " ".join(words)) != problem.answer]


def exchanged(right: Sequence[str], each: int, values: Sequence[str], rng: Random) -> list[list[str]]:
    """For each right value `each` different wrong ones; every value is wrong `each` times as often as it is right.

    Sorted by value, the right ones are shifted past the longest run of one value, once for each wrong one; then wrong
    ones change places at random. Where a value is right so often that there is no such shift, as in very small suites,
    wrong ones are drawn from all values.
    """
    longest = max(Counter(right).values())
    if len(right) < (each + 1) * longest:
        return [rng.sample([value for value in values if value != own], each) for own in right]
    turn = {value: place for place, value in enumerate(rng.sample(sorted(set(right)), len(set(right))))}
    order = sorted(range(len(right)), key=lambda place: turn[right[place]])
    wrong: list[list[str]] = [[] for _ in right]
    for rank, place in enumerate(order):
        wrong[place] = [right[order[(rank + longest * (k + 1)) % len(order)]] for k in range(each)]
    for _ in range(SWAPS * len(right)):
        _swap(right, wrong, rng.randrange(len(right)), rng.randrange(len(right)), rng.randrange(each))
    return wrong


def _swap(right: Sequence[str], wrong: list[list[str]], first: int, second: int, k: int) -> None:
    mine, theirs = wrong[first][k], wrong[second][k]
    if mine not in (right[second], *wrong[second]) and theirs not in (right[first], *wrong[first]):
        wrong[first][k], wrong[second][k] = theirs, mine
