"""A probing task from a file or a dataset: texts, or words in them, with a label each, for any model."""

import difflib
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from lab.data import files
from lab.data.forms import Row as Cells
from lab.data.labelled import Labelled
from lab.data.labels_places import Placed, Writer
from lab.data.labels_rows import Row, gathered
from lab.data.labels_word import characters
from lab.data.malformed import listed, malformed
from lab.data.prompt_sources import columns
from lab.data.prompts import check_lengths
from lab.errors import DataError, OptionError

NO_TYPES = ("no column says what a type is, and a text is of no type but its own; a column that says which rows speak of "
            "the same thing makes this split possible")


@dataclass(frozen=True)
class Columns:
    """Names of columns.

    Attributes:
        text: What the model reads.
        label: Its class, or that of the word.
        word: What is read in the text: a word that occurs once, or [first character, one past the last]; its last token
            is taken. None: the text's last token.
        type: What a control label is fixed on. None: the word; without one there is no type.
        group: Rows that belong together. None: those with the same text.
    """

    text: str = "text"
    label: str = "label"
    word: str | None = None
    type: str | None = None
    group: str | None = None


def from_file(tokenizer: Any, source: str, names: Columns, *, count: int = 1000, seed: int = 0,
              longest: int | None = None) -> Labelled:
    """Returns rows of a file or a dataset as a probing task, the same for the same arguments.

    Args:
        tokenizer: The model's, a fast one.
        source: A `.jsonl`, `.json`, `.csv` or `.parquet` file, a dataset folder, or a Hub id,
            `owner/name[:configuration[:split]]`.
        names: Of its columns.
        count: Rows, at most; of a file with more, two of each class and then any.
        seed: Of which rows.
        longest: Tokens that a text may have, such as the model's positions; None for any number.

    Raises:
        OptionError: The count holds fewer than two rows of each class, or a text is too long.
        DataError: The source is missing, empty or malformed, lacks a column, has one class only, or a class with a
            single row; or a word is not in its text, or there more than once.
    """
    _check(source)
    read = [_Read.of(cells, f"{source} row {number}", names) for number, cells in columns(source)]
    if not read:
        raise DataError(f"{source}: holds no rows; a probe needs at least two of each class")
    _check_classes(read, source, names.label)
    chosen = _some(read, source, count, seed)
    writer, at = Writer(tokenizer), dict[str, int]()
    placed: list[Placed] = []
    for row in chosen:
        if row.text not in at:
            at[row.text] = len(placed)
            placed.append(writer.tell(row.where, Path(source).name, row.text))
    prompts = [one.prompt for one in placed]
    check_lengths(prompts, longest)
    groups_cross = _recur([(row.type, row.group) for row in chosen])
    rows = [Row(at[row.text], placed[at[row.text]].token_of(*row.span), row.label, row.type, row.group,
                row.group if groups_cross else row.text, 0) for row in chosen]
    return gathered(rows, prompts, sorted({row.label for row in chosen}), **_said(source, names, groups_cross),
                    source=source, whole=len(chosen) == len(read))


@dataclass(frozen=True)
class _Read:
    where: str
    text: str
    span: tuple[int, int]
    label: str
    type: Hashable
    group: Hashable

    @classmethod
    def of(cls, cells: Cells, where: str, names: Columns) -> "_Read":
        text = _cell(cells, where, names.text)
        if not isinstance(text, str) or not text.strip():
            raise malformed(where, names.text, text, "text that is not empty")
        word = None if names.word is None else _cell(cells, where, names.word)
        span = (0, len(text)) if names.word is None else characters(text, word, where, names.word)
        spoken = text if names.word is None else text[slice(*span)]
        return cls(where, text, span, _name(cells, where, names.label),
                   spoken if names.type is None else _name(cells, where, names.type),
                   text if names.group is None else _name(cells, where, names.group))


def _said(source: str, names: Columns, groups_cross: bool) -> dict[str, Any]:
    where = "the last token of a text" if names.word is None else f"the last token of the word in column '{names.word}'"
    own = "a text" if names.word is None else "the word that is read"
    context = f"what column '{names.group}' says" if names.group and groups_cross else "a text"
    return {"name": Path(source).name, "question": f"Which '{names.label}' has column '{names.text}', read at {where}?",
            "type_is": own if names.type is None else f"what column '{names.type}' says", "context_is": context,
            "follows": ("position", "token"), "no_shared": NO_TYPES if names.type is names.word is None else ""}


def _check(source: str) -> None:
    path = Path(source).expanduser()
    if path.is_dir() or (path.is_file() and path.suffix.lower() in files.KINDS):
        return
    if path.is_file():
        raise DataError(f"{source}: a file ending in '{path.suffix}' has no columns; allowed are {listed(files.KINDS)}")
    if path.suffix.lower() in files.KINDS or "/" not in source or not files.HUB_ID.fullmatch(source):
        hint = "" if path.is_absolute() else "; `mlflow run` starts in the project's folder, so write an absolute path"
        raise DataError(f"{source}: there is no such file; allowed are files ending in {', '.join(files.KINDS)}, a "
                        f"dataset folder, or a Hub id as owner/name{hint}")


def _check_classes(read: Sequence[_Read], source: str, column: str) -> None:
    sizes: dict[str, int] = {}
    for row in read:
        sizes[row.label] = sizes.get(row.label, 0) + 1
    if len(sizes) == len(read) > 1:
        raise DataError(f"{source}: column '{column}' has another label in each of the {len(read)} rows; a probe needs "
                        "classes with at least two rows: choose another column, or round its values to a few")
    single = [label for label, size in sizes.items() if size == 1]
    if single and len(sizes) > 1:
        raise DataError(f"{source}: column '{column}' has {len(single)} of {len(sizes)} classes with a single row "
                        f"({listed(single[:3])}), which cannot be both fitted and tested; leave those rows out, or merge "
                        "them with another class")


def _some(read: Sequence[_Read], source: str, count: int, seed: int) -> list[_Read]:
    if count >= len(read):
        return list(read)
    order = Random(f"labels {seed}").sample(range(len(read)), len(read))
    seen: dict[str, int] = {}
    first, rest = list[int](), list[int]()
    for i in order:
        seen[read[i].label] = seen.get(read[i].label, 0) + 1
        (first if seen[read[i].label] <= 2 else rest).append(i)
    if count < len(first):
        raise OptionError(f"count={count} for {source}: two rows of each of its {len(seen)} classes are {len(first)}; type "
                          f"count={len(read)} for all its rows")
    return [read[i] for i in sorted([*first, *rest[:count - len(first)]])]


def _cell(cells: Cells, where: str, column: str) -> Any:
    if column not in cells:
        near = difflib.get_close_matches(column, list(cells), n=1)
        raise DataError(f"{where}: has no column '{column}'; its columns are {listed(cells)}"
                        f"{f'; did you mean {near[0]!r}?' if near else ''}")
    return cells[column]


def _name(cells: Cells, where: str, column: str) -> str:
    found = _cell(cells, where, column)
    if not isinstance(found, str | int | float) or str(found).strip() in ("", "nan"):
        raise malformed(where, column, found, "a name, a number or a truth value")
    return str(found).strip()


def _recur(pairs: Sequence[tuple[Hashable, Hashable]]) -> bool:
    """Whether some type occurs in two groups."""
    distinct = set(pairs)
    return len({kind for kind, _ in distinct}) < len(distinct)
