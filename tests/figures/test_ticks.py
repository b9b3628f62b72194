"""Ticks that can be read."""

import numpy as np
import pytest

from lab.figures.direct_labels import spread
from lab.figures.layout import own_axes
from lab.figures.ticks import log_ticks, plain, step_axis


@pytest.mark.parametrize(("value", "text"), [
    (1, "1"), (16, "16"), (4000, "4000"), (22000, "22k"), (1408000, "1.41M"), (7e9, "7G"), (0.003, "0.003"),
    (2e-4, "2e-4"), (1.5e-5, "1.5e-5"), (0, "0"), (-22000, "-22k"), (100, "100"),
])
def test_numbers_as_they_would_be_typed(value, text):
    assert plain(value) == text


def labels(axis):
    low, high = axis.get_view_interval()
    return [axis.get_major_formatter()(tick) for tick in axis.get_major_locator()() if low <= tick <= high]


@pytest.mark.parametrize("ranks", [[1, 4, 16], [1, 2, 4, 8, 16, 32], [8]])
def test_the_values_of_a_sweep_are_the_ticks(ranks):
    ax = own_axes(None)
    ax.plot(ranks, ranks)
    log_ticks(ax.xaxis, ranks)
    assert labels(ax.xaxis) == [str(rank) for rank in ranks]
    assert ax.get_xscale() == "log" and len(ax.xaxis.get_minorticklocs()) == 0


@pytest.mark.parametrize(("low", "high"), [(0.9, 3.0), (0.2, 40.0), (1e-5, 10.0), (1.0, 1.3)])
def test_ranges_have_a_few_plain_ticks(low, high):
    ax = own_axes(None)
    ax.plot([1, 2], [low, high])
    log_ticks(ax.yaxis)
    shown = labels(ax.yaxis)
    assert 2 <= len(shown) <= 12 and all("^" not in text and "$" not in text for text in shown)


def test_values_too_close_to_be_read_fall_back_to_round_ticks():
    ax = own_axes(None)
    values = [1, 1.01, 100]
    ax.plot(values, values)
    log_ticks(ax.xaxis, values)
    assert labels(ax.xaxis) == ["1", "2", "5", "10", "20", "50", "100"]


def test_steps_are_whole():
    ax = own_axes(None)
    ax.plot([0, 1], [1, 2])
    step_axis(ax)
    assert labels(ax.xaxis) == ["0", "1"]


def test_labels_are_moved_apart_and_keep_their_order():
    wanted = np.array([0.5, 0.51, 0.1, 0.52])
    placed = spread(wanted, 0.1)
    assert (np.argsort(placed) == np.argsort(wanted)).all()
    assert np.diff(np.sort(placed)).min() >= 0.1 - 1e-12
    assert placed[2] == pytest.approx(0.1)
    np.testing.assert_array_equal(spread(np.array([0.2, 0.8]), 0.1), [0.2, 0.8])
