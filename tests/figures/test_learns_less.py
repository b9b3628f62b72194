"""Figures of arms and of whole updates show what they were given, with units."""

import numpy as np

from lab.figures.learns_less import directions, rates_tried


def labels(ax):
    return ax.get_legend_handles_labels()[1]


def test_the_lowest_loss_is_ringed_and_a_divergence_marked():
    ax = rates_tried({"r=8": ([1e-3, 3e-3, 1e-2], [2.0, 1.0, np.nan]), "full": ([1e-4, 3e-4], [0.5, 0.7])})
    rings = [line for line in ax.lines if line.get_fillstyle() == "none" and len(line.get_xdata())]
    assert [(float(ring.get_xdata()[0]), float(ring.get_ydata()[0])) for ring in rings] == [(3e-3, 1.0), (1e-4, 0.5)]
    assert {"r=8", "full", "chosen", "diverged"} <= set(labels(ax))
    assert ax.get_xscale() == "log" and "nats/token" in ax.get_ylabel()


def test_an_arm_of_which_all_diverged_has_no_ring():
    ax = rates_tried({"r=8": ([1e-3, 3e-3], [np.nan, np.nan]), "full": ([1e-4], [0.5])})
    assert sum(line.get_fillstyle() == "none" and len(line.get_xdata()) > 0 for line in ax.lines) == 1


def test_directions_of_every_matrix_lie_beside_noise_and_the_papers():
    share = np.array([[0.2, 0.3], [0.4, np.nan]])
    ax = directions(share, share + 0.1, [0.51, 0.73], ["q_proj", "up_proj"], paper=0.37)
    shown = np.concatenate([np.asarray(points.get_offsets())[:, 1] for points in ax.collections])
    assert sorted(shown[np.isfinite(shown)].round(6)) == [0.2, 0.3, 0.3, 0.4, 0.4, 0.5]
    levels = {round(float(line.get_ydata()[0]), 2) for line in ax.lines}
    assert levels == {0.51, 0.73, 0.37} and "share of full rank" in ax.get_ylabel()
    assert any("Gaussian" in label for label in labels(ax)) and any("paper" in label for label in labels(ax))
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["q_proj", "up_proj"]


def test_one_layer_needs_no_scale_of_layers():
    ax = directions([[0.2]], [[0.3]], [0.5], ["q_proj"])
    assert len(ax.figure.axes) == 1
