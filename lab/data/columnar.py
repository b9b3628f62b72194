"""Rows of what is stored by column: a .parquet file, and whatever the `datasets` library loads."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lab.data.forms import Row
from lab.errors import DataError


def parquet_rows(path: Path, source: str) -> Iterator[tuple[int, Row]]:
    """Yields the number, from 1, and the cells of each row.

    Args:
        path: The file.
        source: What the user called it, for errors.

    Raises:
        DataError: The file is no parquet.
    """
    import pyarrow
    from pyarrow import parquet

    try:
        rows = parquet.ParquetFile(path).read().to_pylist()
    except (pyarrow.ArrowException, OSError) as error:
        raise DataError(f"{source}: cannot be read as parquet: {error}") from error
    return _numbered(rows)


def dataset_rows(name: str, source: str, configuration: str | None, split: str) -> Iterator[tuple[int, Row]]:
    """Yields the number, from 1, and the cells of each row of one split.

    Args:
        name: Hub id, or a folder.
        source: What the user typed, for errors.
        configuration: Which of the dataset's configurations, if it has several.
        split: Which split.

    Raises:
        DataError: The dataset cannot be loaded, whatever the reason.
    """
    import datasets

    try:
        rows = datasets.load_dataset(name, configuration, split=split).to_list()
    except Exception as error:  # the loader passes on the errors of a dozen libraries
        raise DataError(
            f"{source}: no such file here, and `datasets` cannot load it (configuration {configuration or 'default'}, "
            f"split {split}): {type(error).__name__}: {error}. Give a .jsonl, .json, .csv or .parquet file, a Hub id "
            "as owner/name[:configuration[:split]], or embedded:<set>") from error
    return _numbered(rows)


def _numbered(rows: list[Row]) -> Iterator[tuple[int, Row]]:
    for number, row in enumerate(rows, start=1):
        yield number, {column: _without_nulls(cell) for column, cell in row.items()}


def _without_nulls(cell: Any) -> Any:
    # stored by column, every object of a list has the keys of all of them, null where it had none
    if isinstance(cell, dict):
        return {key: _without_nulls(item) for key, item in cell.items() if item is not None}
    return [_without_nulls(item) for item in cell] if isinstance(cell, list) else cell
