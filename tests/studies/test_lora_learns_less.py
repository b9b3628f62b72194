"""The study on the embedded model, in two parts, with trainings of a few steps."""

import json

import numpy as np
import pytest

import lab
from lab.studies import lora_learns_less
from lab.studies.lora_learns_less import Config
from lab.tracking.lookup import find
from tests.studies.test_attention_compare import files_of, text_of, undrawn

TINY = {"r": (2,), "lr": (3e-3,), "full_lr": (1e-3,), "dataset": "embedded:facts", "facts": 40,
        "steps": 8, "batch_size": 8, "seeds": 2, "evaluate_items": 8, "checkpoints": 2}

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def parts(place):
    """The first share of the first round, then all that is left."""
    with undrawn("frontier", "rates", "full_update"):
        first = lora_learns_less.run(Config(**TINY, part="1/2"))
        return first, lora_learns_less.run(Config(**TINY, resume=(first,)))


def test_a_part_decides_nothing_and_says_how_to_go_on(place, parts):
    found = json.loads(text_of(place, parts[0], "verdicts.json"))
    assert {row["outcome"] for row in found} == {"undecided"} and "1 of 2 trained" in found[0]["detail"]
    report = text_of(place, parts[0], "report.md")
    assert f"resume={parts[0]}" in report and "-e lora_learns_less" in report and "part=2/2" in report


def test_the_rest_is_trained_once_and_all_is_judged(place, parts):
    runs = lab.runs("finetune")
    assert (runs["parent_run_id"] == parts[0]).sum() == 1 and (runs["parent_run_id"] == parts[1]).sum() == 3
    verdicts = {row["name"]: row for row in json.loads(text_of(place, parts[1], "verdicts.json"))}
    assert len(verdicts) == 7
    assert all(np.isfinite(row["value"]) for name, row in verdicts.items() if name != "forgets_less_at_equal_learning")
    assert "seeds (n=2)" in verdicts["lora_learns_less"]["covers"]
    files = files_of(place, parts[1])
    assert {f"figures/{name}.png" for name in ("frontier", "rates", "full_update")} <= files
    assert {f"tables/{name}.json" for name in ("arms", "paper", "rates", "checkpoints", "suites", "full_update")} <= files


def test_the_tables_say_what_the_trainings_recorded(parts):
    rows = lab.table(parts[1], "arms")
    assert [row["arm"] for row in rows] == ["r=2", "full"] and all(row["seeds"] == 2 for row in rows)
    arrays = lab.arrays(parts[1], "frontier")
    assert list(arrays["full/seed_1/steps"]) == [0, 4, 8] and arrays["r=2/seed_0/lost_points"][0] == 0
    metrics = find(parts[1]).data.metrics
    mean = np.mean([arrays[f"full/seed_{seed}/learned"][-1] for seed in (0, 1)])
    assert metrics["learning/full_learned_nats_per_token"] == pytest.approx(mean, rel=1e-6)
    update = lab.arrays(parts[1], "full_update")
    assert metrics["geometry/full_update_rank_90_share"] == pytest.approx(update["share"].mean(), rel=1e-6)
    assert update["gaussian_share"][0] == pytest.approx(0.51, abs=0.02) and update["share"].shape == (6, 7)
