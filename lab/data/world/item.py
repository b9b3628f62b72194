"""What one generated question or text is, and how a template makes it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from random import Random
from typing import Any, Literal, NamedTuple

CATEGORIES = ("knowledge", "arithmetic", "reasoning", "code", "stories", "copying")
Split = Literal["train", "held_out"]


@dataclass(frozen=True, slots=True)
class Item:
    """One generated item: a chat question with its answer, and the same content as plain text.

    `probability` is that of this very item under `generate(category, split=...)` for its own split;
    `chance` is the accuracy of the best answer that does not look at the question's content.
    """

    category: str
    kind: str
    template: str
    entities: tuple[str, ...]
    question: str
    text: str
    answer: str
    probability: float
    held_out: bool
    chance: float


class Draft(NamedTuple):
    """The words a template made of one case, with the probability of its free choices given the case."""

    question: str
    text: str
    answer: str
    entities: tuple[str, ...]
    probability: float = 1.0


@dataclass(frozen=True, eq=False)
class Template:
    """A finite list of cases, a rule that withholds some from pretraining, and the words around a case.

    Cases are equally likely within their split; whatever `dress` chooses beside them is reported in its draft.
    """

    category: str
    kind: str
    name: str
    weight: float
    chance: float
    cases: Callable[[], Sequence[Any]]
    is_held_out: Callable[[Any], bool]
    dress: Callable[[Random, Any], Draft]

    def draw(self, rng: Random, split: Split) -> Item:
        """A random item of this template in this split; `weight` is this template's share of its category."""
        chosen = split_cases(self, split)
        case = chosen[int(rng.random() * len(chosen))]
        draft = self.dress(rng, case)
        return Item(
            self.category, self.kind, self.name, draft.entities, draft.question, draft.text, draft.answer,
            self.weight * draft.probability / len(chosen), split == "held_out", self.chance,
        )  # fmt: skip


@cache
def split_cases(template: Template, split: Split) -> list[Any]:
    """The cases of a template that belong to one split."""
    wanted = split == "held_out"
    return [case for case in template.cases() if template.is_held_out(case) == wanted]
