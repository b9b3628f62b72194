"""What is forgotten while something else is learned: suites, checkpoints, the sweep's frontier, and what is refused."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

import lab
from lab.errors import OptionError
from lab.evaluation import lost
from lab.evaluation.frontier import undominated
from lab.studies import finetune, forgotten, frontiers, lora_rank, retention
from lab.studies.training_options import check
from lab.tracking.store import client

pytestmark = pytest.mark.usefixtures("one_thread", "place")
TINY = {"facts": 16, "answers": 16, "steps": 2, "batch_size": 8, "eval_every": 1, "evaluate": "forgetting",
        "evaluate_items": 16, "checkpoints": 1}


def test_a_sweep_draws_its_frontier_and_says_what_each_lost(monkeypatch):
    run_id = lora_rank.run(lora_rank.Config(**TINY, lr=5e-3, r=(1, 4)))
    kept, rows = lab.arrays(run_id, "frontier"), lab.table(run_id, "frontier")
    assert kept["labels"].tolist() == ["r=1", "r=4"] == [row["training"] for row in rows]
    for number, row in enumerate(rows):
        child = retention.read(lab.arrays(row["run"], "forgetting"))
        assert kept[f"{number}/lost_points"] == pytest.approx(child.lost_points)
        assert kept[f"{number}/learned"] == pytest.approx(child.learned) and row["lost (points)"] == child.lost_points[-1]
        assert kept[f"{number}/interval"] == pytest.approx(lost.interval(child.correct, child.clusters))
    assert {"lost (points)", "lost, 95 % interval"} <= set(lab.table(run_id, "ranks")[0])
    assert "Learning and forgetting" in client().get_run(run_id).data.tags["mlflow.note.content"]


def test_a_training_that_comes_apart_is_a_finding_without_a_number():
    run_id = finetune.run(finetune.Config(**{**TINY, "steps": 3, "checkpoints": 3}, lr=1e6, method="full"))
    run = client().get_run(run_id)
    assert run.data.tags["lab.ended"] == "finished" and "lab.diverged_at_step" in run.data.tags
    assert all(np.isfinite(value) for value in run.data.metrics.values())
    assert run.data.tags["verdict.forgets"] in ("undecided", "supported")
    kept = lab.arrays(run_id, "forgetting")
    assert all(np.isfinite(values).all() for name, values in kept.items() if "cluster" not in name)


def test_rings_are_the_points_that_no_checkpoint_of_any_training_beats():
    learned, cost = [np.array([0.0, 1.0, 2.0]), np.array([0.0, 1.5])], [np.array([0.0, 1.0, 5.0]), np.array([0.0, 1.0])]
    found = frontiers.rings(learned, cost)
    assert [ring.tolist() for ring in found] == [[False, False, True], [False, True]]
    assert undominated([1, 2, 1.5], [1, 5, 1]).tolist() == [False, True, True]


def test_nothing_is_stated_or_shown_where_nothing_is_measured():
    plain = finetune.Config()
    assert forgotten.hypotheses(plain) == [] and forgotten.limits(["a"], plain) == ["a"]
    measured = replace(plain, evaluate="forgetting")
    assert [each.name for each in forgotten.hypotheses(measured)] == ["forgets"]
    assert forgotten.SAYS_NOTHING not in forgotten.limits([forgotten.SAYS_NOTHING], measured)


def test_replayed_data_without_a_share_is_refused():
    with pytest.raises(OptionError, match="replay=0.25"):
        check(finetune.Config(replay_data="embedded:placebo"))


@pytest.mark.parametrize("changes", [{"replay": 1.0}, {"replay": -0.1}, {"evaluate_items": 0}, {"checkpoints": 0},
                                     {"evaluate": "all"}])
def test_what_is_out_of_range_is_refused(changes):
    with pytest.raises(OptionError, match=next(iter(changes))):
        check(finetune.Config(**changes))


def test_data_like_that_of_an_unknown_base_has_to_be_named(monkeypatch):
    monkeypatch.setattr(retention, "knows_the_world", lambda base: False)
    with pytest.raises(OptionError, match="replay_data=owner/name"):
        retention.auto_replay("auto", SimpleNamespace())
    assert retention.auto_replay("owner/name", SimpleNamespace()) == "owner/name"
