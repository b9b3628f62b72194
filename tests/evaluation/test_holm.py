import numpy as np
import pytest

from lab.evaluation.holm import holm


def test_a_worked_example_keeps_its_order():
    adjusted = holm({"math": 0.01, "code": 0.04, "reasoning": 0.03, "knowledge": 0.005})
    assert list(adjusted) == ["math", "code", "reasoning", "knowledge"]
    assert adjusted == pytest.approx({"math": 0.03, "code": 0.06, "reasoning": 0.06, "knowledge": 0.02})
    assert holm({}) == {} and holm({"one": 0.2}) == {"one": 0.2}


def test_it_rejects_what_the_step_down_procedure_rejects():
    generator = np.random.default_rng(0)
    for _ in range(200):
        p = generator.random(5) ** 3
        rejected, order = set(), np.argsort(p)
        for step, index in enumerate(order):
            if p[index] > 0.05 / (5 - step):
                break
            rejected.add(index)
        assert {name for name, value in holm(dict(enumerate(p))).items() if value <= 0.05} == rejected


@pytest.mark.parametrize("value", [-0.1, 1.1, float("nan")])
def test_what_is_no_probability_is_refused(value):
    with pytest.raises(ValueError, match="p of math is .*; allowed is a number from 0 to 1"):
        holm({"math": value})
