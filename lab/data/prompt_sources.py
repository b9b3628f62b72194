"""Where prompts come from: the micro-world, English passages, a text, a file, or rows of a dataset."""

import difflib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from lab.data import files
from lab.data.columnar import dataset_rows
from lab.data.conversation import Conversation
from lab.data.english import PASSAGES
from lab.data.forms import Row
from lab.data.malformed import listed, malformed
from lab.data.world import CATEGORIES, distinct_questions
from lab.data.world.documents import chat_messages
from lab.errors import DataError, OptionError

WORLD, ENGLISH, TEXT = "world", "english", "text"
BUILT_IN = (WORLD, *CATEGORIES, ENGLISH, TEXT)
PLAIN_FILE = ".txt"
READABLE = (PLAIN_FILE, *files.KINDS)


@dataclass(frozen=True)
class Passage:
    """What becomes one prompt, not yet tokenised.

    Attributes:
        name: Tells it apart, such as `knowledge 2` or `notes.jsonl row 7`.
        category: Of the world, or what its source is called.
        text: It without a chat template; None where there is no such form.
        conversation: A row to write as training writes it; None for free text.
    """

    name: str
    category: str
    text: str | None
    conversation: Conversation | None = None


def check_sources(sources: Sequence[str], text: str | None, column: str | None, also: Sequence[str] = (), *,
                  answered: bool = False) -> None:
    """Finds every fault that can be seen without opening anything.

    Args:
        sources: Names, paths and Hub ids, as `lab.data.prompts.read` takes them.
        text: What `text` stands for.
        column: Column of data files and datasets.
        also: Names that only the caller knows, for what an error says is allowed.
        answered: Whether the caller needs answers, so that no error says that free text is allowed.

    Raises:
        OptionError: No source, an unknown one, or a text or column without a source for it.
        DataError: There is no such file, or it is of a kind that is not read.
    """
    if not sources:
        raise OptionError(f"prompts: no source came; allowed are {_allowed(also, answered)}; type prompts={WORLD}")
    for source in sources:
        if source not in BUILT_IN:
            _check_outside(source, also, answered)
    if TEXT in sources and text is None:
        raise OptionError(f"prompts={TEXT} has no text; type text='…' beside it")
    if text is not None and TEXT not in sources:
        raise OptionError(f"text is given and prompts={','.join(sources)} does not read it; type prompts={TEXT}")
    if text is not None and not text.strip():
        raise OptionError("text is empty; allowed is a text of at least one letter; type text='…'")
    if column is not None and not any(_has_columns(source) for source in sources):
        raise OptionError(f"column={column} is given and none of prompts={','.join(sources)} has columns; those that do "
                          f"are files ending in {', '.join(files.KINDS)} and datasets; leave column out")


def gather(sources: Sequence[str], text: str | None, column: str | None, count: int, seed: int) -> list[Passage]:
    """Returns the passages of all sources, in their order; a source or category that is named twice counts once.

    Args:
        sources: Checked by `check_sources`.
        text: What `text` stands for.
        column: Column of data files and datasets that holds free text; None for rows in one of the known forms.
        count: Passages of each category, of `english`, and of each dataset; one that has fewer gives all it has.
        seed: Of questions and of which passages and rows are taken.

    Raises:
        DataError: A file is empty or malformed, or lacks the column.
    """
    found: list[Passage] = []
    for source, label in labels(sources).items():
        if source in CATEGORIES:
            found += _questions(source, count, seed)
        elif source == ENGLISH:
            found += [Passage(f"{ENGLISH} {kind}", ENGLISH, PASSAGES[kind])
                      for kind in some(list(PASSAGES), count, seed)]
        elif source == TEXT:
            found.append(Passage(TEXT, TEXT, text))
        elif Path(source).suffix.lower() == PLAIN_FILE:
            found.append(Passage(label, label, _whole_file(source)))
        elif column is not None:
            found += _cells(source, label, column, count, seed)
        else:
            found += _rows(source, label, count, seed)
    return found


def _known(also: Sequence[str], answered: bool) -> list[str]:
    return [*also, *(name for name in BUILT_IN if not (answered and name == TEXT))]


def _endings(answered: bool) -> list[str]:
    return [ending for ending in READABLE if not (answered and ending == PLAIN_FILE)]


def _allowed(also: Sequence[str] = (), answered: bool = False) -> str:
    endings = ", ".join(_endings(answered))
    return f"{', '.join(_known(also, answered))}, a file ending in {endings}, a dataset folder, or a Hub id as owner/name"


def _has_columns(source: str) -> bool:
    return source not in BUILT_IN and Path(source).suffix.lower() != PLAIN_FILE


def _check_outside(source: str, also: Sequence[str], answered: bool) -> None:
    path = Path(source).expanduser()
    suffix = path.suffix.lower()
    if path.is_dir() or (path.is_file() and suffix in READABLE):
        return
    if path.is_file():
        raise DataError(f"prompts={source}: a file ending in '{suffix}' is not read; allowed are "
                        f"{listed(_endings(answered))}")
    if suffix in READABLE or source.startswith(("/", "~", ".")):
        hint = "" if path.is_absolute() else "; `mlflow run` starts in the project's folder, so write an absolute path"
        raise DataError(f"prompts={source}: there is no such file{_neighbours(path)}{hint}")
    if "/" not in source or not files.HUB_ID.fullmatch(source):  # a name alone is sooner a slip than an old Hub id
        near = difflib.get_close_matches(source.lower(), _known(also, answered), n=2, cutoff=0.5)
        meant = f"; near are {', '.join(near)}" if near else ""
        raise OptionError(f"prompts={source} is unknown{meant}; allowed are {_allowed(also, answered)}")


def _neighbours(path: Path) -> str:
    if not path.parent.is_dir():
        return f", nor a folder {path.parent.absolute()}"
    names = sorted(p.name for p in path.parent.iterdir() if p.suffix.lower() in READABLE)
    near = difflib.get_close_matches(path.name, names, n=5, cutoff=0.5) or names[:5]
    return f" in {path.parent.absolute()}; files there that can be read: {listed(near)}"


def labels(sources: Sequence[str]) -> dict[str, str]:
    """Returns each source once, with what its prompts are called: a file by its name, by its path where names are shared.

    Args:
        sources: Checked ones; `world` stands for its categories.
    """
    expanded = [name for source in sources for name in (CATEGORIES if source == WORLD else (source,))]
    short = {s: s if s in BUILT_IN or not Path(s).expanduser().exists() else Path(s).name for s in expanded}
    shared = {label for label in short.values() if list(short.values()).count(label) > 1}
    return {source: source if label in shared else label for source, label in short.items()}


def some(items: Sequence[Any], count: int, seed: int) -> list[Any]:
    """Returns so many of the items, or all where there are fewer, in their order; the same for the same seed.

    Args:
        items: To choose from.
        count: How many.
        seed: Of the choice.
    """
    chosen = sorted(Random(f"prompts {seed}").sample(range(len(items)), min(count, len(items))))
    return [items[i] for i in chosen]


def _questions(category: str, count: int, seed: int) -> list[Passage]:
    return [Passage(f"{category} {number}", category, item.text, {"messages": chat_messages(item)})
            for number, item in enumerate(distinct_questions(category, count, seed), start=1)]


def _whole_file(source: str) -> str:
    try:
        text = Path(source).expanduser().read_text(encoding="utf-8-sig").rstrip("\n")
    except UnicodeDecodeError as error:
        raise DataError(f"{source}: byte {error.start + 1} is not UTF-8; save the file as UTF-8") from error
    if not text.strip():
        raise DataError(f"{source}: holds no text; a prompt needs at least one letter")
    return text


def _cells(source: str, label: str, column: str, count: int, seed: int) -> list[Passage]:
    rows = list(columns(source))
    if not rows:
        raise DataError(f"{source}: holds no rows; prompts need at least one")
    found = []
    for number, row in some(rows, count, seed):
        where = f"{source} row {number}"
        if column not in row:
            near = difflib.get_close_matches(column, list(row), n=1)
            raise DataError(f"{where}: has no column '{column}'; its columns are {listed(row)}"
                            f"{f'; type column={near[0]}' if near else ''}")
        cell = row[column]
        if not isinstance(cell, str) or not cell.strip():
            raise malformed(where, column, cell, "text that is not empty")
        found.append(Passage(f"{label} row {number}", label, cell))
    return found


def columns(source: str) -> Iterator[tuple[int, Row]]:
    """Yields the number, from 1, and the cells of each row of a data file, a dataset folder or a Hub id.

    Args:
        source: As `check_sources` lets it pass.

    Raises:
        DataError: It cannot be read.
    """
    path = Path(source).expanduser()
    if path.is_file():
        return files.KINDS[path.suffix.lower()](path, source)
    if path.is_dir():
        return dataset_rows(str(path), source, None, "train")
    name, configuration, split = (source.split(":") + ["", ""])[:3]
    return dataset_rows(name, source, configuration or None, split or "train")


def _rows(source: str, label: str, count: int, seed: int) -> list[Passage]:
    return [Passage(f"{label} row {row['meta']['row']}", label, _without_template(row), row)
            for row in some(files.read(source), count, seed)]


def _without_template(row: Conversation) -> str | None:
    if "text" in row:
        return row["text"]
    messages = row["messages"]
    if "tools" in row or any("tool_calls" in message for message in messages):
        return None  # only a template says how a call is written
    return "\n\n".join(message["content"] for message in messages)
