"""The figures of intruders and forgetting, with few and many trainings."""

import numpy as np
import pytest

from lab.figures.illusion import against_forgetting, scaled_down


def drawn(figure):
    figure.canvas.draw()
    return figure


@pytest.mark.parametrize("count", [1, 24])
def test_forgetting_stands_against_intruders_size_and_what_is_left(count):
    rng = np.random.default_rng(0)
    values, arms = rng.random((3, count)), [f"r={2**(index % 6)}" for index in range(count)]
    figure = drawn(against_forgetting(values[0], 0.5 * values[0], values[1], values[2], arms, values[0], values[1], arms,
                                      count_title="ρ = 0.5", partial_title="ρ = 0.1", k=10, epsilon=0.5))
    assert len(figure.axes) == 3 and all(ax.get_xlabel() and ax.get_ylabel() for ax in figure.axes)
    shown = np.concatenate([line.get_xydata() for line in figure.axes[1].lines])
    np.testing.assert_allclose(np.sort(shown[:, 0]), np.sort(values[2]))
    assert len({line.get_label() for line in figure.axes[1].lines}) == len(set(arms))


def test_no_adapter_is_said():
    figure = drawn(against_forgetting([1.0], [0.0], [0.1], [0.2], ["full"], [], [], [], count_title="", partial_title="",
                                      k=10, epsilon=0.5))
    assert any("no adapter ran to its end" in text.get_text() for text in figure.axes[2].texts)


@pytest.mark.parametrize("groups, factors", [(1, (0.7,)), (4, (0.7, 0.5, 0.3))])
def test_every_arm_has_a_point_and_an_interval_at_each_factor(groups, factors):
    rng = np.random.default_rng(1)
    value = rng.normal(size=(groups, 3, len(factors), 1))
    values = np.concatenate([value, value - 0.2, value + 0.3], axis=-1)
    figure = drawn(scaled_down(values, values, np.ones(groups), np.ones(groups), arms=["a", "b", "c"], factors=factors,
                               names=[f"group {number}" for number in range(groups)]))
    assert len(figure.axes) == 2 * groups
    bars = figure.axes[0].containers
    assert len(bars) == 3
    np.testing.assert_allclose(bars[1].lines[0].get_xdata(), values[0, 1, :, 0])
    ends = bars[1].lines[2][0].get_segments()
    np.testing.assert_allclose([segment[:, 0] for segment in ends], values[0, 1, :, 1:])
