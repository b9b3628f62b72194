"""Rows of the files that are text: .jsonl, .json and .csv. A row is numbered from 1; in .jsonl that is its line."""

import csv
import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lab.data.forms import Row
from lab.data.malformed import described, listed
from lab.errors import DataError

BETWEEN_ELEMENTS = re.compile(r"[\s,]*")
LONGEST_CELL = 2**31 - 1  # the reader's own limit stops at answers of 128 KiB


def jsonl_rows(path: Path, source: str) -> Iterator[tuple[int, Row]]:
    """Yields the number and the object of each line.

    Args:
        path: The file.
        source: What the user called it, for errors.

    Raises:
        DataError: A line (an empty one too, except at the end) is not a JSON object in UTF-8.
    """
    content = path.read_bytes().removeprefix(b"\xef\xbb\xbf").rstrip()
    for number, line in enumerate(content.split(b"\n") if content else [], start=1):
        where = f"{source} row {number}"
        try:
            row = json.loads(line.decode("utf-8"))
        except UnicodeDecodeError as error:
            raise DataError(f"{where}: byte {error.start + 1} of the line is not UTF-8; save it as UTF-8") from error
        except json.JSONDecodeError as error:
            raise DataError(f"{where}, character {error.colno}: {error.msg}; found {described(error.doc.strip())}; "
                            "allowed is one JSON object a line") from error
        yield number, _object(row, where)


def json_rows(path: Path, source: str) -> Iterator[tuple[int, Row]]:
    """Yields the number and the object of each element of an array, bare or under the key `data`.

    Args:
        path: The file.
        source: What the user called it, for errors.

    Raises:
        DataError: The file is no JSON in UTF-8, no array, or an element is no object.
    """
    text = _decoded(path, source)
    try:
        found = json.loads(text) if text.strip() else []
    except json.JSONDecodeError as error:
        raise DataError(f"{source} row {_row_at(text, error.pos)} (line {error.lineno}, character {error.colno}): "
                        f"{error.msg}; allowed is one JSON array of objects (an object a line is .jsonl)") from error
    rows = found.get("data") if isinstance(found, dict) else found
    if not isinstance(rows, list):
        raise DataError(f"{source}: found {described(found)}; allowed is an array of objects, or "
                        '{"data": [...]} with that array')
    for number, row in enumerate(rows, start=1):
        yield number, _object(row, f"{source} row {number}")


def csv_rows(path: Path, source: str) -> Iterator[tuple[int, Row]]:
    """Yields the number and the cells of each row below the header; every cell is text as it stands.

    Args:
        path: The file.
        source: What the user called it, for errors.

    Raises:
        DataError: The file is not UTF-8, its header has empty or repeated names, its quotes do not pair, or a row has
            more or fewer cells than the header.
    """
    csv.field_size_limit(LONGEST_CELL)
    reader = csv.reader(io.StringIO(_decoded(path, source).rstrip("\r\n"), newline=""), strict=True)
    number = 0
    try:
        header = next(reader, [])
        if len(set(header)) < len(header) or not all(header):
            raise DataError(f"{source} line 1: the header is {listed(header)}; allowed are different names, none empty")
        for number, cells in enumerate(reader, start=1):
            if len(cells) != len(header):
                column = header[min(len(cells), len(header) - 1)]
                raise DataError(f"{source} row {number} (line {reader.line_num}), column '{column}': the row has "
                                f"{len(cells)} cells; allowed are {len(header)}: {listed(header)}. Quote a cell that "
                                "holds commas or line breaks")
            yield number, dict(zip(header, cells, strict=True))
    except csv.Error as error:
        raise DataError(f"{source} row {number + 1} (line {reader.line_num}): {error}; allowed are cells divided by "
                        'commas, in "…" where they hold commas, line breaks or (doubled) quotes') from error


def _row_at(text: str, position: int) -> int:
    """Which element of the array a syntax error is in: one more than the elements that end before it."""
    decoder, at, row = json.JSONDecoder(), text.find("[") + 1, 1
    while True:
        try:
            _, at = decoder.raw_decode(text, BETWEEN_ELEMENTS.match(text, at).end())  # type: ignore[union-attr]
        except json.JSONDecodeError:
            return row
        if at >= position:
            return row
        row += 1


def _object(row: Any, where: str) -> Row:
    if not isinstance(row, dict):
        raise DataError(f"{where}: found {described(row)}; allowed is a JSON object with named columns")
    return row


def _decoded(path: Path, source: str) -> str:
    content = path.read_bytes()
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise DataError(f"{source} line {line}: holds a byte that is not UTF-8; save the file as UTF-8") from error
