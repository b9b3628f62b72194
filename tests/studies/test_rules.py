import pytest

from lab.evaluation.intervals import Estimate
from lab.studies.rules import exceeds


@pytest.mark.parametrize("low, value, high, outcome", [
    (0.1, 0.5, 0.9, "supported"), (-0.1, 0.5, 0.9, "undecided"), (-0.9, -0.5, 0.1, "undecided"),
    (-0.9, -0.5, -0.1, "refuted"), (0.0, 0.5, 0.9, "undecided")])
def test_the_interval_decides_never_the_point_value_alone(low, value, high, outcome):
    verdict = exceeds("x", Estimate(value, low, high, "seeds"), threshold=0, unit="nats", null="0")
    assert verdict.outcome == outcome and verdict.interval == (low, high) and verdict.covers == "seeds"


@pytest.mark.parametrize("value, outcome", [(2.0, "supported"), (-1.0, "refuted"), (0.0, "undecided")])
def test_an_interval_without_width_is_not_shown_as_one(value, outcome):
    same = Estimate(value, value, value + 1e-15 * (value > 0), "people (n=9)")
    verdict = exceeds("x", same, threshold=0, unit="layers", null="0", detail="more")
    assert verdict.outcome == outcome and verdict.interval is None and verdict.value == value
    assert verdict.detail == "no variation over people (n=9), so that no interval can be given; more"
