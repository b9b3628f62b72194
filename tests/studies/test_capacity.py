import math

from lab.studies import capacity
from tests.studies.points import ANSWERS, ITEMS, config, evaluation, point


def loss_for(share: float) -> float:
    """Nats a fact at which this share of the bits is learned."""
    return math.log(ANSWERS) * (1 - share)


def test_a_run_that_still_learns_is_short_at_this_budget():
    found = capacity.verdicts(point(1, [loss_for(0.2), loss_for(0.4)]), config())[0]
    assert found.outcome == "refuted" and "short at this budget" in found.detail


def test_a_flat_end_alone_never_proves_want_of_capacity():
    found = capacity.verdicts(point(1, [loss_for(0.4), loss_for(0.4)]), config())[0]
    assert found.outcome == "undecided" and "capacity=true" in found.detail


def test_everything_learned_or_diverged_is_no_question_of_capacity():
    assert "neither short nor full" in capacity.verdicts(point(8, [loss_for(0.5), loss_for(0.97)]), config())[0].detail
    assert "divergence" in capacity.verdicts(point(8, [loss_for(0.5)], diverged_at=12), config())[0].detail


def test_full_only_if_neither_more_steps_nor_more_facts_add():
    small = point(1, [loss_for(0.4), loss_for(0.4)])
    longer = point(1, [loss_for(0.4), loss_for(0.405)])
    more_facts_same_bits = point(1, [loss_for(0.4)])
    assert capacity.checked(small, longer, more_facts_same_bits, config()).outcome == "supported"
    more_facts_more_bits = point(1, [loss_for(0.6)])
    assert capacity.checked(small, longer, more_facts_more_bits, config()).outcome == "undecided"
    much_longer = point(1, [loss_for(0.4), loss_for(0.6)])
    found = capacity.checked(small, much_longer, more_facts_same_bits, config())
    assert found.outcome == "refuted" and "short at this budget" in found.detail


def test_the_rise_of_learned_bits_is_measured():
    rise = capacity.relative_rise(evaluation(1, loss_for(0.4), 0), evaluation(2, loss_for(0.5), 0), ANSWERS)
    assert math.isclose(rise.value, 0.25, rel_tol=1e-9) and rise.low == rise.high == rise.value
    assert f"n={ITEMS}" in rise.covers


def test_data_of_unknown_information_is_not_asked():
    assert capacity.hypotheses(config(dataset="embedded:style")) == []
