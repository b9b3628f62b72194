"""Reckoning in everyday English: arithmetic, percentages, linear equations and word problems, all with whole answers.

A cluster is a wording: its items differ in numbers alone.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from random import Random

from lab.data.suites.balance import apart
from lab.data.suites.english_stories import STORIES
from lab.data.suites.problem import NUMBER, Problem
from lab.data.suites.slips import near

EACH = 120  # problems of a wording
NUMBER_ONLY = "Answer with the number only."


@dataclass(frozen=True)
class Sum:
    """What is reckoned, in several wordings.

    Attributes:
        kind: What is asked.
        wordings: With places for the numbers, which are called a, b and c.
        numbers: What each may be.
        answer: Of the numbers; a problem whose answer is not whole is not asked.
        slips: Results of plausible mistakes, of the numbers; fractions are cut.
    """

    kind: str
    wordings: tuple[str, ...]
    numbers: tuple[Sequence[int], ...]
    answer: Callable[..., float]
    slips: Callable[..., tuple[float, ...]]


_PERCENT = (5, 10, 15, 20, 25, 30, 35, 40, 45, 60, 70, 75, 80)
_PRICES = range(20, 1000, 20)
SUMS = (
    Sum("addition", ("What is {a} + {b}?", "Calculate the sum of {a} and {b}.", "Add {b} to {a}. What is the result?"),
        (range(101, 900), range(101, 900)), lambda a, b: a + b, lambda a, b: (a + b - 100, a + b + 100, abs(a - b))),
    Sum("subtraction", ("What is {a} - {b}?", "Subtract {b} from {a}. What is left?", "How much more is {a} than {b}?"),
        (range(500, 1000), range(101, 490)), lambda a, b: a - b, lambda a, b: (a - b - 100, a - b + 100, a + b)),
    Sum("multiplication", ("What is {a} * {b}?", "Multiply {a} by {b}. What is it?", "What is the product of {a} and {b}?"),
        (range(12, 90), range(3, 20)), lambda a, b: a * b, lambda a, b: (a * b + a, a * b - a, a * b + b, a * b - b, a + b)),
    Sum("division", ("What is {a} / {b}?", "Divide {a} by {b}. What is the result?", "How many times does {b} go into {a}?"),
        (range(60, 900), range(3, 16)), lambda a, b: a / b, lambda a, b: (a / b + b, a - b, a / b * 2, a / b / 2)),
    Sum("percentage", ("What is {a}% of {b}?", "Of {b} people, {a}% are women. How many women are there?"),
        (_PERCENT, _PRICES), lambda a, b: a * b / 100,
        lambda a, b: (b - a * b / 100, b / a, a * b / 10, a * b / 1000, b - a)),
    Sum("percentage", ("A coat cost ${b} and is now {a}% cheaper. What does it cost now, in dollars?",
                       "A town had {b} houses. A flood destroyed {a}% of them. How many are left?"),
        (_PERCENT, _PRICES), lambda a, b: b - a * b / 100, lambda a, b: (a * b / 100, b - a, b + a * b / 100, b - b / a)),
    Sum("percentage", ("A rent of ${b} rises by {a}%. What is the new rent, in dollars?",
                       "A school had {b} pupils and now has {a}% more. How many pupils has it now?"),
        (_PERCENT, _PRICES), lambda a, b: b + a * b / 100, lambda a, b: (a * b / 100, b + a, b - a * b / 100, b + b / a)),
    Sum("equation", ("Solve for x: {a}x + {b} = {c}", "If {a} times a number plus {b} is {c}, what is the number?"),
        (range(2, 13), range(2, 60), range(30, 300)), lambda a, b, c: (c - b) / a,
        lambda a, b, c: ((c + b) / a, c / a - b, c - b, c - b - a, c / a)),
    Sum("equation", ("Solve for x: {a}x - {b} = {c}", "If {a} times a number minus {b} is {c}, what is the number?"),
        (range(2, 13), range(2, 60), range(20, 250)), lambda a, b, c: (c + b) / a,
        lambda a, b, c: ((c - b) / a, c / a + b, c + b, c + b - a, c / a)),
    Sum("equation", ("Solve for x: {a}(x + {b}) = {c}",
                     "If the sum of a number and {b}, times {a}, is {c}, what is the number?"),
        (range(2, 13), range(2, 40), range(60, 600)), lambda a, b, c: c / a - b,
        lambda a, b, c: ((c - b) / a, c / a, c / a + b, c - a * b)),
)  # fmt: skip


def problems() -> Iterator[Problem]:
    """The same problems each time, `EACH` of a wording."""
    for part, each in enumerate((*SUMS, *(Sum("word problem", *story) for story in STORIES))):
        for wording, text in enumerate(each.wordings):
            template = f"{each.kind}/{part}.{wording}"
            yield from _of_one(each, text, template)


def _of_one(each: Sum, text: str, template: str) -> Iterator[Problem]:
    rng, found = Random(f"english math {template}"), 0
    while found < EACH:
        numbers = [rng.choice(values) for values in each.numbers]
        answer = each.answer(*numbers)
        if answer != int(answer) or answer < 2:
            continue
        slips = [slip for slip in near(int(answer), *map(int, each.slips(*numbers))) if apart(slip, [str(int(answer))])]
        found += 1
        question = text.format(**dict(zip("abc", numbers, strict=False)))
        yield Problem(each.kind, template, f"{question}\n{NUMBER_ONLY}", str(int(answer)), NUMBER, tuple(slips))
