"""What a small Python program prints. Answers come from running it, wrong ones mostly from running a misreading of it.

A cluster is a program: its items differ in numbers and words alone. Every program prints one line, and none prints what
another alternative begins with.
"""

from collections.abc import Iterator
from random import Random

from lab.data.suites.english_programs import PROGRAMS, Reading
from lab.data.suites.problem import CHOICES, LIST, NUMBER, NUMBERS, TRUTH, WORD, Problem
from lab.data.suites.slips import near
from lab.data.world.programs import execute

EACH = 120  # problems of a program, as far as they are different
PROMPTS = (
    "What does this Python program print?\n\n{source}\n\nAnswer with the printed output only.",
    "Here is a Python program:\n\n{source}\n\nWrite what it prints, and nothing else.",
)
QUOTED = r"<[^<>\n]*>"
FORMS = {"number": NUMBER, "numbers": NUMBERS, "list": LIST, "truth": TRUTH, "word": WORD, "quoted": QUOTED}


def problems() -> Iterator[Problem]:
    """The same programs each time, each with misreadings enough."""
    for name, (shape, draw) in PROGRAMS.items():
        rng = Random(f"english code {name}")
        readings = {reading.source: reading for reading in (draw(rng) for _ in range(EACH))}
        for number, reading in enumerate(readings.values()):
            yield from _problem(name, shape, reading, PROMPTS[number % len(PROMPTS)])


def _problem(name: str, shape: str, reading: Reading, prompt: str) -> Iterator[Problem]:
    answer = execute(reading.source)
    closed = bool(reading.outputs)
    slips = reading.outputs or (*map(execute, reading.misread), *(near(int(answer)) if shape == "number" else ()))
    choices = len(set(slips) | {answer}) if closed else CHOICES
    if len(set(slips) - {answer}) >= choices - 1 and (not closed or answer in slips):
        yield Problem(name, name, prompt.format(source=reading.source), answer, FORMS[shape], tuple(slips), choices=choices,
                      stratum=str(reading.outputs.index(answer)) if closed else "")
