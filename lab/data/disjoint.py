"""Texts in two halves that share no entity: what is fitted on one cannot know the other by heart."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from typing import Any, Literal

from lab.data.prompt_sources import PLAIN_FILE, Passage, check_sources, gather, labels
from lab.data.prompts import Prompt, as_prompt, check_how
from lab.data.world import CATEGORIES, Item
from lab.data.world.documents import chat_messages
from lab.data.world.draws import draw
from lab.data.world.holdout import bucket
from lab.errors import DataError

Side = Literal["train", "evaluation"]

SIDES: tuple[Side, Side] = ("train", "evaluation")
EVALUATION_SHARE = 0.5  # of the world's entities: items that name many would nearly all be lost to a smaller side
DOCUMENT_SHARE = 0.25  # of documents, at most
TRIES = 4000
ATOM = re.compile(r"\w+")
QUOTED = re.compile(r"'(\w+)'")
PARAGRAPH = re.compile(r"\n[ \t]*\n")


def texts(tokenizer: Any, sources: Sequence[str] = ("world",), *, count: int = 256, evaluation: int = 64, seed: int = 0,
          chat: str = "auto", column: str | None = None, longest: int | None = None
          ) -> tuple[list[Prompt], list[Prompt]]:
    """Returns texts to fit something on and others to evaluate it on, the same for the same arguments.

    In the micro-world every person, operand and word that a question is about belongs to one side for good, and an item
    is kept if all of its belong to one. What may be an answer (cities, colours, results of sums) occurs on both sides.
    Elsewhere a document is on one side: a row, a passage, or a paragraph of a `.txt` file.

    Args:
        tokenizer: The model's.
        sources: As `lab.data.prompts.read` takes them, but for `text`.
        count: Texts to fit on, of all sources together; documents may be fewer.
        evaluation: Texts to evaluate on.
        seed: Of what is drawn; it moves nothing from one side to the other.
        chat: As `lab.data.prompts.read` takes it.
        column: Column of data files and datasets that holds free text.
        longest: Tokens after which a text is cut; None for none.

    Raises:
        OptionError: A source or another argument is not allowed.
        DataError: A file is missing or malformed, or there are too few documents to divide.
    """
    check_how(tokenizer, chat, min(count, evaluation))
    check_sources(sources, None, column)
    named = list(labels(sources))
    sides: tuple[list[Passage], list[Passage]] = ([], [])
    for number, source in enumerate(named):
        wanted = [_part(total, len(named), number) for total in (count, evaluation)]
        if source in CATEGORIES:
            halves = [_items(source, side, each, seed) for side, each in zip(SIDES, wanted, strict=True)]
        else:
            halves = _documents(source, column, wanted, seed)
        for side, half in zip(sides, halves, strict=True):
            side.extend(half)
    train, held = ([_cut(as_prompt(tokenizer, passage, chat), longest) for passage in side] for side in sides)
    return train, held


def entities(item: Item) -> set[str]:
    """Returns every person, operand and word that an item is about, words that a program quotes included.

    Args:
        item: Of the world.
    """
    quoted = QUOTED.findall(item.question) if item.category == "code" else []
    return {atom for entity in item.entities for atom in ATOM.findall(entity)} | set(quoted)


def on_side(side: Side) -> Callable[[Item], bool]:
    """Returns whether all that an item is about belongs to a side: what `lab.data.questions.read` takes as `keep`.

    Args:
        side: `train` or `evaluation`.
    """
    return lambda item: all((bucket("side", each) < EVALUATION_SHARE) == (side == "evaluation") for each in entities(item))


def _part(total: int, parts: int, number: int) -> int:
    return total // parts + (number < total % parts)


def _items(category: str, side: Side, count: int, seed: int) -> list[Passage]:
    keep, rng = on_side(side), Random(f"{side} texts {category} {seed}")
    found: dict[str, Item] = {}
    for _ in range(TRIES * count):
        if len(found) == count:
            break
        item = draw(category, rng)
        if keep(item):
            found.setdefault(item.question, item)
    if len(found) < count:
        raise DataError(f"{category}: found {len(found)} different items all of whose entities are on the side {side}; "
                        f"{count} were asked for; type a smaller count")
    return [Passage(f"{side} {category} {number}", category, item.text, {"messages": chat_messages(item)})
            for number, item in enumerate(found.values(), start=1)]


def _documents(source: str, column: str | None, wanted: Sequence[int], seed: int) -> list[list[Passage]]:
    """Documents of a source on two sides, by a hash of their text, so that copies of one are together."""
    passages = [each for passage in gather([source], None, column, 10**9, seed) for each in _paragraphs(source, passage)]
    groups: dict[str, Passage] = {}
    for passage in passages:
        groups.setdefault(repr(passage.text or passage.conversation), passage)
    if len(groups) < 2:
        raise DataError(f"{source}: holds {len(groups)} document, and one cannot be divided into texts to fit on and to "
                        "evaluate on; give at least two (paragraphs of a .txt file, rows of another)")
    ranked = [groups[text] for text in sorted(groups, key=lambda text: bucket("side", text))]
    held = max(1, int(DOCUMENT_SHARE * len(ranked)))
    return [Random(f"documents {seed}").sample(side, min(most, len(side)))
            for side, most in zip((ranked[held:], ranked[:held]), wanted, strict=True)]


def _paragraphs(source: str, passage: Passage) -> list[Passage]:
    if Path(source).suffix.lower() != PLAIN_FILE or passage.text is None:
        return [passage]
    parts = [part for part in PARAGRAPH.split(passage.text.rstrip()) if part.strip()]
    return [Passage(f"{passage.name} paragraph {number}", passage.category, part)
            for number, part in enumerate(parts, start=1)]


def _cut(prompt: Prompt, longest: int | None) -> Prompt:
    return Prompt(prompt.name, prompt.category, prompt.text, prompt.input_ids[:longest], prompt.tokens[:longest])
