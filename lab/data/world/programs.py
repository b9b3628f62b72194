"""Small Python programs and what they print; every answer comes from running the program.

A program is withheld if it meets a withheld operand pair on its way, or if its own case is.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import permutations, product
from random import Random
from typing import Any

from lab.data.world.holdout import pair_withheld, withheld
from lab.data.world.item import Draft, Template
from lab.data.world.words import ANIMALS, COLOURS, VARIABLES

PROMPTS = ("Run:\n", "What does this print?\n")

Case = tuple[Any, ...]


@dataclass(frozen=True, eq=False)
class Program:
    """The source of a program with open places.

    Places: {a} {b} {c} come from the case; {v} and {w} are two different variable names; {s} {t} {u} three
    different colours. `operands` lists every pair that an operator, comparison,
    max or sorted meets while the program runs.
    """

    name: str
    source: str
    cases: Callable[[], list[Case]]
    operands: Callable[..., list[tuple[int, int]]]
    chance: float
    free_words: int = 0
    names: tuple[str, ...] = ("a", "b", "c")


def execute(source: str) -> str:
    """What a program prints, without the last line break."""
    printed: list[str] = []

    def keep(*values: object) -> None:
        printed.append(" ".join(map(str, values)))

    exec(compile(source, "<micro-world>", "exec"), {"print": keep})
    return "\n".join(printed)


def _numbers(*ranges: range) -> Callable[[], list[Case]]:
    return lru_cache(maxsize=1)(lambda: list(product(*ranges)))


def _descending() -> list[Case]:
    return [(a, b) for a in range(100) for b in range(a + 1)]


def _spans() -> list[Case]:
    return [(a, a + length) for a in range(60) for length in (2, 3, 4)]


def _triples() -> list[Case]:
    return list(permutations(range(20), 3))


@lru_cache(maxsize=1)
def _colour_triples_with_index() -> list[Case]:
    return [(*words, i) for words in permutations(COLOURS[:16], 3) for i in (0, 1, 2, -1)]


@lru_cache(maxsize=1)
def _member_cases() -> list[Case]:
    """Half of the asked words are in the list, half are not."""
    cases: list[Case] = []
    for s, t in permutations(ANIMALS, 2):
        cases += [(s, s, t), (t, s, t)]
        outside = [word for word in ANIMALS if word not in (s, t)]
        cases += [(outside[i % 30], s, t) for i in (len(cases), len(cases) + 7)]
    return cases


@lru_cache(maxsize=1)
def _counted_lists() -> list[Case]:
    """Lists of two to five words, whose last word says nothing about their length."""
    cases: list[Case] = []
    for i, j in permutations(range(len(COLOURS)), 2):
        start = (7 * i + j) % len(ANIMALS)
        words = (COLOURS[i], COLOURS[j], *ANIMALS[start:], *ANIMALS[:start])
        cases += [(", ".join(map(repr, words[:length])),) for length in (2, 3, 4, 5)]
    return cases


def _none(*_: object) -> list[tuple[int, int]]:
    return []


def _both(a: int, b: int) -> list[tuple[int, int]]:
    return [(a, b)]


_TWO_DIGITS = range(100)
_WORDS = ("a", "b", "c", "i")

PROGRAMS = (
    Program("sum", "print({a} + {b})", _numbers(_TWO_DIGITS, _TWO_DIGITS), _both, 0.01),
    Program("assign", "{v} = {a}\n{w} = {v} + {b}\nprint({w})", _numbers(range(50), range(50)), _both, 0.02),
    Program("subtract", "{v} = {a}\n{v} = {v} - {b}\nprint({v})", _descending, _both, 100 / 5050),
    Program("function", "def {w}({v}):\n    return {v} + {a}\nprint({w}({b}))", _numbers(range(50), range(50)),
            lambda a, b: [(b, a)], 0.02),
    Program("branch", "{v} = {a}\nif {v} > {b}:\n    print('{s}')\nelse:\n    print('{t}')",
            _numbers(_TWO_DIGITS, _TWO_DIGITS), _both, 0.5, 2),
    Program("less", "print({a} < {b})", _numbers(_TWO_DIGITS, _TWO_DIGITS), _both, 0.505),
    Program("max", "print(max({a}, {b}))", _numbers(_TWO_DIGITS, _TWO_DIGITS), _both, 0.5),
    Program("sorted", "print(sorted([{a}, {b}, {c}]))", _triples, lambda a, b, c: [(a, b), (a, c), (b, c)], 1 / 6),
    Program("total", "{v} = 0\nfor {w} in [{a}, {b}, {c}]:\n    {v} = {v} + {w}\nprint({v})",
            _numbers(range(1, 10), range(1, 10), range(1, 10)),
            lambda a, b, c: [(0, a), (a, b), (a + b, c)], 75 / 729),
    Program("keep", "{v} = {a}\n{w} = {v}\n{v} = {b}\nprint({w})", _numbers(_TWO_DIGITS, _TWO_DIGITS), _none, 0.5),
    Program("swap", "{v}, {w} = {a}, {b}\n{v}, {w} = {w}, {v}\nprint({v}, {w})",
            _numbers(_TWO_DIGITS, _TWO_DIGITS), _none, 0.5),
    Program("lookup", "{v} = {{'{s}': {a}, '{t}': {b}}}\nprint({v}['{t}'])",
            _numbers(_TWO_DIGITS, _TWO_DIGITS), _none, 0.5, 2),
    Program("index", "{v} = ['{a}', '{b}', '{c}']\nprint({v}[{i}])",
            _colour_triples_with_index, _none, 1 / 3, 0, _WORDS),
    Program("append", "{v} = ['{a}']\n{v}.append('{b}')\nprint({v})",
            lambda: list(permutations(COLOURS, 2)), _none, 1 / 992),
    Program("repeat", "for {w} in range({b}):\n    print('{a}')", lambda: list(product(COLOURS + ANIMALS, (2, 3, 4))),
            _none, 1 / 3),
    Program("span", "print(list(range({a}, {b})))", _spans, _none, 1 / 180),
    Program("length", "print(len([{a}]))", _counted_lists, _none, 1 / 4),
    Program("member", "print('{a}' in ['{b}', '{c}'])", _member_cases, _none, 0.5),
)  # fmt: skip


def _is_held_out(program: Program, case: Case) -> bool:
    return withheld("program", program.name, *case) or any(pair_withheld(*pair) for pair in program.operands(*case))


def _free_choices(rng: Random, program: Program) -> Iterator[tuple[str, tuple[str, ...], int]]:
    """Place names with the words chosen for them and the number of equally likely choices."""
    if "{v}" in program.source and "{w}" in program.source:
        yield "vw", tuple(rng.sample(VARIABLES, 2)), len(VARIABLES) * (len(VARIABLES) - 1)
    elif "{v}" in program.source or "{w}" in program.source:
        word = VARIABLES[int(rng.random() * len(VARIABLES))]
        yield "vw", (word, word), len(VARIABLES)
    count = len(COLOURS)
    ways = 1
    for taken in range(program.free_words):
        ways *= count - taken
    yield "stu", tuple(rng.sample(COLOURS, program.free_words)), ways


def _dress(program: Program, rng: Random, case: Case) -> Draft:
    places: dict[str, Any] = dict(zip(program.names, case, strict=False))
    ways = len(PROMPTS)
    for names, words, count in _free_choices(rng, program):
        places.update(zip(names, words, strict=False))
        ways *= count
    source = program.source.format(**places)
    answer = execute(source)
    text = f"{source}\n# " + answer.replace("\n", "\n# ")
    prompt = PROMPTS[int(rng.random() * len(PROMPTS))]
    return Draft(prompt + source, text, answer, tuple(map(str, case)), 1 / ways)


def templates() -> tuple[Template, ...]:
    """One template for each program."""
    return tuple(
        Template(
            "code", program.name, program.name, 1 / len(PROGRAMS), program.chance, program.cases,
            partial(_is_held_out, program), partial(_dress, program),
        )
        for program in PROGRAMS
    )  # fmt: skip
