"""Trainings of a study: found again where they are the same, trained where they are not, and read as they were recorded."""

from dataclasses import replace

import numpy as np
import pytest

import lab
from lab.errors import OptionError, RunNotFound
from lab.studies import finetune, lora_rank, retention, trials, trials_kept
from lab.studies.trials import TrialOptions
from lab.studies.trials_part import Clock, Part
from lab.tracking.hypotheses import Hypothesis
from lab.tracking.run import open_run
from lab.tracking.store import client

pytestmark = pytest.mark.usefixtures("one_thread", "place")
CONFIG = finetune.Config(facts=16, answers=16, steps=2, batch_size=8, eval_every=1, lr=5e-3, r=2)
STATED = [Hypothesis("orders", "…", "…", "0")]


def name(config):
    return f"{config.method} r={config.r} seed={config.seed}"


def study(grid, **options):
    """The study's run id and what it trained; it closes only what is not finished."""
    asked = TrialOptions(**options)
    with open_run("learning_rate", asked, name="study") as run:
        run.state(STATED, None)
        trained = trials.train(run, "learning_rate", grid, asked, name=name)
        trials.close_part(run, trained, STATED, question="?", limits=[])
    return run.id, trained


@pytest.fixture(scope="module")
def first(place):
    """The first of two parts of a grid with an adapter and a whole model."""
    grid = [CONFIG, replace(CONFIG, method="full", lr=1e-3), replace(CONFIG, evaluate="forgetting", evaluate_items=16,
                                                                     checkpoints=2, replay=0.5)]
    run_id, trained = study(grid, part="1/2")
    return grid, run_id, trained


def test_a_part_trains_its_share_and_says_how_to_go_on(first):
    grid, run_id, trained = first
    assert [trial.config for trial in trained.trials] == [grid[0], grid[2]] and trained.left == [grid[1]]
    assert f"resume={run_id}" in trained.command and "part=2/2" in trained.command
    rows = lab.runs("learning_rate").set_index("run_id")
    assert rows.loc[run_id, "verdict.orders"] == "undecided" and rows.loc[run_id, "ended"] == "finished"
    assert "2 of 3 trained" in client().get_run(run_id).data.tags["mlflow.note.content"]


def test_what_is_finished_is_read_and_only_the_rest_is_trained(first):
    grid, run_id, trained = first
    later, done = study([replace(grid[0], seed=7), *grid], resume=(run_id[:10],), part="2/2")
    assert [trial.run_id for trial in done.trials[:1]] == [trained.trials[0].run_id] and done.left == [
        replace(grid[0], seed=7), grid[1]] and done.trials[1].run_id == trained.trials[1].run_id
    last, all_of_them = study(grid, resume=(later,))
    assert not all_of_them.left and all_of_them.command == ""
    assert [t.run_id for t in all_of_them.trials[::2]] == [t.run_id for t in trained.trials]
    children = trials_kept.children(client(), client().get_run(last).info.experiment_id, last)
    assert children == [all_of_them.trials[1].run_id]
    whole = all_of_them.trials[1]
    assert (whole.method, whole.r, whole.parameters) == ("full", None, 3050304)


def test_a_trial_is_what_its_run_recorded(first):
    plain, measured = first[2].trials
    steps, losses = lab.history(plain.run_id, "eval/loss")
    assert plain.steps.tolist() == steps.tolist() == [0, 1, 2] and plain.loss == pytest.approx(losses)
    assert plain.learned == pytest.approx(losses[0] - losses) and plain.correct == {} and plain.replay == 0
    assert (plain.r, plain.lr, plain.seed, plain.diverged_at, plain.parameters) == (2, 5e-3, 0, None, 43776)
    with pytest.raises(ValueError, match="evaluate=forgetting"):
        plain.lost_points  # noqa: B018
    with pytest.raises(ValueError, match="evaluate=forgetting"):
        plain.text_lost  # noqa: B018
    steps, lost = lab.history(measured.run_id, "forgetting/lost_points")
    assert measured.steps.tolist() == steps.tolist() == [0, 1, 2] and measured.lost_points == pytest.approx(lost)
    assert measured.lost_interval.shape == (3, 2) and set(measured.correct) == {"math", "reasoning", "code", "knowledge"}
    assert all(right.shape == (3, 16) and right.dtype == bool for right in measured.correct.values())
    bits = lab.history(measured.run_id, "forgetting/text_bits_per_byte")[1]
    assert measured.text_lost == pytest.approx(bits - bits[0]) and measured.replay == 0.5
    kept = lab.arrays(measured.run_id, "forgetting")
    assert {"math/gold_nll", "math/cluster", "text/nll", "text/bytes", "learning/nll", "learning/tokens"} <= set(kept)
    assert measured.loss == pytest.approx(kept["learning/nll"].sum(1) / kept["learning/tokens"].sum())
    assert retention.read(kept).lost_points == pytest.approx(lost)


def test_what_was_replayed_is_in_the_record(first):
    run = client().get_run(first[2].trials[1].run_id)
    assert run.data.params["data.replay_rows"] == "16" and len(run.data.params["data.replay_sha256"]) == 64
    assert run.data.tags["lab.dataset.replay"] == run.data.params["data.replay_sha256"]
    assert run.data.tags["verdict.forgets"] in ("supported", "refuted", "undecided")


@pytest.mark.parametrize("fact", ["base.fingerprint", "data.sha256"])
def test_a_training_on_another_base_or_other_data_is_not_reused(first, monkeypatch, fact):
    grid, run_id, trained = first
    finished = trials_kept.finished

    def changed(references):
        found = finished(references)
        for run in (run for each in found.values() for run in each if run.info.run_id == trained.trials[0].run_id):
            run.data.params[fact] = "other"
        return found

    monkeypatch.setattr(trials_kept, "finished", changed)
    _, again = study(grid[:1], resume=(run_id,))
    assert again.trials[0].run_id != trained.trials[0].run_id and not again.left
    assert again.trials[0].loss == pytest.approx(trained.trials[0].loss, abs=0)


def test_an_interrupted_study_leaves_its_finished_trainings(first, capsys):
    grid = [replace(CONFIG, seed=3), replace(CONFIG, seed=4)]

    def interrupted(config):
        if config.seed == 4:
            raise KeyboardInterrupt
        return name(config)

    asked = TrialOptions()
    with pytest.raises(KeyboardInterrupt), open_run("learning_rate", asked, name="study") as run:
        run.state(STATED, None)
        trials.train(run, "learning_rate", grid, asked, name=interrupted)
    assert client().get_run(run.id).info.status == "KILLED"
    assert f"resume={run.id}" in capsys.readouterr().out
    kept = trials_kept.finished((run.id,))
    assert list(kept) == [trials_kept.key(grid[0])]


def test_no_training_is_begun_that_would_end_too_late(first):
    grid, run_id, _ = first
    _, trained = study([*grid, replace(CONFIG, seed=9)], resume=(run_id,), minutes=1e-4)
    assert trained.left == [grid[1], replace(CONFIG, seed=9)] and "part=1/1" in trained.command
    assert "minutes=1e-4" in trained.command


def test_the_clock_goes_by_the_slowest_row_of_the_method():
    clock = Clock(1.0)
    clock.took(CONFIG, 1.0)
    assert clock.allows(CONFIG) and clock.allows(replace(CONFIG, method="full"))
    assert not clock.allows(replace(CONFIG, steps=1000)) and Clock(None).allows(replace(CONFIG, steps=10**9))
    assert not Clock(0.0).allows(CONFIG)


def test_parts_share_the_grid_and_the_last_is_followed_by_what_is_left():
    shares = [Part.read(f"{number}/3").of(range(8)) for number in (1, 2, 3)]
    assert shares == [[0, 3, 6], [1, 4, 7], [2, 5]]
    assert Part.read("1/3").next == "2/3" and Part.read("3/3").next == "1/1"


@pytest.mark.parametrize("part", ["0/2", "3/2", "2", "a/b", "1/0"])
def test_a_part_that_is_none_is_refused(part):
    with pytest.raises(OptionError, match=r"such as 1/1, or 2/8"):
        trials.check(TrialOptions(part=part))


def test_a_run_that_is_not_there_is_refused():
    with pytest.raises(RunNotFound, match="abcdef12"):
        trials.check(TrialOptions(resume=("abcdef12",)))


def test_a_run_that_trained_nothing_is_no_trial(first):
    with pytest.raises(OptionError, match="no finished training"):
        trials.read(first[1])


def test_any_training_of_the_lab_can_be_read(first):
    run_id = lora_rank.run(lora_rank.Config(facts=16, answers=16, steps=2, batch_size=8, eval_every=1, lr=5e-3, r=(2,)))
    assert trials.read(run_id).loss == pytest.approx(first[2].trials[0].loss, abs=0)


def test_a_guess_and_a_registered_name_do_not_make_another_training():
    assert trials_kept.key(CONFIG) == trials_kept.key(replace(CONFIG, predict="yes", register="a@b"))
    assert trials_kept.key(CONFIG) != trials_kept.key(replace(CONFIG, alpha=16.0))
    assert np.unique([trials_kept.key(replace(CONFIG, seed=seed)) for seed in range(5)]).size == 5
