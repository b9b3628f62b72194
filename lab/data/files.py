"""Reads instruction data: a local file by its kind, or a dataset folder or Hub id. Every row, or an error."""

import difflib
import re
from collections.abc import Iterator
from pathlib import Path

from lab.data.columnar import dataset_rows, parquet_rows
from lab.data.conversation import Conversation, canonical
from lab.data.forms import Form, Row, convert, metadata, recognise
from lab.data.malformed import listed
from lab.data.textual import csv_rows, json_rows, jsonl_rows
from lab.errors import DataError

KINDS = {".jsonl": jsonl_rows, ".json": json_rows, ".csv": csv_rows, ".parquet": parquet_rows}
HUB_ID = re.compile(r"[\w.-]+(/[\w.-]+)?(:[\w.-]*){0,2}")


def read(source: str) -> list[Conversation]:
    """Returns every row of a source as a conversation, in order.

    The form (alpaca, prompt/completion, messages, text) is recognised by the columns of the first row and holds for
    all rows. Cells of a csv file are text as they stand; in the other kinds a number where text belongs is an error.
    An answer may be empty text, never missing.

    Args:
        source: A path ending in `.jsonl` (an object a line), `.json` (an array of objects, or `{"data": [...]}`),
            `.csv` (commas, a header line) or `.parquet`; a folder that `datasets` can load; or a Hub id,
            `owner/name[:configuration[:split]]`, of which the split `train` is read unless another is named.

    Raises:
        DataError: The source is missing, empty or out of reach, or a row is malformed.
    """
    form: Form | None = None
    conversations = []
    for number, row in _rows(source):
        where = f"{source} row {number}"
        form = form or recognise(row, source)
        meta = {"row": number, **metadata(row, form, where)}
        conversations.append({**convert(row, form, where), "meta": meta})
        _check_encodable(row, form, where)
    if not conversations:
        raise DataError(f"{source}: holds no rows; a dataset needs at least two, one of them to be held out")
    return conversations


def _rows(source: str) -> Iterator[tuple[int, Row]]:
    path = Path(source).expanduser()
    suffix = path.suffix.lower()
    if path.is_file():
        if suffix not in KINDS:
            raise DataError(f"{source}: a file ending in '{suffix}' is not read; allowed are {listed(KINDS)}")
        return KINDS[suffix](path, source)
    if path.is_dir():
        return dataset_rows(str(path), source, None, "train")
    if suffix in KINDS or not HUB_ID.fullmatch(source):
        hint = "" if path.is_absolute() else "; `mlflow run` starts in the project's folder, so write an absolute path"
        raise DataError(f"dataset={source}: there is no such file{_neighbours(path)}{hint}")
    name, configuration, split = (source.split(":") + ["", ""])[:3]
    return dataset_rows(name, source, configuration or None, split or "train")


def _check_encodable(row: Row, form: Form, where: str) -> None:
    for column in (*form.required, *form.optional):
        try:
            canonical(row.get(column)).encode()
        except UnicodeEncodeError as error:
            raise DataError(f"{where}, column '{column}': found half a surrogate pair, which is no character; allowed "
                            "is Unicode text") from error


def _neighbours(path: Path) -> str:
    folder = path.parent
    if not folder.is_dir():
        return f", nor a folder {folder.absolute()}"
    names = sorted(p.name for p in folder.iterdir() if p.suffix.lower() in KINDS)
    near = difflib.get_close_matches(path.name, names, n=5, cutoff=0.5) or names[:5]
    return f" in {folder.absolute()}; data files there: {listed(near)}"
