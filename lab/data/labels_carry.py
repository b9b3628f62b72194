"""Is the carry of a sum readable before the sum is said?"""

from random import Random
from typing import Any

from lab.data.labelled import Labelled
from lab.data.labels_places import Placed, Writer
from lab.data.labels_rows import Row, gathered
from lab.data.prompts import Prompt
from lab.data.world.arithmetic import PHRASINGS, carry_digits

PLACES = ("last", "equals")
CLASSES = ("no carry", "carry")
TENS = range(1, 10)


def carry(tokenizer: Any, *, count: int, seed: int, place: str) -> Labelled:
    """Returns sums of two-digit numbers, labelled with the carry out of their units.

    Every pair of units occurs equally often, each time with other tens: 45 of the 100 pairs carry. Whether a pair of
    units carries is a fact of that pair, so the pair is the type: a probe that knows the 100 pairs by heart is not
    one that reads a carry.

    Args:
        tokenizer: The model's, a fast one.
        count: Rows, rounded down to a multiple of 100 and at least 200.
        seed: Of tens and phrasings.
        place: `last`: the last token before a question's answer. `equals`: the equals sign of `12+34=`, told as text or
            asked as a question; the sum is next, or never said.
    """
    rng, writer = Random(f"carry {seed}"), Writer(tokenizer)
    rows, prompts = list[Row](), list[Prompt]()
    pairs = [(first, second) for first in TENS for second in TENS]
    each = min(len(pairs), max(2, count // 100))
    for units in range(100):
        for tens in rng.sample(pairs, each):
            a, b = 10 * tens[0] + units // 10, 10 * tens[1] + units % 10
            placed, position, template = (_asked if place == "last" else _at_equals)(writer, rng, a, b)
            label = CLASSES[carry_digits(a, b)[0]]
            rows.append(Row(len(prompts), position, label, units, units, tens, template))
            prompts.append(placed.prompt)
    where = "the last token before the answer" if place == "last" else "the equals sign"
    return gathered(
        rows, prompts, CLASSES, name=f"carry@{place}",
        question=f"Do the units of a sum carry, read at {where}?",
        type_is="the pair of unit digits, which decides the carry", context_is="the pair of tens digits")


def _asked(writer: Writer, rng: Random, a: int, b: int) -> tuple[Placed, int, int]:
    phrasing = int(rng.random() * len(PHRASINGS["addition"]))
    question = PHRASINGS["addition"][phrasing][0].format(a=a, b=b)
    placed = writer.ask(question, "arithmetic", question)
    return placed, placed.last, phrasing


def _at_equals(writer: Writer, rng: Random, a: int, b: int) -> tuple[Placed, int, int]:
    told = rng.random() < 0.5
    text = f"{a}+{b}=" if told else f"{a}+{b}=?"
    placed = (writer.tell if told else writer.ask)(text, "arithmetic", text)
    at = text.index("=")
    return placed, placed.token_of(at, at + 1), int(told)
