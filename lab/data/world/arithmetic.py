"""Sums, differences, products and comparisons of small numbers; withheld operand pairs occur nowhere."""

from collections import Counter
from collections.abc import Callable, Sequence
from functools import cache, partial
from random import Random

from lab.data.world.holdout import pair_withheld
from lab.data.world.item import Draft, Template

Pair = tuple[int, int]


@cache
def _any_pairs() -> list[Pair]:
    return [(a, b) for a in range(100) for b in range(100)]


@cache
def _descending_pairs() -> list[Pair]:
    return [(a, b) for a, b in _any_pairs() if a >= b]


@cache
def _small_factor_pairs() -> list[Pair]:
    return [(a, b) for a, b in _any_pairs() if min(a, b) < 10]


@cache
def _different_pairs() -> list[Pair]:
    return [(a, b) for a, b in _any_pairs() if a != b]


OPERATIONS: dict[str, tuple[float, Callable[[], list[Pair]], Callable[[int, int], int]]] = {
    "addition": (0.3, _any_pairs, lambda a, b: a + b),
    "subtraction": (0.3, _descending_pairs, lambda a, b: a - b),
    "multiplication": (0.15, _small_factor_pairs, lambda a, b: a * b),
    "comparison": (0.25, _different_pairs, max),
}

PHRASINGS: dict[str, tuple[tuple[str, str], ...]] = {
    "addition": (
        ("What is {a}+{b}?", "{a}+{b}={c}"),
        ("Add {a} and {b}.", "{a} plus {b} is {c}."),
        ("{a}+{b}=?", "The sum of {a} and {b} is {c}."),
    ),
    "subtraction": (
        ("What is {a}-{b}?", "{a}-{b}={c}"),
        ("Take {b} from {a}.", "{a} minus {b} is {c}."),
        ("{a}-{b}=?", "If {b} is taken from {a}, {c} remains."),
    ),
    "multiplication": (
        ("What is {a}*{b}?", "{a}*{b}={c}"),
        ("Multiply {a} by {b}.", "{a} times {b} is {c}."),
        ("{a}*{b}=?", "The product of {a} and {b} is {c}."),
    ),
    "comparison": (
        ("Which is larger, {a} or {b}?", "Of {a} and {b} the larger is {c}."),
        ("What is the maximum of {a} and {b}?", "The maximum of {a} and {b} is {c}."),
        ("Larger: {a} or {b}?", "The larger of {a} and {b} is {c}."),
    ),
}


def carry_digits(a: int, b: int, columns: int = 2) -> tuple[int, ...]:
    """The carry out of each decimal column of a + b, units first."""
    return tuple(int(a % 10 ** (k + 1) + b % 10 ** (k + 1) >= 10 ** (k + 1)) for k in range(columns))


def borrow_digits(a: int, b: int, columns: int = 2) -> tuple[int, ...]:
    """The borrow out of each decimal column of a - b, units first."""
    return tuple(int(a % 10 ** (k + 1) < b % 10 ** (k + 1)) for k in range(columns))


def _dress(kind: str, phrasing: int, _: Random, case: Pair) -> Draft:
    a, b = case
    question, text = PHRASINGS[kind][phrasing]
    answer = str(OPERATIONS[kind][2](a, b))
    return Draft(question.format(a=a, b=b), text.format(a=a, b=b, c=answer), answer, (str(a), str(b)))


@cache
def _chance(kind: str) -> float:
    _, cases, operation = OPERATIONS[kind]
    if kind == "comparison":
        return 0.5
    pairs: Sequence[Pair] = cases()
    counts = Counter(operation(a, b) for a, b in pairs)
    return max(max(counts.values()) / len(pairs), 1 / len(counts))


def templates() -> tuple[Template, ...]:
    """One template for each phrasing of each operation."""
    return tuple(
        Template(
            "arithmetic", kind, f"{kind}/{phrasing}", weight / len(PHRASINGS[kind]), _chance(kind), cases,
            lambda case: pair_withheld(*case), partial(_dress, kind, phrasing),
        )
        for kind, (weight, cases, _) in OPERATIONS.items()
        for phrasing in range(len(PHRASINGS[kind]))
    )  # fmt: skip
