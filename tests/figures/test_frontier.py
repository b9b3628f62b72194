"""The frontier's figure shows what it is given, and can be read with one training and with twelve."""

import warnings

import numpy as np
import pytest

from lab.figures.forgetting import forgetting_panels
from lab.figures.frontier import STYLES, WHOLE, frontier, tints
from lab.figures.layout import panels

GAIN, COST = [0.0, 1.0, 2.0], [0.0, 3.0, 1.0]
ENDS = [[0, 0], [2, 4], [-1, 2]]


def drawn(count):
    figure, axes = panels(1, width=7.6, height=5.2)
    gains = [[each * (1 + 0.3 * n) for each in GAIN] for n in range(count)]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        frontier(gains, [COST] * count, axes[0], labels=[f"r={n + 1}" for n in range(count)],
                 values=[*range(1, count), None], intervals=[ENDS] * count, ringed=[[False, True, True]] * count)
        figure.canvas.draw()
    return figure, axes[0]


@pytest.mark.parametrize("count", [1, 3, 5, 12])
def test_no_two_labels_overlap_and_all_are_inside_the_picture(count):
    figure, ax = drawn(count)
    boxes = [text.get_window_extent(figure.canvas.get_renderer()) for text in ax.texts if text.get_text().startswith("r=")]
    assert len(boxes) == count
    boxes.sort(key=lambda box: box.y0)
    assert all(above.y0 >= below.y1 - 1 for below, above in zip(boxes, boxes[1:], strict=False))
    assert all(box.x1 <= figure.bbox.x1 and box.y1 <= figure.bbox.y1 for box in boxes)


def test_lines_go_through_the_checkpoints_and_the_last_has_its_bar():
    _, ax = drawn(1)
    assert any(np.array_equal(line.get_xdata(), COST) and np.array_equal(line.get_ydata(), GAIN) for line in ax.lines)
    bars = [segment for each in ax.collections if hasattr(each, "get_segments") for segment in each.get_segments()]
    assert any(np.allclose(segment, [[-1, 2], [2, 2]]) for segment in bars)
    rings = [each for each in ax.collections if len(each.get_offsets()) == 2 and not len(each.get_facecolor())]
    assert any(np.array_equal(each.get_offsets(), [[3, 1], [1, 2]]) for each in rings)


def test_colours_rise_with_the_value_and_a_whole_model_is_black():
    found = tints([64, 1, None, 8, 1])
    assert found[2] == WHOLE and found[1] == found[4] and len({*found}) == 4
    assert tints([None]) == [WHOLE]


def test_trainings_of_one_colour_have_different_lines():
    ax = frontier([GAIN] * 2, [COST] * 2, labels=["a", "b"], values=[4, 4])
    assert [line.get_linestyle() for line in ax.lines[1:3]] == list(STYLES[:2])


def test_without_any_training_the_axes_say_so():
    ax = frontier([], [], labels=[], values=[])
    assert "no training" in ax.texts[0].get_text() and ax.get_xlabel() and ax.get_ylabel()


@pytest.mark.parametrize("steps", [[0, 10, 20], [0]])
def test_the_panels_of_one_training_can_be_drawn(steps):
    figure, axes = panels(2, width=5.6, height=3.9)
    count = len(steps)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        forgetting_panels(axes, steps, GAIN[:count], {"math": COST[:count]}, {"math": np.array(ENDS[:count])},
                          mean_interval=np.array(ENDS[:count]), kept_step=10)
        figure.canvas.draw()
    said = [text.get_text() for ax in axes for text in ax.texts]
    assert ("math" in said and "kept: step 10" in said) if count > 1 else any("came apart" in text for text in said)
