"""The micro-world: a generated corpus in which every answer, and every item's probability, is known exactly."""

from lab.data.world.draws import distinct_questions, generate
from lab.data.world.item import CATEGORIES, Item

__all__ = ["CATEGORIES", "Item", "distinct_questions", "generate"]
