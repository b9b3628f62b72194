"""The figure of remedies: every one a point, none forgotten, labels apart."""

import itertools

import numpy as np
import pytest

from lab.figures import mitigation as figures

GROUPS = {"scaled down": [0, 3, 2, 1], "replay": [1, 4, 5], "stopped early": [0, 6, 1], "lower rate": [7, 1]}
LABELS = ["base", "as trained", "× 0.75", "× 0.5", "10 %", "25 %", "step 300", "5e-4"]
AT = np.array([[0, 0], [2.0, 30], [1.9, 20], [1.0, 10], [1.97, 6], [1.95, 5], [1.5, 28], [1.7, 22]])


def drawn(**changes):
    learned, lost = (np.stack([values, values - width, values + width], 1)
                     for values, width in ((AT[:, 0], 0.05), (AT[:, 1], 0.5)))
    text = lost / 30
    return figures.remedies(GROUPS, LABELS, learned, lost, text,
                            **{"base": 0, "trained": 1, "keep": 0.9, "chosen": (4,), **changes})


def test_every_remedy_is_a_point_at_its_place_in_both_panels():
    figure = drawn()
    figure.canvas.draw()
    for ax, scale in zip(figure.axes, (1, 30), strict=True):
        shown = {tuple(np.round(point, 6)) for container in ax.containers for point in container[0].get_xydata()}
        expected = {(round(lost / scale, 6), round(learned, 6)) for learned, lost in AT[1:]}
        assert shown == expected and {text.get_text() for text in ax.texts} == set(LABELS[2:])


def test_the_line_of_a_kind_begins_and_ends_where_it_is_said_to():
    ax = drawn().axes[0]
    line = next(line for line in ax.lines if len(line.get_xdata()) == 4)
    np.testing.assert_allclose(line.get_xydata(), AT[[0, 3, 2, 1]][:, ::-1])


@pytest.mark.parametrize("chosen, name", [((4,), "recommended"), ((4, 5), "none of these stands out"), ((), None)])
def test_what_is_chosen_is_ringed_and_named_in_the_legend(chosen, name):
    figure = drawn(chosen=chosen)
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    assert "90% of what was learned" in names and (name is None or name in names)
    rings = [each for each in figure.axes[0].collections if each.get_label() in ("recommended", "none of these stands out")]
    assert len(rings) == bool(chosen) and (not chosen or np.allclose(rings[0].get_offsets(), AT[list(chosen)][:, ::-1]))


def test_labels_of_near_points_do_not_cover_each_other():
    figure = drawn()
    figure.canvas.draw()
    for ax in figure.axes:
        boxes = [text.get_window_extent() for text in ax.texts]
        assert not any(one.overlaps(other) for one, other in itertools.combinations(boxes, 2))
