from lab.studies import rank_verdicts
from tests.studies.points import config, point


def decide(points, **changes):
    found = rank_verdicts.verdicts(points, config(**changes))
    return {verdict.name: verdict for verdict in found}


def test_a_loss_that_falls_with_rank_is_supported_and_saturation_refuted():
    points = [point(1, [6.0, 5.0]), point(4, [5.0, 3.0]), point(16, [4.0, 1.0])]
    found = decide(points, r=(1, 4, 16))
    assert found["loss_falls_with_rank"].outcome == "supported"
    assert abs(found["loss_falls_with_rank"].value - 1.0) < 0.01  # 2 nats for every factor of 4 in rank
    assert found["saturates"].outcome == "refuted"
    assert found["bits_grow_with_rank"].outcome == "supported"


def test_a_loss_that_rises_with_rank_is_refuted():
    points = [point(1, [2.0]), point(4, [3.0]), point(16, [4.0])]
    found = decide(points, r=(1, 4, 16))
    assert found["loss_falls_with_rank"].outcome == "refuted"
    assert found["bits_grow_with_rank"].outcome == "refuted"


def test_equal_last_ranks_saturate():
    points = [point(1, [4.0]), point(4, [1.0]), point(16, [1.0])]
    assert decide(points, r=(1, 4, 16))["saturates"].outcome == "supported"


def test_seeds_that_disagree_leave_it_undecided_and_the_interval_says_seeds():
    points = [point(1, [3.0], seed=0), point(16, [2.0], seed=0), point(1, [2.0], seed=1), point(16, [3.2], seed=1)]
    verdict = decide(points, r=(1, 16), seeds=2)["loss_falls_with_rank"]
    assert verdict.outcome == "undecided" and "seeds" in verdict.covers


def test_a_diverged_rank_is_left_out_and_named():
    points = [point(1, [9.0], diverged_at=7), point(4, [3.0]), point(16, [1.0])]
    verdict = decide(points, r=(1, 4, 16))["loss_falls_with_rank"]
    assert verdict.outcome == "supported" and "r=1" in verdict.detail and "diverged" in verdict.detail


def test_nothing_but_divergence_is_undecided():
    points = [point(1, [9.0], diverged_at=7), point(4, [9.0], diverged_at=8)]
    assert decide(points, r=(1, 4))["loss_falls_with_rank"].outcome == "undecided"


def test_parameters_are_linear_only_where_they_are():
    points = [point(1, [2.0]), point(4, [2.0])]
    assert decide(points, r=(1, 4))["parameters_linear"].outcome == "supported"
    bent = points[1].__class__(**{**points[1].__dict__, "parameters": 401})
    assert decide([points[0], bent], r=(1, 4))["parameters_linear"].outcome == "refuted"


def test_one_rank_is_asked_nothing_about_ranks_and_two_nothing_about_saturation():
    assert rank_verdicts.hypotheses(config(r=(8,), seeds=3)) == []
    assert "saturates" not in {h.name for h in rank_verdicts.hypotheses(config(r=(1, 4)))}
