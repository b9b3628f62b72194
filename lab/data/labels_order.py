"""Is the relation of two people readable that premises told?"""

from itertools import combinations
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


def order(tokenizer: Any, *, count: int, seed: int, place: str) -> Labelled:
    """Returns comparisons with a question about them, labelled with whether the first person asked about is above.

    Each pair is asked about once on every scale, above on half of them, so that a pair decides nothing. The two are
    compared directly or through a third person.

    Args:
        tokenizer: The model's, a fast one.
        count: Rows, rounded down to a multiple of the scales.
        seed: Of pairs, orders and premises.
        place: `last`: the last token before the answer, which is yes or no. `mark`: the question mark.
    """
    where = {"last": "the last token before the answer", "mark": "the question mark"}[place]
    rng, writer = Random(f"order {seed}"), Writer(tokenizer)
    rows, prompts = list[Row](), list[Prompt]()
    pairs = list(combinations(FIRST_NAMES, 2))
    for pair in rng.sample(pairs, min(len(pairs), max(2, count // len(SCALES)))):
        first, second = rng.sample(pair, 2)
        above = [scale % 2 == 0 for scale in range(len(SCALES))]
        rng.shuffle(above)
        for scale, is_above in zip(SCALES, above, strict=True):
            ranked = _ranked(rng, (first, second) if is_above else (second, first))
            label = CLASSES[relation(ranked, first, second) > 0]
            question = f"{premises(rng, ranked, scale)[0]} {comparison(first, second, scale)}"
            placed = writer.ask(f"{first} and {second}, {scale[0]}", "reasoning", question)
            at = placed.last if place == "last" else placed.token_of(len(question) - 1, len(question))
            rows.append(Row(len(prompts), at, label, pair, pair, scale, (scale, len(ranked))))
            prompts.append(placed.prompt)
    return gathered(
        rows, prompts, CLASSES, name=f"order@{place}",
        question=f"Is the first person asked about above the second in an order that premises told, read at {where}?",
        type_is="the pair of people asked about", context_is="the scale they are compared on")


def _ranked(rng: Random, ends: tuple[str, str]) -> tuple[str, ...]:
    """The two people from the top, perhaps with one between them."""
    people = PEOPLE[int(rng.random() * len(PEOPLE))]
    between = rng.sample([name for name in FIRST_NAMES if name not in ends], people - 2)
    return ends[0], *between, ends[1]
