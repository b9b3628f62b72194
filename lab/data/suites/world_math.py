"""Sums, differences and products of operand pairs that pretraining withheld.

Left out is what can be answered without reckoning: "which is larger", whose answer is always the largest alternative, and
products with 0 or 1. A cluster is one wording of one operation: a model that lost the wording loses all its items.
"""

from collections.abc import Iterator
from random import Random

from lab.data.suites.problem import NUMBER, Problem
from lab.data.suites.slips import near
from lab.data.suites.world_draws import all_items


def problems() -> Iterator[Problem]:
    """Every withheld sum, difference and product once, in one of its wordings."""
    items = list(all_items("arithmetic"))
    Random("wordings").shuffle(items)
    for item in {(item.kind, frozenset(item.entities)): item for item in items}.values():
        a, b = map(int, item.entities)
        if item.kind != "comparison" and (item.kind != "multiplication" or min(a, b) > 1):
            yield Problem(item.kind, item.template, item.question, item.answer, NUMBER, _slips(item.kind, a, b))


def _slips(kind: str, a: int, b: int) -> tuple[str, ...]:
    if kind == "addition":
        return near(a + b, a - b, a, b)
    if kind == "subtraction":
        return near(a - b, a + b, a, b)
    product = a * b
    return near(product, product + a, product - a, product + b, product - b, a + b)
