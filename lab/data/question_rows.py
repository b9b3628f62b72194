"""Questions from rows that know their answer: the lab's own English, a file or dataset, what a training held out."""

import difflib
import os
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import replace
from random import Random
from typing import Any

from lab.data.forms import Row
from lab.data.malformed import listed, malformed
from lab.data.prompt_sources import ENGLISH, columns
from lab.data.question_border import Asked, Question
from lab.data.question_english import COMPLETIONS
from lab.data.question_foils import BORROWED_FROM, hand_round
from lab.data.question_world import as_turn
from lab.data.template import ChatTemplate
from lab.data.token_labels import token_labels
from lab.data.world.knowledge import VALUES
from lab.data.world.names import new_people, passing_people, world_people
from lab.errors import DataError

OPTIONAL = ("category", "kind", "entity", "template")
WORD = re.compile(r"\w+")
PIECE = re.compile(r"\d+|[^\W\d]+|[^\w\s]")
TRUTHS = ("yes", "no", "unknown", "true", "false")
SORT_PIECES = 3  # of an answer, enough to tell a list from a word from a number


def english(templated: bool) -> list[Asked]:
    """Returns the lab's own rows.

    Args:
        templated: Whether they are asked, for a user's turn, or said up to the answer.
    """
    return [Asked(f"{ENGLISH} {kind} {number}", ENGLISH, kind, (form := chat if templated else sentence), (entity,),
                  form.format(entity), answer)
            for kind, (sentence, chat, known) in COMPLETIONS.items()
            for number, (entity, answer) in enumerate(known.items(), start=1)]


def file_rows(source: str, label: str, names: tuple[str, str, str]) -> list[Asked]:
    """Returns the rows of a data file, a dataset folder or a Hub id.

    Args:
        source: As the user typed it.
        label: What its prompts are called.
        names: Columns of prompt, answer and foil.

    Raises:
        DataError: It cannot be read, is empty, lacks a column, or a cell is no text.
    """
    rows = [_row(cells, source, label, number, names) for number, cells in columns(source)]
    if not rows:
        raise DataError(f"{source}: holds no rows; questions need at least two, or one with a foil")
    return rows


def read(tokenizer: Any, rows: Sequence[Asked], count: int, seed: int, templated: bool) -> list[Question]:
    """Returns so many of the rows as questions, two of a kind at a time where there are two; all if there are fewer.

    Args:
        tokenizer: The model's.
        rows: From `english` or `file_rows`.
        count: How many.
        seed: Of which, and of foils.
        templated: Whether the chat template is to be written around them.

    Raises:
        DataError: A row has no foil that the next token tells from its answer.
    """
    write = ChatTemplate(tokenizer) if templated else None
    chosen = _chosen(rows, count, seed)
    written = {row.name: _written(row, write) for row in _needed(rows, chosen, seed)}
    return hand_round(tokenizer, [written[row.name] for row in rows if row.name in chosen], list(written.values()), seed)


def from_rows(tokenizer: Any, rows: Sequence[Mapping[str, Any]], *, category: str = "held_out", count: int | None = None,
              seed: int = 0) -> list[Question]:
    """Returns questions of rows that a training run held out: the table `samples` of its run.

    People of the micro-world and numbers are the entities, and the prompt without them is the template. Answers of one
    sort (a number, yes or no, a colour, a list) are exchanged, within a template where they can be. Words that all
    answers begin with (`It is`) become the end of the prompts. A row that shares its sort with none, or its first token
    with all of its sort, is left out.

    Args:
        tokenizer: The model's.
        rows: Each with `rendered`, the prompt as training wrote it, and `expected`, the answer.
        category: What they are called.
        count: How many rows, from the first on; None for all.
        seed: Of foils.

    Raises:
        DataError: No row has a foil, or the tokenizer is a slow one.
    """
    token_labels(tokenizer, [])  # refuses a slow tokenizer, which has no offsets, in words
    opening = _opening([row["expected"] for row in rows])
    people = {*world_people(), *passing_people(), *new_people()}
    asked = []
    for number, row in enumerate(rows, start=1):
        entities = tuple(dict.fromkeys(word for word in WORD.findall(row["rendered"]) if word in people or word.isdigit()))
        answer = row["expected"][len(opening):]
        asked.append(Asked(f"{category} {number}", category, _sort(answer), _masked(row["rendered"], entities), entities,
                           row["rendered"] + opening.rstrip(), opening[len(opening.rstrip()):] + answer))
    found = hand_round(tokenizer, asked[:count], asked, seed, every=False)
    if not found:
        raise DataError(f"{category}: none of {len(rows)} rows has a foil, an answer of its sort that begins with another "
                        "token; choose other questions, such as world or english")
    return found


def _chosen(rows: Sequence[Asked], count: int, seed: int) -> set[str]:
    """Names of as many rows, two of a kind at a time, so that they can exchange answers."""
    rng = Random(f"questions {seed}")
    kinds: dict[str, list[str]] = {}
    for row in rng.sample(rows, len(rows)):
        kinds.setdefault(row.kind, []).append(row.name)
    twos = [names[i:i + 2] for names in kinds.values() for i in range(0, len(names), 2)]
    rng.shuffle(twos)
    return set([name for two in sorted(twos, key=len, reverse=True) for name in two][:count])


def _needed(rows: Sequence[Asked], chosen: set[str], seed: int) -> list[Asked]:
    """The chosen rows and, of each of their kinds, some others that may lend an answer."""
    kinds = {row.kind for row in rows if row.name in chosen}
    shuffled = Random(f"lent {seed}").sample(rows, len(rows))
    spare = [row for kind in sorted(kinds) for row in [r for r in shuffled if r.kind == kind][:BORROWED_FROM]]
    return [row for row in rows if row.name in chosen] + [row for row in spare if row.name not in chosen]


def _written(row: Asked, write: ChatTemplate | None) -> Asked:
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


def _opening(answers: Sequence[str]) -> str:
    """The words that all answers begin with, and the white space behind them; at least a word is left of each."""
    common = os.path.commonprefix(list(answers))
    while common and (common[-1].isalnum() or common in answers):
        common = common[:-1]
    return common if len(set(answers)) > 1 and any(letter.isalnum() for letter in common) else ""


def _sort(answer: str) -> str:
    """What sort of thing an answer is, as far as its words tell, such as `home`, `truth`, `number .` or `[ number ,`."""
    kinds = ["number" if piece.isdigit() else _word(piece) if piece[0].isalpha() else piece
             for piece in PIECE.findall(answer)[:SORT_PIECES]]
    return " ".join(kinds)


def _word(word: str) -> str:
    known = next((kind for kind, words in VALUES.items() if word in words), None)
    named = "name" if word[0].isupper() else "word"
    return "truth" if word.lower() in TRUTHS else known or named
