"""Questions of the micro-world with their foils: from the prompt itself where it names alternatives, else exchanged."""

import re
from bisect import bisect
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import accumulate
from random import Random
from typing import Any

from lab.data.question_border import Asked, Question
from lab.data.question_foils import Pair, pairs
from lab.data.template import PROBE, ChatTemplate
from lab.data.world import Item
from lab.data.world.draws import templates
from lab.data.world.item import Split, Template
from lab.data.world.stories import QUESTIONS
from lab.errors import DataError

POOL = 24  # questions drawn at once, among which partners are found
TRIES = 40
MIRRORED_POOL = 240  # of which one in ten or so has an operand of one digit, and few of those mirror one another
MIRRORED = ("comparison", "max")  # the answer is larger than the foil, so only their first digits can be balanced
QUOTED = re.compile(r"'(\w+)'")


def read(tokenizer: Any, category: str, count: int, seed: int, templated: bool, split: Split = "held_out",
         keep: Callable[[Item], bool] = lambda _: True) -> list[Question]:
    """Returns questions of a category, in pairs of one template and length, the same for the same arguments.

    Templates are drawn as often as in the corpus; those that the first token of an answer says nothing about (programs
    that print a list) give no questions.

    Args:
        tokenizer: The model's.
        category: Of the world.
        count: How many.
        seed: Of what is drawn.
        templated: Whether a question is a user's turn; otherwise the prompt is its sentence up to the answer, where
            everything that the answer depends on stands before it.
        split: `held_out` for what pretraining never saw.
        keep: Whether an item may be asked.

    Raises:
        DataError: There are not so many.
    """
    rng = Random(f"questions {category} {split} {seed}")
    sources = {template: _pairs(tokenizer, template, rng, split, templated, keep) for template in templates(category)}
    found: list[Question] = []
    while len(found) < count:
        if not sources:
            how = "" if templated else ", as sentences without a chat template"
            other = "choose another category" + ("" if templated else " or chat=auto")
            hint = f"type count={len(found)}" if found else other
            raise DataError(f"{category} ({split}{how}) has {len(found)} questions whose answer the first token tells from "
                            f"a foil; {count} were asked for; {hint}")
        weights = list(accumulate(template.weight for template in sources))
        chosen = list(sources)[min(bisect(weights, rng.random() * weights[-1]), len(weights) - 1)]
        if (pair := next(sources[chosen], None)) is None:
            del sources[chosen]
        else:
            found += pair
    return [_numbered(each, number) for number, each in enumerate(found[:count], start=1)]


def own_foils(item: Item, rng: Random) -> tuple[str, ...] | None:
    """Returns wrong answers that the question itself names, in random order; None for kinds that name none.

    Args:
        item: A question.
        rng: Of their order.
    """
    entities = item.entities
    match item.category, item.kind:
        case (_, "comparison" | "max" | "extreme" | "keep" | "lookup"):
            named = entities
        case (_, "index"):
            named = entities[:-1]
        case (_, "branch"):
            named = tuple(QUOTED.findall(item.question))
        case (_, "recall"):
            named = entities[1::2]
        case (_, "line-up"):
            named = (", ".join(reversed(item.answer.split(", "))),)
        case (_, "swap"):
            named = (" ".join(reversed(item.answer.split())),)
        case ("copying", "repeat"):
            named = (" ".join((entities[1], entities[0], *entities[2:])),)
        case _:
            return None
    others = [name for name in dict.fromkeys(named) if name != item.answer]
    return tuple(rng.sample(others, len(others)))


def _pairs(tokenizer: Any, template: Template, rng: Random, split: Split, templated: bool, keep: Callable[[Item], bool]
           ) -> Iterator[Pair]:
    write = ChatTemplate(tokenizer) if templated else None
    mirrored = template.kind in MIRRORED
    seen: set[str] = set()
    while True:
        new = _new(template, rng, split, keep, MIRRORED_POOL if mirrored else POOL, seen)
        seen |= new.keys()
        asked = [each for item in new.values() if (each := _asked(item, write, rng))]
        made = [pair for kind in dict.fromkeys(each.kind for each in asked)
                for pair in pairs(tokenizer, [each for each in asked if each.kind == kind], mirrored)]
        if not made:
            return
        yield from made


def _new(template: Template, rng: Random, split: Split, keep: Callable[[Item], bool], count: int, seen: set[str]
         ) -> dict[str, Item]:
    """About as many questions that were not seen, each with its item; fewer where few are left or may be asked."""
    found: dict[str, Item] = {}
    for _ in range(TRIES * count):
        item = template.draw(rng, split)
        if item.question not in seen and keep(item):
            found.setdefault(item.question, item)
        if len(found) == count:
            break
    return found


def _asked(item: Item, write: ChatTemplate | None, rng: Random) -> Asked | None:
    kind = _story_kind(item) if item.kind == "story" else item.kind
    foils = own_foils(item, rng)
    if foils == ():  # such as the larger of 78 and 78
        return None
    foils = foils or ()
    if write is not None:
        return Asked("", item.category, kind, item.template, item.entities, as_turn(write, item.question, item.category),
                     item.answer, foils)
    start = item.text.rfind(item.answer)
    before, after = item.text[:max(start, 0)], item.text[start + len(item.answer):]
    if start < 1 or re.search(r"\w", after) or item.category == "stories" or any(e not in before for e in item.entities):
        return None
    prompt = before.rstrip(" ")
    space = before[len(prompt):]
    return Asked("", item.category, kind, item.template, item.entities, prompt, space + item.answer,
                 tuple(space + foil for foil in foils), special=True)


def as_turn(write: ChatTemplate, said: str, where: str) -> str:
    """Returns a user's turn and what the template writes before the answer to it.

    That is the generation prompt, and whatever training puts between it and the answer, such as an empty thought.

    Args:
        write: The tokenizer's template.
        said: By the user.
        where: For errors.
    """
    turns = [{"role": "user", "content": said}, {"role": "assistant", "content": PROBE}]
    return write.write(turns, None, where).rpartition(PROBE)[0]


def _story_kind(item: Item) -> str:
    return f"story {next(place for _, place, words in QUESTIONS if item.answer in words)}"


def _numbered(made: Question, number: int) -> Question:
    return replace(made, name=f"{made.category} {number}")
