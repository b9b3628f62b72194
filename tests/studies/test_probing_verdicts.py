"""Every claim about the residual stream can come out either way, by its interval."""

from dataclasses import replace

import numpy as np
import pytest

from lab.data.labelled import Labelled
from lab.data.prompts import Prompt
from lab.studies.probing_hypotheses import hypotheses
from lab.studies.probing_intervals import Clusters
from lab.studies.probing_measure import Measured
from lab.studies.probing_readable import Readable
from lab.studies.probing_readable import verdicts as readable_verdicts
from lab.studies.probing_verdicts import Evidence, verdicts

N, L = 30, 4
RNG = np.random.default_rng(0)
GROUPED = Clusters(np.arange(N), f"questions (n={N})")
ALL = np.ones(N, dtype=bool)


def measured(*, slope=0.1, share=0.3, attention=1.0, feed_forward=2.0, first=3):
    noise = 1 + 0.01 * RNG.normal(size=(N, L))
    rank = np.where(np.arange(L) >= first, 1, 5) * np.ones((N, 1))
    return Measured(
        {"post_ffn": np.exp(slope * np.arange(L)) * noise, "pre_attn": noise, "attention_share": share * noise}, {},
        {"rank": rank}, {}, {"attention": attention * noise, "feed_forward": feed_forward * noise,
                             "total": (attention + feed_forward) * noise.sum(1)}, {}, 8)


def outcomes(model, base=None, untrained=0.05):
    evidence = Evidence(model, GROUPED, np.full(N, untrained), base, ALL, "all questions", GROUPED)
    stated = hypotheses(layers=L, tuned=base is not None, untrained=True)
    found = verdicts(evidence, stated)
    assert [one.name for one in found] == [one.name for one in stated]
    return {one.name: one for one in found}


@pytest.mark.parametrize(("name", "up", "down"), [
    ("norms_grow_with_depth", {"slope": 0.1}, {"slope": -0.1}),
    ("norms_grow_more_than_untrained", {"slope": 0.1}, {"slope": 0.02}),
    ("feed_forward_writes_more", {"share": 0.4}, {"share": 0.6}),
    ("feed_forward_attributes_more", {"attention": 1.0}, {"attention": 3.0}),
    ("answer_appears_late", {"first": 3}, {"first": 0})])
def test_claims_about_one_model_come_out_either_way(name, up, down):
    assert outcomes(measured(**up))[name].outcome == "supported"
    assert outcomes(measured(**down))[name].outcome == "refuted"


@pytest.mark.parametrize(("name", "base", "up", "down"), [
    ("training_raised_the_answer", {}, {"attention": 2.0}, {"attention": 0.5}),
    ("training_wrote_through_feed_forward", {}, {"feed_forward": 3.0}, {"attention": 2.0}),
    ("training_moved_the_answer_earlier", {"first": 2}, {"first": 1}, {"first": 3})])
def test_claims_about_training_come_out_either_way(name, base, up, down):
    assert outcomes(measured(**up), measured(**base))[name].outcome == "supported"
    assert outcomes(measured(**down), measured(**base))[name].outcome == "refuted"


def test_numbers_are_what_they_are_said_to_be():
    found = outcomes(measured(slope=0.1, attention=1.0, feed_forward=2.0, first=2))
    assert found["norms_grow_with_depth"].value == pytest.approx(0.1, abs=0.01)
    assert "0.05 in an untrained network" in found["norms_grow_with_depth"].detail
    assert found["feed_forward_attributes_more"].value == pytest.approx(L * 1.0, abs=0.1)
    assert found["answer_appears_late"].value == pytest.approx(3 / 4)  # three of four layers have run


def test_a_model_that_answers_nothing_leaves_its_layers_undecided():
    silent = measured(first=L)
    assert f"0 of {N}" in outcomes(silent)["answer_appears_late"].detail
    found = outcomes(silent, measured())
    assert found["training_moved_the_answer_earlier"].outcome == "undecided"
    assert f"0 of {N}" in found["training_moved_the_answer_earlier"].detail


def test_answers_that_all_appear_in_one_layer_leave_the_doubt_of_as_many_clusters():
    found = outcomes(measured(first=2), measured(first=3))
    others = 1 - 0.025 ** (1 / N)  # of all there are, at most so many say something else
    assert found["answer_appears_late"].interval == (pytest.approx(0.75 - others / 2), pytest.approx(0.75 + others / 4))
    moved = found["training_moved_the_answer_earlier"]
    assert moved.interval == (pytest.approx(1 - 4 * others), pytest.approx(1 + 2 * others))


def test_layers_without_both_parts_leave_lengths_undecided():
    alone = measured()
    alone = replace(alone, later={**alone.later, "attention_share": np.full((N, L), np.nan)})
    assert outcomes(alone)["feed_forward_writes_more"].outcome == "undecided"


def test_one_layer_is_not_asked_about_depth_nor_one_model_about_training():
    names = {one.name for one in hypotheses(layers=1, tuned=False, untrained=True)}
    assert names == {"feed_forward_writes_more", "feed_forward_attributes_more"}
    tuned = hypotheses(layers=2, tuned=True, untrained=False)
    assert len(tuned) == 7 and "norms_grow_more_than_untrained" not in {one.name for one in tuned}
    assert [one.statement.startswith("Tuned: ") for one in tuned] == [not n.name.startswith("training_") for n in tuned]


ROWS = 60
TASK = Labelled("attribute:home@last", "?", [Prompt("p", "c", "t", [1], ["a"])], ("x", "y"), np.zeros(ROWS, int),
                np.zeros(ROWS, int), np.arange(ROWS) % 2, *(np.arange(ROWS),) * 3, np.zeros(ROWS, int), "a person", "words")


def readable(probe, lens):
    """Accuracies rise from 0.1 to 0.9 at these layers."""
    def hits(at):
        return (RNG.random((L, ROWS)) < np.where(np.arange(L) >= at, 0.95, 0.05)[:, None]).astype(float)

    return Readable(TASK, TASK.classes, {"last": hits(probe), "name": hits(L)}, hits(lens), np.arange(ROWS) // 2, 0.5, 99)


@pytest.mark.parametrize(("probe", "lens", "outcome", "value"), [(1, 3, "supported", 2), (3, 1, "refuted", -2),
                                                                 (2, 2, "refuted", 0)])
def test_a_probe_is_first_only_by_a_layer_at_least(probe, lens, outcome, value):
    at_last, at_name = readable_verdicts(readable(probe, lens), 0.5)
    assert at_last.interval is None or at_last.interval[0] < at_last.interval[1]
    assert (at_last.outcome, at_last.value) == (outcome, value) and "people asked about (n=30)" in at_last.covers
    assert at_name.outcome == "refuted" and at_name.value == lens - L and "at no layer" in at_name.detail


def test_what_the_lens_never_reads_decides_nothing():
    assert {one.outcome for one in readable_verdicts(readable(1, L), 0.5)} == {"undecided"}
    assert "does not know" in readable_verdicts(readable(1, L), 0.5)[0].detail
