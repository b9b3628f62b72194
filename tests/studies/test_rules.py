import pytest

from lab.evaluation.intervals import Estimate
from lab.studies.rules import exceeds


@pytest.mark.parametrize("low, value, high, outcome", [
    (0.1, 0.5, 0.9, "supported"), (-0.1, 0.5, 0.9, "undecided"), (-0.9, -0.5, 0.1, "undecided"),
    (-0.9, -0.5, -0.1, "refuted"), (0.0, 0.5, 0.9, "undecided")])
def test_the_interval_decides_never_the_point_value_alone(low, value, high, outcome):
    verdict = exceeds("x", Estimate(value, low, high, "seeds"), threshold=0, unit="nats", null="0")
    assert verdict.outcome == outcome and verdict.interval == (low, high) and verdict.covers == "seeds"
