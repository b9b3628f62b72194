"""Prompts with a known answer and a foil: what probing and patching read."""

import re
from collections.abc import Callable, Sequence
from itertools import combinations, groupby
from pathlib import Path
from typing import Any

from lab.data.prompt_sources import ENGLISH, PLAIN_FILE, TEXT, check_sources, labels
from lab.data.prompts import check_how, check_lengths
from lab.data.question_border import Question
from lab.data.question_rows import english, file_rows, from_rows
from lab.data.question_rows import read as read_rows
from lab.data.question_world import read as read_world
from lab.data.token_labels import WHITE_SPACE, token_labels
from lab.data.world import CATEGORIES, Item
from lab.data.world.item import Split
from lab.errors import OptionError

__all__ = ["Question", "counterparts", "from_rows", "read", "subject"]

STORIES = "stories"


def read(tokenizer: Any, sources: Sequence[str], *, count: int = 16, seed: int = 0, chat: str = "auto",
         longest: int | None = None, prompt: str = "prompt", answer: str = "answer", foil: str = "foil",
         split: Split = "held_out", keep: Callable[[Item], bool] = lambda _: True, also: Sequence[str] = ()
         ) -> list[Question]:
    """Returns questions, the same for the same arguments.

    A foil is of the answer's kind and begins with another token. Where the prompt itself names alternatives (who of
    three is tallest) it is one of them, in a random place; else two questions exchange answers, so that what is a foil
    is as often an answer. A file's own foils are taken as they are.

    Args:
        tokenizer: The model's, a fast one.
        sources: Any of `world` (all categories; without a template all but stories), one category by name, `english`; a
            `.jsonl`, `.json`, `.csv` or `.parquet` file, a dataset folder or a Hub id,
            `owner/name[:configuration[:split]]`, with columns for prompt and answer, perhaps foil, and perhaps
            `category`, `kind` (within which answers are exchanged), `entity` (what is asked about) and `template`.
        count: Questions of each category, of `english` and of each dataset. A dataset that has fewer gives all it has.
        seed: Of questions and foils.
        chat: `auto`: a prompt is a user's turn where the tokenizer has a chat template. `true`: there must be one.
            `false`: the prompt stands as it is, and the tokenizer adds its special tokens.
        longest: Tokens that a prompt may have; None for any number.
        prompt: Column of the prompt.
        answer: Column of the answer. Without a template, a space is put before it where it follows a letter, a digit or
            a mark such as `:` and neither has white space.
        foil: Column of the foil; it may be missing, and cells of it empty.
        split: Of the world: `held_out` for what pretraining never saw.
        keep: Which items of the world may be asked.
        also: Names of sources that only the caller knows, for what an error says is allowed.

    Raises:
        OptionError: A source or another argument is not allowed, or a prompt has more than `longest` tokens.
        DataError: A file is missing, empty or malformed, lacks a column, a row has no foil, or the tokenizer is a
            slow one.
    """
    check_how(tokenizer, chat, count)
    _check(sources, also)
    token_labels(tokenizer, [])  # refuses a slow tokenizer, which has no offsets, in words
    templated = chat == "true" or chat == "auto" and bool(tokenizer.chat_template)
    names = (prompt, answer, foil)
    found: list[Question] = []
    for source, label in labels(sources).items():
        if source == STORIES and not templated and STORIES not in sources:
            continue  # what `world` stands for without a template: a story's sentences do not ask for anything
        if source in CATEGORIES:
            found += read_world(tokenizer, source, count, seed, templated, split, keep)
        else:
            rows = english(templated) if source == ENGLISH else file_rows(source, label, names)
            found += read_rows(tokenizer, rows, count, seed, templated)
    check_lengths(found, longest)
    return found


def counterparts(questions: Sequence[Question]) -> list[tuple[int, int]]:
    """Returns pairs of questions of one template and as many tokens, whose answers differ in their first token.

    Every position of one then stands for the same in the other. Both orders are one pair, lower index first; pairs
    that exchange answers (each one's foil is the other's answer) come first.

    Args:
        questions: In any order.
    """
    def group(i: int) -> tuple[str, str, int]:
        return questions[i].category, questions[i].template, len(questions[i].input_ids)

    def apart(pair: tuple[int, int]) -> bool:
        one, other = (questions[i] for i in pair)
        return (one.foil_id, other.foil_id) != (other.answer_id, one.answer_id)

    found = [pair for _, members in groupby(sorted(range(len(questions)), key=group), group)
             for pair in combinations(members, 2) if questions[pair[0]].answer_id != questions[pair[1]].answer_id]
    return sorted(found, key=lambda pair: (apart(pair), pair))


def subject(question: Question, which: int = 0) -> range | None:
    """Returns the token positions of an entity, where the prompt names it last; None if it does not.

    A token that spells more than the entity, such as the space before it, counts.

    Args:
        question: Any.
        which: Of its entities.
    """
    if which >= len(question.entities):
        return None
    name = "".join(WHITE_SPACE.get(letter, letter) for letter in question.entities[which])
    places = [match.span() for match in re.finditer(rf"(?<!\w){re.escape(name)}(?!\w)", "".join(question.tokens))]
    if not places:
        return None
    first, last = places[-1]
    inside, at = [], 0
    for position, token in enumerate(question.tokens):
        if at < last and at + len(token) > first:
            inside.append(position)
        at += len(token)
    return range(inside[0], inside[-1] + 1)


def _check(sources: Sequence[str], also: Sequence[str]) -> None:
    for source in sources:
        if source == TEXT or Path(source).suffix.lower() == PLAIN_FILE:
            raise OptionError(f"prompts={source}: free text has no answer that is known; allowed are world, "
                              f"{', '.join([*CATEGORIES, ENGLISH, *also])}, and files or datasets with columns for prompt "
                              "and answer")
    check_sources(sources, None, None, also, answered=True)
