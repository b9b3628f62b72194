"""Items of the micro-world, drawn by category."""

from bisect import bisect
from functools import cache
from itertools import accumulate
from random import Random

from lab.data.world import arithmetic, copying, knowledge, orderings, programs, stories, syllogisms
from lab.data.world.item import CATEGORIES, Item, Split, Template
from lab.errors import DataError

SYLLOGISM_SHARE = 0.25


@cache
def templates(category: str) -> tuple[Template, ...]:
    """Every template of a category; their weights add up to one.

    Raises:
        DataError: there is no such category.
    """
    if category == "reasoning":
        return orderings.templates(1 - SYLLOGISM_SHARE) + syllogisms.templates(SYLLOGISM_SHARE)
    makers = {
        "knowledge": knowledge, "arithmetic": arithmetic, "code": programs, "stories": stories, "copying": copying,
    }  # fmt: skip
    if category not in makers:
        raise DataError(f"category={category!r} is unknown; allowed are {', '.join(CATEGORIES)}")
    return makers[category].templates()


@cache
def _weights(category: str) -> list[float]:
    return list(accumulate(template.weight for template in templates(category)))


def draw(category: str, rng: Random, split: Split = "train") -> Item:
    """One item of a category from a random stream."""
    weights = _weights(category)
    chosen = bisect(weights, rng.random() * weights[-1])
    return templates(category)[min(chosen, len(weights) - 1)].draw(rng, split)


def generate(category: str, count: int, seed: int, *, split: Split = "train") -> list[Item]:
    """Independent draws of a category, the same for the same seed.

    Args:
        category: one of CATEGORIES.
        count: how many items.
        seed: any integer.
        split: "train" is what pretraining sees; "held_out" is never seen there.

    Raises:
        DataError: the category or split is unknown.
    """
    if split not in ("train", "held_out"):
        raise DataError(f"split={split!r} is unknown; allowed are train, held_out")
    rng = Random(f"{category} {split} {seed}")
    return [draw(category, rng, split) for _ in range(count)]


def distinct_questions(category: str, count: int, seed: int, *, split: Split = "held_out") -> list[Item]:
    """Draws of a category without a question twice: what accuracy is counted on.

    Raises:
        DataError: the category has too few different questions in this split.
    """
    rng = Random(f"distinct {category} {split} {seed}")
    found: dict[str, Item] = {}
    for _ in range(200 * count):
        item = draw(category, rng, split)
        found.setdefault(item.question, item)
        if len(found) == count:
            return list(found.values())
    raise DataError(f"{category} ({split}) has about {len(found)} different questions; {count} were asked for")
