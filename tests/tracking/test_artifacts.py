"""Files of a run: JSON that any reader takes, tables as MLflow writes them, arrays without pickles."""

import json
from pathlib import Path

import matplotlib
import numpy as np
import pytest

from lab.errors import TrackingError
from lab.tracking import artifacts

matplotlib.use("Agg")


def test_json_has_no_numbers_that_json_lacks() -> None:
    value = {"a": (1, np.float32(0.5)), 2: float("nan"), "c": {"d": np.array([1.0, np.inf])}, "e": Path("x"), "f": None}
    text = artifacts.json_text(value)
    found = json.loads(text, parse_constant=lambda name: pytest.fail(name))
    assert found == {"a": [1, 0.5], "2": None, "c": {"d": [1.0, None]}, "e": "x", "f": None}
    assert json.loads(artifacts.json_line(value)) == found and "\n" not in artifacts.json_line(value)


def test_tables_equal_what_mlflow_writes() -> None:
    import pandas as pd

    rows = [{"r": 1, "loss": 0.5, "word": "é|\n"}, {"r": 2, "loss": float("nan"), "word": "b"}]
    mlflows = pd.DataFrame(rows).to_json(orient="split", index=False)
    assert json.loads(artifacts.table_text(rows)) == json.loads(mlflows)


def test_rows_may_have_different_columns() -> None:
    assert json.loads(artifacts.table_text([{"a": 1}, {"b": 2, "a": 3}])) == {
        "columns": ["a", "b"],
        "data": [[1, None], [3, 2]],
    }


def test_arrays_come_back_as_they_were(tmp_path: Path) -> None:
    arrays = {"steps": np.arange(3), "names": np.array(["a", "ß"]), "x": np.float32([[1.5]])}
    artifacts.write_arrays(arrays, tmp_path / "data/deep/loss.npz")
    with np.load(tmp_path / "data/deep/loss.npz", allow_pickle=False) as found:
        assert set(found.files) == set(arrays)
        for name, array in arrays.items():
            assert found[name].dtype == array.dtype and np.array_equal(found[name], array)


def test_arrays_of_objects_are_refused(tmp_path: Path) -> None:
    with pytest.raises(TrackingError, match=r"array a of loss.npz holds Python objects; allowed: numbers and fixed"):
        artifacts.write_arrays({"a": np.array([None, 1], dtype=object)}, tmp_path / "loss.npz")


def test_a_figure_is_written_at_150_dots_an_inch_and_closed(tmp_path: Path) -> None:
    import matplotlib.pyplot as plt
    from PIL import Image

    figure, _ = plt.subplots(figsize=(4, 2))
    artifacts.write_figure(figure, tmp_path / "figures/loss.png")
    assert plt.get_fignums() == []
    with Image.open(tmp_path / "figures/loss.png") as image:
        assert round(image.info["dpi"][0]) == 150
