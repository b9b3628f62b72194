"""Syllogisms, conditionals and orderings about everyday things, and problems whose first thought is wrong.

A cluster is a wording. Half of the arguments are valid. What a syllogism concludes is neither true nor false of the world,
so that only its form counts. The two cognitive-reflection problems (Frederick 2005) and the doubling one have other numbers
and things than the published ones, and the intuitive answer is always among the alternatives.
"""

from collections.abc import Iterator
from random import Random

from lab.data.suites.balance import apart
from lab.data.suites.english_words import (
    CONDITIONS,
    GROUPS,
    GROWERS,
    MAKERS,
    NAMES,
    PURCHASES,
    UNITS,
)  # fmt: skip
from lab.data.suites.problem import NUMBER, Problem, closed
from lab.data.suites.slips import near
from lab.data.world.orderings import SCALES
from lab.data.world.orderings import premises as chain
from lab.data.world.syllogisms import INVALID, SENTENCES, VALID, premises

EACH = 120  # problems of a wording
YES_OR_NO = "(?i:yes|no)"
NAME = closed(NAMES)

SYLLOGISMS = (
    "{first}. {second}. Does it follow that {conclusion}?",
    "Suppose that {first} and that {second}. Must it be true that {conclusion}?",
    "{first}. {second}. Therefore, {conclusion}. Is this argument valid?",
    "It is known that {first} and that {second}. Can one conclude with certainty that {conclusion}?",
)
CONDITIONALS = (
    "If {condition}, {consequence}. {fact}. Does it follow that {conclusion}?",
    "It is always so that if {condition}, {consequence}. Today {fact}. Can one be certain that {conclusion}?",
    "Whenever {condition}, {consequence}. {fact}. Must it be true that {conclusion}?",
)
ORDERINGS = ("{told} Who is the {place}?", "{told} Of the four, who is the {place}?")
PLACES = ("{2}", "second {2}", "third {2}", "{3}")
PRICES = (
    "A {thing} and a {other} cost {total} cents in total. The {thing} costs {more} cents more than the {other}. How many "
    "cents does the {other} cost?",
    "Together, a {thing} and a {other} cost {total} dollars. The {thing} is {more} dollars dearer than the {other}. What is "
    "the price of the {other} in dollars?",
)
PACES = (
    "{first} {makers} take {first} minutes to make {first} {things}. How many minutes do {second} {makers} take to make "
    "{second} {things}?",
    "If {first} {makers} make {first} {things} in {first} hours, in how many hours do {second} {makers} make {second} "
    "{things}?",
)
GROWTHS = (
    "Every {unit}, {grower} doubles in size. After {whole} {units} it covers {place} completely. After how many {units} did "
    "it cover half of it?",
    "On {place}, {grower} grows so that it is twice as large each {unit}. It takes {whole} {units} to cover everything. How "
    "many {units} does it take to cover half?",
)


def problems() -> Iterator[Problem]:
    """The same problems each time."""
    for wording, text in enumerate(SYLLOGISMS):
        yield from _syllogisms(f"syllogism/{wording}", text)
    for wording, text in enumerate(CONDITIONALS):
        yield from _conditionals(f"conditional/{wording}", text)
    for wording, text in enumerate(ORDERINGS):
        for scale in SCALES:
            yield from _orderings(f"ordering/{wording}.{scale[2]}", text, scale)
    for wording, (prices, paces, growths) in enumerate(zip(PRICES, PACES, GROWTHS, strict=True)):
        yield from _prices(f"price/{wording}", prices)
        yield from _paces(f"pace/{wording}", paces)
        yield from _growths(f"growth/{wording}", growths)


def _upper(sentence: str) -> str:
    return sentence[0].upper() + sentence[1:]


def _argument(kind: str, template: str, question: str, valid: bool) -> Problem:
    return Problem(kind, template, f"{question}\nAnswer Yes or No.", "Yes" if valid else "No", YES_OR_NO, ("Yes", "No"),
                   choices=2, stratum=str(valid))


def _syllogisms(template: str, text: str) -> Iterator[Problem]:
    rng = Random(f"english {template}")
    for number in range(EACH):
        valid = number % 2 == 0
        mood, figure = rng.choice(sorted(VALID) if valid else INVALID)
        subject, middle, predicate = rng.sample(GROUPS, 3)
        terms = (*premises(figure, subject, middle, predicate), (subject, predicate))
        first, second, conclusion = (SENTENCES[letter].format(*pair) for letter, pair in zip(mood, terms, strict=True))
        said = {"first": first, "second": second, "conclusion": conclusion}
        question = text.format(**{name: _upper(said[name]) if _begins(text, name) else said[name] for name in said})
        yield _argument("syllogism", template, question, valid)


def _begins(text: str, name: str) -> bool:
    """Whether a place stands where a sentence begins."""
    before = text[: text.index(f"{{{name}}}")]
    return not before or before.endswith(". ")


def _conditionals(template: str, text: str) -> Iterator[Problem]:
    for p, q, not_p, not_q in CONDITIONS:
        for fact, conclusion, valid in ((p, q, True), (not_q, not_p, True), (q, p, False), (not_p, not_q, False)):
            said = _upper(fact) if _begins(text, "fact") else fact
            question = text.format(condition=p, consequence=q, fact=said, conclusion=conclusion)
            yield _argument("conditional", template, question, valid)


def _orderings(template: str, text: str, scale: tuple[str, ...]) -> Iterator[Problem]:
    """Four people; who is named first, second, third or last is asked for equally often."""
    rng = Random(f"english {template}")
    for _ in range(EACH):
        order = tuple(rng.sample(NAMES, 4))
        told, _ = chain(rng, order, scale)
        place = rng.randrange(len(PLACES))
        question = text.format(told=told, place=PLACES[place].format(*scale))
        named = sorted(order, key=question.index)
        yield Problem("ordering", template, f"{question}\nAnswer with the name only.", order[place], NAME, tuple(named),
                      stratum=str(named.index(order[place])))


def _reflection(template: str, question: str, answer: int, intuitive: int, *others: int) -> Iterator[Problem]:
    """The problem, unless the answer begins with the intuitive one or the other way round."""
    if apart(str(answer), [str(intuitive)]):
        yield Problem(template.split("/")[0], template, f"{question}\nAnswer with the number only.", str(answer), NUMBER,
                      (*near(answer, *others), *near(intuitive)), (str(intuitive),))


def _prices(template: str, text: str) -> Iterator[Problem]:
    rng = Random(f"english {template}")
    for _ in range(EACH):
        thing, other = rng.choice(PURCHASES)
        price, more = rng.randint(3, 95), rng.choice(range(100, 400, 10))
        question = text.format(thing=thing, other=other, total=2 * price + more, more=more)
        yield from _reflection(template, question, price, 2 * price, price + more, price // 2, more, 2 * price + more)


def _paces(template: str, text: str) -> Iterator[Problem]:
    rng = Random(f"english {template}")
    for _ in range(EACH):
        makers, things = rng.choice(MAKERS)
        first, second = rng.sample((rng.randint(3, 30), rng.choice(range(40, 300, 5))), 2)
        question = text.format(makers=makers, things=things, first=first, second=second)
        yield from _reflection(template, question, first, second, 1, first * second, abs(first - second), first + second)


def _growths(template: str, text: str) -> Iterator[Problem]:
    rng = Random(f"english {template}")
    for _ in range(EACH):
        (grower, place), units = rng.choice(GROWERS), rng.choice(UNITS)
        whole = rng.choice(range(12, 200, 2))
        question = text.format(grower=grower, place=place, unit=units[:-1], units=units, whole=whole)
        yield from _reflection(template, question, whole - 1, whole // 2, whole, whole - 2, whole // 4, whole * 2)
