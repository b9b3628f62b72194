"""Grids of heads share scales where they are compared, and show marks and the uniform reference where they are."""

import numpy as np
import pytest
from matplotlib.colors import PowerNorm

from lab.figures.attention_grids import base_tuned_difference, head_grid, statistics_grids
from lab.figures.heat import DIVERGING, heat_map, span, symmetric

NAN = float("nan")
BASE, TUNED = np.array([[0.1, 0.2], [0.3, 0.4]]), np.array([[0.1, 0.5], [0.1, 0.6]])


def dots(ax):
    return [] if not ax.collections else np.asarray(ax.collections[0].get_offsets()).round().tolist()


@pytest.mark.parametrize(("base", "tuned"), [(BASE, TUNED), (TUNED, BASE)])
def test_base_and_tuned_share_a_scale_whichever_reaches_higher(base, tuned):
    grids = [ax.images[0] for ax in base_tuned_difference(base, tuned, "recent").axes if ax.images]
    assert grids[0].get_clim() == grids[1].get_clim() == (0, 0.6)


def test_base_and_tuned_share_a_scale_and_the_difference_is_symmetric_about_zero():
    axes = base_tuned_difference(BASE, TUNED, "first_token", marks=TUNED > BASE, marked="beyond the null").axes
    base, tuned, difference = (ax for ax in axes if ax.images)
    assert base.images[0].get_clim() == tuned.images[0].get_clim() == (0, 0.6)
    np.testing.assert_allclose(difference.images[0].get_clim(), (-0.3, 0.3))
    np.testing.assert_allclose(difference.images[0].get_array(), TUNED - BASE)
    assert dots(base) == [] and dots(difference) == [[1, 0], [1, 1]]
    assert any("beyond the null: 2 of 4 heads" in text.get_text() for text in difference.texts)


@pytest.mark.parametrize("size", [4, 28])
def test_marks_lie_on_their_heads_at_any_size(size):
    marks = np.zeros((size, size), dtype=bool)
    marks[2, 1] = True
    assert dots(head_grid(np.random.default_rng(0).random((size, size)), "recent", marks=marks)) == [[1, 2]]


@pytest.mark.parametrize("size", [4, 12, 28, 80])
def test_numbers_of_layers_and_heads_are_thinned_never_slanted(size):
    ax = head_grid(np.ones((size, size)), "recent")
    labels = ax.get_xticklabels()
    assert 4 <= len(labels) <= 14 and len(ax.get_yticklabels()) <= 16
    assert {label.get_rotation() for label in labels} == {0}
    assert [label.get_text() for label in labels] == [str(int(tick)) for tick in ax.get_xticks()]


def test_what_uniform_attention_gives_stands_on_the_bar():
    bar = head_grid(BASE, "first_token", uniform=0.25).images[0].colorbar
    assert bar.ax.get_ylabel() == "attention on the first token (share)\nuniform attention: 0.25"
    assert [line.get_ydata()[0] for line in bar.ax.lines] == [0.25, 0.25]
    far = head_grid(BASE, "first_token", uniform=[[0.25, 0.9]]).images[0].colorbar
    assert "0.25 to 0.9" in far.ax.get_ylabel() and len(far.ax.lines) == 0


def test_statistics_above_and_below_uniform_have_a_scale_about_zero_and_changes_one_of_roots():
    axes = [ax for ax in statistics_grids({"duplicate_token": BASE, "divergence": BASE, "recent": BASE}).axes if ax.images]
    assert [ax.images[0].get_clim() for ax in axes] == [(-0.4, 0.4), (0, 0.4), (0, 0.4)]
    assert isinstance(axes[1].images[0].norm, PowerNorm)
    assert "square root" in axes[1].images[0].colorbar.ax.get_ylabel()
    assert "nats" in axes[1].images[0].colorbar.ax.get_ylabel()


def test_a_statistic_without_a_value_says_so():
    ax = head_grid(np.full((2, 2), np.nan), "duplicate_token")
    assert [text.get_text() for text in ax.texts] == ["duplicate token is undefined\nfor these prompts"]


def test_missing_cells_of_a_diverging_map_are_not_taken_for_zero():
    ax = heat_map([[0.0, np.nan]], ["a"], ["b", "c"], label="x", cmap=DIVERGING)
    figure = ax.figure
    figure.canvas.draw()
    at = [ax.transData.transform((column + 0.3, 0.3)) for column in (0, 1)]
    pixels = np.asarray(figure.canvas.buffer_rgba())
    zero, missing = (pixels[pixels.shape[0] - int(y), int(x), :3].astype(int) for x, y in at)
    assert np.abs(zero - missing).min() > 40


def test_scales_hold_all_finite_values_of_several_arrays():
    assert (span([1, np.nan], [3]).vmin, span([1], [3]).vmax, span([1], zero=True).vmin) == (1, 3, 0)
    zeros, below = span([0.0], zero=True), span([-1.0], zero=True)
    assert (zeros.vmin, zeros.vmax, below.vmin, below.vmax) == (0, 1, -1, 0)
    assert (symmetric([-3, 1], [np.inf, 2]).vmin, symmetric([0]).vmax) == (-3, 1)


def test_signed_numbers_share_their_decimals_and_are_short():
    def written(values):
        return [text.get_text() for text in head_grid(values, "recent", difference=True).texts]

    assert written([[0.352, -0.0041, 0.0001, NAN]]) == ["+.35", "0", "0", "–"]
    assert written([[12.34, -0.61]]) == ["+12", "−1"]
    assert written([[1.04, -0.061]]) == ["+1.0", "−.1"]
    assert written([[0.0031, -0.00042]]) == ["+.0031", "−.0004"]
    assert written([[2.1e-5, -3e-9]]) == ["+2e−5", "−3e−9"]


def test_long_numbers_lose_what_they_can_spare_and_short_ones_nothing():
    assert [text.get_text() for text in head_grid([[0.00093, 1.5e-5]], "recent").texts] == [".00093", "1.5e−5"]
    assert [text.get_text() for text in head_grid([[0.12, 0.0034]], "recent").texts] == ["0.12", "0.0034"]
