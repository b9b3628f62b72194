"""The files a run keeps, as they are written to disk before they are handed to the store."""

import json
import math
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lab.errors import TrackingError

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.figure import Figure

_DPI = 150


def json_text(value: Any) -> str:
    """Indented JSON; numbers that JSON lacks (nan, inf) become null."""
    return json.dumps(_plain(value), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def json_line(value: Any) -> str:
    """JSON on one line, for a tag."""
    return json.dumps(_plain(value), ensure_ascii=False, allow_nan=False)


def table_text(rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows in the form of MLflow's tables: columns in the order of their first appearance, missing cells null."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    data = [[row.get(name) for name in columns] for row in rows]
    return json_line({"columns": columns, "data": data})


def write_figure(fig: "Figure", path: Path) -> None:
    """Writes the figure as PNG and closes it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fig.savefig(path, dpi=_DPI, bbox_inches="tight")
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close(fig)


def write_arrays(arrays: Mapping[str, "np.ndarray"], path: Path) -> None:
    """Writes arrays that can be read without running pickled code.

    Raises:
        TrackingError: An array holds Python objects.
    """
    import numpy as np

    plain = {name: np.asarray(array) for name, array in arrays.items()}
    for name, array in plain.items():
        if array.dtype.hasobject:
            raise TrackingError(f"array {name} of {path.name} holds Python objects; allowed: numbers and fixed text")
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(path, allow_pickle=False, **plain)


def _plain(value: Any) -> Any:
    """Mappings, lists, numbers and text only; numpy's scalars and arrays included."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, str | int):
        return value
    if hasattr(value, "tolist"):
        return _plain(value.tolist())
    return str(value)
