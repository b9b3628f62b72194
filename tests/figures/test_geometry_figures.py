"""The figures of the geometry of updates are drawn at small and large sizes, and show the arrays they are given."""

import numpy as np
import pytest
from matplotlib.colors import Normalize

from lab.figures.geometry_ablation import losses
from lab.figures.geometry_intruders import intruder_curves
from lab.figures.geometry_maps import Map, maps, middle
from lab.figures.geometry_overlap import overlap_curves, overlap_maps
from lab.figures.geometry_ranks import by_rank
from lab.figures.heat import DIVERGING, heat_map

ROLES = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


def drawn(figure):
    figure.canvas.draw()
    return figure


@pytest.mark.parametrize("layers", [1, 4, 28])
def test_maps_show_every_layer_and_module_and_leave_no_empty_axes(layers):
    values = np.random.default_rng(0).normal(size=(layers, 7))
    values[0, 0] = np.nan
    figure = drawn(maps([Map(values, "one", "share"), Map(values, "two", "difference", cmap=DIVERGING),
                         Map(values * np.nan, "three", "nothing")], ROLES))
    panels = [ax for ax in figure.axes if ax.images and ax.get_title(loc="left")]
    assert [ax.get_title(loc="left") for ax in panels] == ["one", "two", "three"]
    np.testing.assert_allclose(np.ma.filled(panels[0].images[0].get_array(), np.nan), values)
    assert [label.get_text() for label in panels[0].get_xticklabels()] == ROLES


def test_the_middle_of_a_map_leaves_out_what_is_not_there():
    assert middle([[1.0, np.nan], [3.0, np.nan]]) == 2 and np.isnan(middle([[np.nan]]))


@pytest.mark.parametrize("trainings", [1, 3])
def test_intruder_curves_have_a_line_and_a_band_for_each_training(trainings):
    x, rng = np.arange(0.1, 1, 0.1), np.random.default_rng(0)
    own, null = rng.uniform(0, 9, (trainings, 9)), rng.uniform(0, 9, (trainings, 19, 9))
    figure = drawn(intruder_curves(x, own, null, own / 10, null / 10, names=[f"r={n}" for n in range(trainings)], k=10,
                                   epsilon=0.5))
    left, right = figure.axes
    lines = [line for line in left.lines if line.get_marker() == "o"]
    assert len(lines) == trainings and len(left.collections) == trainings
    np.testing.assert_allclose(lines[0].get_ydata(), own[0])
    top = left.collections[0].get_paths()[0].get_extents().y1
    np.testing.assert_allclose(top, np.percentile(null[0], 97.5, axis=0).max())
    assert "of 10" in left.get_ylabel() and "energy" in right.get_ylabel()


def test_ranks_show_every_training_the_mean_and_the_null():
    figure = drawn(by_rank([1, 1, 4], [("size", [2.0, 4.0, 5.0], None, "%"), ("used", [1, 1, 3], [1, 1, 3.9], "rank")]))
    first, second = figure.axes
    np.testing.assert_allclose(first.collections[0].get_offsets(), [[1, 2], [1, 4], [4, 5]])
    np.testing.assert_allclose(first.lines[0].get_ydata(), [3, 5])
    np.testing.assert_allclose(second.lines[1].get_ydata(), [1, 3.9])
    assert first.get_ylim()[0] == 0


def test_overlap_maps_share_a_scale_from_zero_to_the_largest_and_mark_what_chance_gives():
    values = {"A": np.full((2, 3), 0.4), "B": np.full((2, 3), 0.6)}
    chance = {"A": np.array([[0.01] * 3, [0.03] * 3]), "B": np.full((2, 3), 0.02)}
    figure = drawn(overlap_maps(values, chance, {"A": "in A", "B": "in B"}, one="r=2", other="r=3"))
    panels = [ax for ax in figure.axes if ax.get_title(loc="left")]
    assert panels[0].get_title(loc="left") == "in A\nφ(1, 1) = 0.400, by chance 0.010"
    assert all(ax.images[0].norm.vmin == 0 and ax.images[0].norm.vmax == 0.6 for ax in panels)
    marks = {line.get_ydata()[0] for line in panels[0].images[0].colorbar.ax.lines}
    assert marks == {0.01, 0.03}
    assert panels[0].get_ylabel() == "first i of r=2" and panels[0].get_xlabel() == "first j of r=3"


@pytest.mark.parametrize("rank", [1, 16])
def test_overlap_curves_show_each_pair_and_the_band_of_chance(rank):
    rng = np.random.default_rng(0)
    values, null = {"A": rng.uniform(0, 1, (2, rank))}, {"A": rng.uniform(0, 0.1, (19, rank))}
    values["A"][1, rank // 2:] = np.nan
    (ax,) = drawn(overlap_curves(values, null, {"A": "in A"}, ["one", "two"])).axes
    np.testing.assert_allclose(ax.lines[1].get_ydata(), values["A"][0])
    assert ax.collections and {text.get_text() for text in ax.get_legend().get_texts()} == {
        "one", "two", "random subspaces, 95 % of draws"}


@pytest.mark.parametrize("count", [1, 5])
def test_losses_stand_beside_those_of_the_shrunk_update_the_whole_one_and_the_base(count):
    rng = np.random.default_rng(0)
    middle_of = rng.uniform(1, 2, (2, count, 1))
    arm = np.concatenate([middle_of, middle_of - 0.1, middle_of + 0.2], -1)
    ends = np.array([[1.5, 1.4, 1.6], [0.5, 0.4, 0.6]])
    figure = drawn(losses([f"drop:{n}" for n in range(count)], ["held-out rows", "the base's text"], arm, arm + 0.5, ends,
                          ends + 3))
    left = figure.axes[0]
    np.testing.assert_allclose(left.containers[0].lines[0].get_xdata(), arm[0, :, 0])
    np.testing.assert_allclose(left.containers[1].lines[0].get_xdata(), arm[0, :, 0] + 0.5)
    assert {line.get_xdata()[0] for line in left.lines if line.get_label() in ("whole adapter", "base")} == {1.5, 4.5}
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [
        "whole adapter", "base", "ablated", "shrunk to the same norm"]


@pytest.mark.parametrize("most, written", [
    (0.03, ["-0.026", "+0.000", "+0.003"]), (20.0, ["+0.0", "+0.0", "+0.0"]), (0.4, ["-0.03", "+0.00", "+0.00"]),
    (1e-5, ["-0.026", "-0.0001", "+0.003"])])
def test_numbers_have_as_many_decimals_as_the_colours_tell_apart(most, written):
    values = np.array([[-0.026, -0.0001, 0.003]])
    ax = heat_map(values, ["a"], ["b", "c", "d"], label="x", cmap=DIVERGING, written=None,
                  norm=Normalize(-most, most))
    assert [text.get_text() for text in ax.texts] == written


def test_no_number_of_a_map_is_minus_zero():
    ax = heat_map([[-0.001, -0.4]], ["a"], ["b", "c"], label="x", written="{:.2f}")
    assert [text.get_text() for text in ax.texts] == ["0.00", "-0.40"]
