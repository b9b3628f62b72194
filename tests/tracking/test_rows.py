"""Runs as a table: one row each, in true types."""

import pandas as pd
import pytest

from lab.tracking import rows
from lab.tracking.hypotheses import Hypothesis, Verdict
from lab.tracking.run import open_run
from tests.tracking.dummy_config import Config


def test_a_store_without_runs_is_an_empty_table(store: str) -> None:
    assert rows.runs().empty
    assert list(rows.runs("lora_rank").columns)[:3] == ["run_id", "name", "study"]


def test_rows_have_the_types_of_the_config(store: str) -> None:
    with open_run("lora_rank", Config(r=(1, 4), text="8" * 9000), name="parent") as parent:
        parent.state([Hypothesis("falls", "s", "r", "n")])
        with open_run("lora_rank", Config(r=(4,), lr=1e-5, predict="up"), name="child") as child:
            child.step(1, {"train/loss": 2.0})
            child.step(2, {"train/loss": 1.0})
        parent.conclude([Verdict("falls", "refuted", 1.0, "nats", None, "items", "0")])
    with pytest.raises(ValueError), open_run("finetune", Config(), name="other"):
        raise ValueError
    table = rows.runs("lora_rank").set_index("run_id")
    assert list(table.index) == [child.id, parent.id]
    first, second = table.loc[child.id], table.loc[parent.id]
    assert (first["config.r"], first["config.lr"], first["config.predict"]) == ((4,), 1e-5, "up")
    assert (second["config.r"], second["config.text"]) == ((1, 4), "8" * 9000)
    assert first["parent_run_id"] == parent.id and pd.isna(second["parent_run_id"])
    assert (second["verdict.falls"], second["status"], second["ended"]) == ("refuted", "FINISHED", "finished")
    assert first["metric.train/loss"] == 1.0 and table["metric.train/loss"].dtype == "float64"
    assert table["start"].dt.tz is not None and (table["end"] >= table["start"]).all()
    everything = rows.runs()
    assert set(everything["study"]) == {"lora_rank", "finetune"}
    assert everything.set_index("name").loc["other", "ended"] == "failed:ValueError"


def test_whole_numbers_stay_whole_in_a_column_with_gaps(store: str) -> None:
    from dataclasses import dataclass

    from lab.options import option

    @dataclass(frozen=True)
    class Stepped:
        steps: int = option(100, "steps")
        capacity: bool = option(False, "check")

    with open_run("a", Stepped(), name="a"), open_run("b", Config(), name="b"):
        pass
    table = rows.runs()
    assert str(table["config.steps"].dtype) == "Int64" and str(table["config.capacity"].dtype) == "boolean"
    assert sorted(table["config.steps"].dropna()) == [100]
