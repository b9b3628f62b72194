"""Prompts with a known answer and a foil: what probing and patching read."""

import difflib
import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from itertools import combinations, groupby
from pathlib import Path
from random import Random
from typing import Any

from lab.data.forms import Row
from lab.data.malformed import listed, malformed
from lab.data.prompt_sources import ENGLISH, PLAIN_FILE, TEXT, check_sources, columns, labels
from lab.data.prompts import check_how, check_lengths
from lab.data.question_border import Asked, Question
from lab.data.question_english import COMPLETIONS
from lab.data.question_foils import hand_round
from lab.data.question_world import as_turn
from lab.data.question_world import read as read_world
from lab.data.template import ChatTemplate
from lab.data.token_labels import WHITE_SPACE
from lab.data.world import CATEGORIES, Item
from lab.data.world.item import Split
from lab.data.world.names import new_people, passing_people, world_people
from lab.errors import DataError, OptionError

__all__ = ["Question", "counterparts", "from_rows", "read", "subject"]

OPTIONAL = ("category", "kind", "entity", "template")
NAME = re.compile(r"\b[A-Z][a-z]+\b")


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
        sources: Any of `world` (all categories), one category by name, `english`; a `.jsonl`, `.json`, `.csv` or
            `.parquet` file, a dataset folder or a Hub id, `owner/name[:configuration[:split]]`, with columns for prompt
            and answer, perhaps foil, and perhaps `category`, `kind` (within which answers are exchanged), `entity` (what
            is asked about) and `template`.
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
        DataError: A file is missing, empty or malformed, lacks a column, or a row has no foil.
    """
    check_how(tokenizer, chat, count)
    _check(sources, also)
    templated = chat == "true" or chat == "auto" and bool(tokenizer.chat_template)
    names = (prompt, answer, foil)
    found: list[Question] = []
    for source, label in labels(sources).items():
        if source in CATEGORIES:
            found += read_world(tokenizer, source, count, seed, templated, split, keep)
        else:
            rows = _english(templated) if source == ENGLISH else _file(source, label, names)
            found += _of_rows(tokenizer, rows, count, seed, templated)
    check_lengths(found, longest)
    return found


def from_rows(tokenizer: Any, rows: Sequence[Mapping[str, Any]], *, category: str = "held_out", count: int | None = None,
              seed: int = 0) -> list[Question]:
    """Returns questions of rows that a training run held out: the table `samples` of its run.

    People of the micro-world are the entities, and the prompt without them the template and kind, within which answers
    are exchanged; rows that name none are of one kind.

    Args:
        tokenizer: The model's.
        rows: Each with `rendered`, the prompt as training wrote it, and `expected`, the answer.
        category: What they are called.
        count: How many, in order; None for all.
        seed: Of foils.

    Raises:
        DataError: There are no rows, or one has no foil.
    """
    if not rows:
        raise DataError(f"{category}: there are no rows; questions need at least two, whose answers differ")
    people = {*world_people(), *passing_people(), *new_people()}
    asked = []
    for number, row in enumerate(rows, start=1):
        entities = tuple(dict.fromkeys(word for word in NAME.findall(row["rendered"]) if word in people))
        template = _masked(row["rendered"], entities)
        asked.append(Asked(f"{category} {number}", category, template if entities else category, template, entities,
                           row["rendered"], row["expected"]))
    return hand_round(tokenizer, asked[:count], asked, seed)


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
    check_sources(sources, None, None, also)


def _of_rows(tokenizer: Any, rows: Sequence[Asked], count: int, seed: int, templated: bool) -> list[Question]:
    write = ChatTemplate(tokenizer) if templated else None
    chosen = _chosen(rows, count, seed)
    written = {row.name: _written(row, write) for row in _needed(rows, chosen, seed)}
    return hand_round(tokenizer, [written[row.name] for row in rows if row.name in chosen], list(written.values()), seed)


def _chosen(rows: Sequence[Asked], count: int, seed: int) -> set[str]:
    """Names of as many rows, two of a kind at a time, so that they can exchange answers."""
    rng = Random(f"questions {seed}")
    kinds: dict[str, list[str]] = {}
    for row in rng.sample(rows, len(rows)):
        kinds.setdefault(row.kind, []).append(row.name)
    twos = [names[i:i + 2] for names in kinds.values() for i in range(0, len(names), 2)]
    rng.shuffle(twos)
    return set([name for two in sorted(twos, key=len, reverse=True) for name in two][:count])


def _needed(rows: Sequence[Asked], chosen: set[str], seed: int, lent: int = 64) -> list[Asked]:
    """The chosen rows and, of each of their kinds, some others that may lend an answer."""
    kinds = {row.kind for row in rows if row.name in chosen}
    shuffled = Random(f"lent {seed}").sample(rows, len(rows))
    spare = [row for kind in sorted(kinds) for row in [r for r in shuffled if r.kind == kind][:lent]]
    return [row for row in rows if row.name in chosen] + [row for row in spare if row.name not in chosen]


def _written(row: Asked, write: ChatTemplate | None) -> Asked:
    from dataclasses import replace

    if write is not None:
        return replace(row, prompt=as_turn(write, row.prompt, row.name), answer=row.answer.strip(),
                       foils=tuple(foil.strip() for foil in row.foils))
    return replace(row, answer=_spaced(row.prompt, row.answer), foils=tuple(_spaced(row.prompt, f) for f in row.foils),
                   special=True)


def _spaced(prompt: str, answer: str) -> str:
    last, first = prompt[-1], answer[0]
    joined = last.isspace() or first.isspace() or not (last.isalnum() or last in ".,:;?!)") or not first.isalnum()
    wide = any(unicodedata.east_asian_width(letter) in "WF" for letter in (last, first))  # written without spaces
    return answer if joined or wide else f" {answer}"


def _masked(text: str, entities: Sequence[str]) -> str:
    for entity in entities:
        text = re.sub(rf"(?<!\w){re.escape(entity)}(?!\w)", "{}", text)
    return text


def _english(templated: bool) -> list[Asked]:
    return [Asked(f"{ENGLISH} {kind} {number}", ENGLISH, kind, (form := chat if templated else sentence), (entity,),
                  form.format(entity), answer)
            for kind, (sentence, chat, known) in COMPLETIONS.items()
            for number, (entity, answer) in enumerate(known.items(), start=1)]


def _file(source: str, label: str, names: tuple[str, str, str]) -> list[Asked]:
    rows = [_row(cells, source, label, number, names) for number, cells in columns(source)]
    if not rows:
        raise DataError(f"{source}: holds no rows; questions need at least two, or one with a foil")
    return rows


def _row(cells: Row, source: str, label: str, number: int, names: tuple[str, str, str]) -> Asked:
    where = f"{source} row {number}"
    prompt, answer = (_cell(cells, where, name, role) for name, role in zip(names, ("prompt", "answer"), strict=False))
    foil = _optional(cells, where, names[2])
    category, kind, entity, template = (_optional(cells, where, name) for name in OPTIONAL)
    category = category or label
    entities = (entity,) if entity else ()
    return Asked(f"{label} row {number}", category, kind or category, template or _masked(prompt, entities), entities,
                 prompt, answer, (foil,) if foil else ())


def _cell(cells: Row, where: str, name: str, role: str) -> str:
    if name not in cells:
        near = difflib.get_close_matches(name, list(cells), n=1)
        hint = f"; type {role}={near[0]}" if near else f"; name the column of the {role}"
        raise DataError(f"{where}: has no column '{name}' for the {role}; its columns are {listed(cells)}{hint}")
    if not isinstance(cells[name], str) or not cells[name].strip():
        raise malformed(where, name, cells[name], "text that is not empty (write a number as text)")
    return cells[name]


def _optional(cells: Row, where: str, name: str) -> str | None:
    cell = cells.get(name)
    if cell is not None and not isinstance(cell, str):
        raise malformed(where, name, cell, "text, or nothing")
    return cell if cell and cell.strip() else None
