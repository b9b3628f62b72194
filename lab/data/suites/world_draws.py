"""Items of the micro-world's withheld split, as many as suites are made of."""

from functools import cache
from random import Random

from lab.data.world.draws import templates
from lab.data.world.item import Item

MOST = 400  # of one template, where its cases or its free words make more


@cache
def all_items(category: str) -> tuple[Item, ...]:
    """Different withheld questions of each template of a category, in an order that says nothing; always the same ones."""
    items: list[Item] = []
    for template in templates(category):
        rng = Random(f"suites {category} {template.name}")
        found: dict[str, Item] = {}
        for _ in range(3 * MOST):
            item = template.draw(rng, "held_out")
            found.setdefault(item.question, item)
            if len(found) == MOST:
                break
        items += found.values()
    return tuple(items)
