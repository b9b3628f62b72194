"""Wrong alternatives among which no rule finds the right one without reading the question.

Each rule is a way of guessing, such as the largest number. What it would have scored so far beyond chance is kept for the
suite and for each kind, and each question takes, of several draws from its slips, the alternatives that bring these sums
nearest to zero.

No alternative begins with another: its likelihood could not exceed the other's, whatever the question ("42" after "4").
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from itertools import pairwise
from random import Random

from lab.data.suites.problem import Problem

DRAWS = 12

Scores = Sequence[float]


def number(text: str) -> float | None:
    """The number that a text is, if it is one."""
    try:
        return float(text)
    except ValueError:
        return None


def rules(question: str, choices: Sequence[str], often: Counter[str]) -> dict[str, Scores]:
    """For each way of guessing, a score of each alternative, of which the highest is guessed.

    Args:
        question: The prompt.
        choices: The alternatives, the right one first.
        often: How often each text is right in all questions of this kind.
    """
    lengths = [len(choice) for choice in choices]
    found: dict[str, Scores] = {
        "longest": lengths,
        "shortest": [-length for length in lengths],
        "seen": [_stands_in(choice, question) for choice in choices],
        "alike": [sum(_alike(choice, other) for other in choices) for choice in choices],
        "akin": [sum(_akin(choice, other) for other in choices) for choice in choices],
        "usual": [often[choice] - (place == 0) for place, choice in enumerate(choices)],  # the question itself left out
    }
    values = [value for choice in choices if (value := number(choice)) is not None]
    if len(values) == len(choices):
        total, order = sum(values), sorted(values)
        found["central"] = [-abs(value - (total - value) / (len(values) - 1)) for value in values]
        found |= {f"rank {rank}": [value == step for value in values] for rank, step in enumerate(order)}
    return found


def credit(scores: Scores) -> float:
    """How likely a guess of the highest score, ties broken by lot, is the first alternative."""
    best = max(scores)
    return (scores[0] == best) / sum(score == best for score in scores)


def _alike(first: str, second: str) -> int:
    """Places from either end at which two texts agree."""
    ends = zip(reversed(first), reversed(second), strict=False)
    return sum(a == b for a, b in zip(first, second, strict=False)) + sum(a == b for a, b in ends)


def _akin(first: str, second: str) -> float:
    """The share of pairs of neighbouring signs that two texts have in common, wherever they stand."""
    one, other = _pairs(first), _pairs(second)
    return 2 * len(one & other) / (len(one) + len(other))


@lru_cache(maxsize=10_000)
def _pairs(text: str) -> frozenset[str]:
    return frozenset(map("".join, pairwise(f" {text} ")))


def _stands_in(choice: str, question: str) -> bool:
    """Whether the alternative stands in the question, not as a part of a longer word or number."""
    start = question.find(choice)
    while start >= 0:
        before, after = question[start - 1 : start], question[start + len(choice) : start + len(choice) + 1]
        if not before.isalnum() and not after.isalnum():
            return True
        start = question.find(choice, start + 1)
    return False


def wrong_ones(problems: Sequence[Problem], rng: Random, ready: Callable[[int], Sequence[str] | None]
               ) -> list[tuple[str, ...]]:
    """The wrong alternatives of each problem, in order.

    Args:
        problems: Of one suite.
        rng: Draws slips.
        ready: The wrong alternatives of a problem, by its place, where they are known already.
    """
    often: dict[str, Counter[str]] = defaultdict(Counter)
    for problem in problems:
        often[problem.kind][problem.answer] += 1
    beyond: dict[tuple[str, str], float] = defaultdict(float)
    found: list[tuple[str, ...]] = [()] * len(problems)

    def after(place: int, wrong: Sequence[str]) -> dict[tuple[str, str], float]:
        problem = problems[place]
        choices = (problem.answer, *wrong)
        guesses = rules(problem.question, choices, often[problem.kind])
        if len(draws[place]) == 1:  # of yes and no, balanced, whichever is right is right less often elsewhere
            del guesses["usual"]
        gains = {name: credit(scores) - 1 / len(choices) for name, scores in guesses.items()}
        return {(kind, name): gain for name, gain in gains.items() for kind in ("", problem.kind)}

    draws = {place: _draws(problem, rng, ready(place)) for place, problem in enumerate(problems)}
    order = rng.sample(range(len(problems)), len(problems))
    for place in sorted(order, key=lambda place: len(draws[place]) > 1):  # who has no choice goes first
        gains = [after(place, wrong) for wrong in draws[place]]
        cost = [sum((beyond[key] + gain) ** 2 for key, gain in each.items()) for each in gains]
        best = cost.index(min(cost))
        found[place] = draws[place][best]
        for key, gain in gains[best].items():
            beyond[key] += gain
    return found


def _draws(problem: Problem, rng: Random, ready: Sequence[str] | None) -> list[tuple[str, ...]]:
    if ready is not None:
        return [tuple(ready)]
    fixed = [slip for slip in dict.fromkeys(problem.always) if slip != problem.answer]
    free = [slip for slip in dict.fromkeys(problem.slips) if apart(slip, (problem.answer, *fixed))]
    wanted = problem.choices - 1 - len(fixed)
    if len(free) <= wanted:
        return [tuple(fixed + free)]
    draws = dict.fromkeys(_draw(rng.sample(free, len(free)), fixed, wanted) for _ in range(DRAWS))
    most = max(map(len, draws))  # fewer than wanted where those drawn first leave no other apart from them
    return [draw for draw in draws if len(draw) == most]


def _draw(free: Sequence[str], fixed: Sequence[str], wanted: int) -> tuple[str, ...]:
    """The fixed slips and the first free ones that do not begin with one another."""
    drawn: list[str] = []
    for slip in free:
        if len(drawn) < wanted and apart(slip, drawn):
            drawn.append(slip)
    return (*fixed, *drawn)


def apart(text: str, others: Iterable[str]) -> bool:
    """Whether neither the text begins with one of the others nor one of them with it."""
    return not any(text.startswith(other) or other.startswith(text) for other in others)
