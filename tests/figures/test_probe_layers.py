"""Curves of probes stand at their layers with their intervals, beside band, levels and zero, on honest scales."""

import numpy as np
import pytest

from lab.figures.layout import panels
from lab.figures.probe_layers import Line, accuracy_by_layer, difference_by_layer, limits_of, one_legend

LAYERS = [-1, 0, 1, 2]
VALUES = np.array([0.2, 0.4, 0.6, 0.9])
ENDS = np.stack([VALUES - 0.1, VALUES + 0.05], 1)


def curve(ax, name: str):
    return next(line for line in ax.lines if line.get_label() == name)


def test_accuracies_stand_at_their_layers_with_intervals_band_and_levels():
    band = np.stack([VALUES * 0 + 0.1, VALUES * 0 + 0.3], 1)
    ax = accuracy_by_layer(LAYERS, {"base": Line(VALUES, ENDS), "untrained": Line(VALUES / 2, dashed=True)}, band=band,
                           references={"most frequent class": 0.25}, covers="groups", title="carry")
    np.testing.assert_allclose(curve(ax, "base").get_ydata(), VALUES)
    np.testing.assert_allclose(curve(ax, "base").get_xdata(), LAYERS, atol=0.1)
    assert curve(ax, "untrained").get_linestyle() == "--"
    assert curve(ax, "most frequent class").get_ydata()[0] == 0.25
    bars = [collection.get_segments() for collection in ax.collections if hasattr(collection, "get_segments")]
    np.testing.assert_allclose([segment[:, 1] for segment in bars[0]], ENDS)
    shape = next(each for each in ax.collections if each.get_label() == "permuted labels, middle 95 %")
    assert set(np.round(shape.get_paths()[0].vertices[:, 1], 6)) == {0.1, 0.3}
    said = [text.get_text() for text in ax.get_legend().get_texts()]
    assert "95 % interval over groups" in said and "untrained" in said
    assert ax.get_xticklabels()[0].get_text() == "emb" and "emb" in ax.get_xlabel() and "share" in ax.get_ylabel()


def test_zero_is_seen_and_noise_does_not_fill_the_scale():
    ax = difference_by_layer(LAYERS, {"a": Line([0.001, 0.002, 0.0, 0.001])}, ylabel="tuned − base")
    low, high = ax.get_ylim()
    assert low < 0 < high and high - low >= 0.1
    assert limits_of([Line(VALUES, ENDS)])[1] > ENDS.max()
    shared = difference_by_layer(LAYERS, {"a": Line(VALUES)}, ylabel="x", limits=(-2, 2), own_legend=False)
    assert shared.get_ylim() == (-2, 2) and shared.get_legend() is None


@pytest.mark.parametrize("layers", [[3], [-1, 5], list(range(-1, 28)), list(range(80))])
def test_the_axis_of_layers_begins_and_ends_with_them(layers):
    ax = difference_by_layer(layers, {"a": Line(np.zeros(len(layers)))}, ylabel="x")
    ax.figure.canvas.draw()
    assert ax.get_xlim() == (layers[0] - 0.5, layers[-1] + 0.5)
    ticks = ax.get_xticks()
    assert len(ticks) and set(ticks) <= set(range(layers[0], layers[-1] + 1)) and len(ticks) <= 12
    assert not (len(layers) > 20 and {-1, 0} <= set(ticks))  # they would be written over one another


def test_one_legend_names_everything_once():
    figure, axes = panels(2)
    for ax, name in zip(axes, ("a", "b"), strict=True):
        difference_by_layer(LAYERS, {name: Line(VALUES)}, ax, ylabel="x", own_legend=False)
    one_legend(figure)
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["0: no difference", "a", "b"]
