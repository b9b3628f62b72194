"""Is the relation of two people readable that premises told?"""

from itertools import permutations
from random import Random
from typing import Any

from lab.data.labelled import Labelled
from lab.data.labels_places import Writer
from lab.data.labels_rows import Row, gathered
from lab.data.prompts import Prompt
from lab.data.world.orderings import SCALES, comparison, premises, relation
from lab.data.world.words import FIRST_NAMES

PLACES = ("last", "mark")
CLASSES = ("below", "above")
PEOPLE = (2, 3)


def order(tokenizer: Any, *, count: int, seed: int, place: str = "last") -> Labelled:
    """Returns comparisons with a question about them, labelled with whether the first person asked about is above.

    Each pair is asked about once on every scale, above on half of them, so that a pair decides nothing. The two are
    compared directly or through a third person.

    Args:
        tokenizer: The model's, a fast one.
        count: Rows, rounded down to a multiple of the scales.
        seed: Of pairs, orders and premises.
        place: `last`, the only one: the last token before the answer, which is yes or no.
    """
    rng, writer = Random(f"order {seed}"), Writer(tokenizer)
    rows, prompts = list[Row](), list[Prompt]()
    pairs = list(permutations(FIRST_NAMES, 2))
    for first, second in rng.sample(pairs, min(len(pairs), max(2, count // len(SCALES)))):
        above = [scale % 2 == 0 for scale in range(len(SCALES))]
        rng.shuffle(above)
        for scale, is_above in zip(SCALES, above, strict=True):
            told, people = _told(rng, (first, second) if is_above else (second, first), scale)
            label = CLASSES[relation(told[1], first, second) > 0]
            question = f"{told[0]} {comparison(first, second, scale)}"
            placed = writer.ask(f"{first} and {second}, {scale[0]}", "reasoning", question)
            at = placed.last if place == "last" else placed.token_of(len(question) - 1, len(question))
            rows.append(Row(len(prompts), at, label, (first, second), (first, second), scale, (scale, people)))
            prompts.append(placed.prompt)
    return gathered(
        rows, prompts, CLASSES, name=f"order@{place}",
        question="Is the first person asked about above the second in an order that premises told, read at the last "
                 "token before the answer?",
        type_is="the pair of people asked about, in that order", context_is="the scale they are compared on")


def _told(rng: Random, ends: tuple[str, str], scale: tuple[str, ...]) -> tuple[tuple[str, tuple[str, ...]], int]:
    """Premises that put the first of the ends above the second, with the order they tell; and how many people."""
    people = PEOPLE[int(rng.random() * len(PEOPLE))]
    between = rng.sample([name for name in FIRST_NAMES if name not in ends], people - 2)
    ranked = (ends[0], *between, ends[1])
    return (premises(rng, ranked, scale)[0], ranked), people
