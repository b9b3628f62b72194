"""What is true of the world's people, asked in phrasings that pretraining withheld for that fact.

A cluster is a person: several facts of one, and one fact in several phrasings, stand and fall together with what the
model makes of the name. The phrasing, which others share, is the item's template.
"""

from collections.abc import Iterator

from lab.data.suites.problem import Problem, closed
from lab.data.suites.world_draws import all_items
from lab.data.world.knowledge import VALUES
from lab.data.world.words import ANIMALS, COLOURS

EMBLEM = f"({closed(COLOURS)}) ({closed(ANIMALS)})"
GROUPS = VALUES | {"emblem colour": COLOURS, "emblem animal": ANIMALS}


def problems() -> Iterator[Problem]:
    """Withheld facts in withheld phrasings; wrong are other people's values, of emblems the colour or the animal or both."""
    for item in all_items("knowledge"):
        parts: tuple[tuple[str, str], ...] = ((item.kind, item.answer),)
        form = closed(VALUES[item.kind])
        if item.kind == "emblem":
            colour, animal = item.answer.split()
            parts, form = (("emblem colour", colour), ("emblem animal", animal)), EMBLEM
        person = item.entities[0]
        yield Problem(item.kind, item.template, item.question, item.answer, form, parts=parts, cluster=person)
