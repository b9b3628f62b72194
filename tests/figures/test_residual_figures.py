"""Figures of the residual stream draw what they are given, on scales that compare, and survive what runs really give."""

import warnings

import numpy as np
import pytest
import torch

from lab.figures.residual_lines import EMBEDDING, by_layer, depth_names, paired_looks
from lab.figures.residual_maps import model_maps
from lab.figures.residual_stream import stream_norms, written
from lab.figures.residual_waterfall import ATTENTION, FEED_FORWARD, waterfall, waterfalls
from lab.figures.residual_waterfall import EMBEDDING as FROM_EMBEDDING

NAN = float("nan")
RNG = np.random.default_rng(0)
KINDS, NAMES = [FROM_EMBEDDING, ATTENTION, FEED_FORWARD], ["emb.", "0", "0"]
MAP = {"rows": ["0", "1"], "columns": ["a", "b"], "label": "nats", "title": "t", "xlabel": "x", "ylabel": "y"}


def drawn(made):
    figure = made if hasattr(made, "savefig") else made.figure
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure.canvas.draw()
    return figure


def ticks(ax):
    return [label.get_text() for label in ax.get_xticklabels()]


@pytest.mark.parametrize("layers", [1, 6, 28, 80])
def test_places_on_the_stream_begin_with_the_embedding_and_never_touch(layers):
    ax = by_layer({"base": np.arange(layers + 1.0)}, ylabel="nats", embedding=True)
    drawn(ax)
    assert list(ax.lines[0].get_xdata()) == list(range(-1, layers))
    assert ticks(ax)[0] == EMBEDDING and len(ticks(ax)) <= 13
    boxes = [label.get_window_extent() for label in ax.get_xticklabels()]
    assert all(left.x1 <= right.x0 for left, right in zip(boxes, boxes[1:], strict=False))


def test_a_line_without_the_embedding_begins_at_layer_0():
    assert list(by_layer({"base": [1.0, 2.0]}, ylabel="nats").lines[0].get_xdata()) == [0, 1]
    assert depth_names(2) == ["0", "1"] and depth_names(1, embedding=True) == [EMBEDDING, "0"]


def test_sizes_begin_at_zero_or_are_logarithmic_and_an_interval_reaches_its_ends():
    assert by_layer({"a": [1.0, 2.0]}, ylabel="", sizes=True).get_ylim()[0] == 0
    assert by_layer({"a": [1.0, 2000.0]}, ylabel="", sizes=True).get_yscale() == "log"
    ax = by_layer({"a": [1.0, 2.0]}, ylabel="", intervals={"a": [[0.5, 1.5], [1.0, 4.0]]})
    reach = ax.collections[0].get_paths()[0].get_extents()
    assert (reach.y0, reach.y1) == (0.5, 4.0)


def test_zero_is_within_the_axes_where_it_means_something():
    for values in ([5.0, 6.0], [-6.0, -5.0]):
        low, high = by_layer({"a": values}, ylabel="", zero="even").get_ylim()
        assert low <= 0 <= high
    ax = by_layer({"a": [-1.0, 1.0]}, ylabel="", zero="even")
    assert not ax.texts and "even" in [text.get_text() for text in ax.get_legend().get_texts()]  # on no line


def test_models_share_a_colour_and_differ_in_style():
    looks = paired_looks(["attention", "feed-forward"])
    assert looks["attention, base"][0] == looks["attention, tuned"][0] != looks["feed-forward, base"][0]
    assert looks["attention, base"][1] != looks["attention, tuned"][1]


@pytest.mark.parametrize("form", [np.asarray, torch.tensor, lambda a: torch.tensor(a, requires_grad=True), list])
def test_lines_take_any_array(form):
    drawn(stream_norms({"base": form([1.0, 2.0])}, untrained=form([0.1, 0.2]), first={"base": form([9.0, 9.0])}))


def test_two_models_share_a_scale_and_the_difference_has_its_own_about_zero():
    figure = model_maps({"base": [[1.0, 2], [3, 4]], "tuned": [[2.0, 2], [3, 9]]}, signed=False, **MAP)
    base, tuned, apart = (ax for ax in drawn(figure).axes if ax.images)
    assert base.images[0].get_clim() == tuned.images[0].get_clim() == (1, 9)
    assert apart.images[0].get_clim() == (-5, 5)
    np.testing.assert_allclose(apart.images[0].get_array(), [[1, 0], [0, 5]])


def test_an_exact_zero_difference_says_so_and_one_model_is_alone():
    titles = [ax.get_title(loc="left") for ax in model_maps({"base": [[1.0]], "tuned": [[1.0]]}, signed=True, **{
        **MAP, "rows": ["0"], "columns": ["a"]}).axes]
    assert any("exactly 0" in title for title in titles)
    assert sum(bool(ax.images) for ax in model_maps({"this model": [[1.0, 2], [3, 4]]}, signed=True, **MAP).axes) == 1


def test_bars_begin_where_the_last_ended_and_the_sum_stands_at_the_end():
    ax = waterfall([1.0, -3.0, 0.5], KINDS, NAMES)
    assert [(bar.get_y(), bar.get_height()) for bar in ax.patches] == [(0, 1), (1, -3), (-2, 0.5), (0, -1.5)]
    assert ticks(ax) == ["emb.", "0", "sum"]
    ax = waterfall([1.0, -3.0, 0.5], KINDS, NAMES, intervals=[[0.5, 1.5], [-4, -2], [0, 1]])
    whiskers = [tuple(segment[:, 1]) for segment in ax.collections[0].get_segments()]
    assert whiskers == [(0.5, 1.5), (-3, -1), (-2, -1)]


def test_waterfalls_of_models_share_a_scale_and_their_difference_does_not():
    values = {"base": [1.0, 5, 2], "tuned": [1.0, -9, 2], "tuned − base": [0.0, -14, 0]}
    first, second, apart = drawn(waterfalls(values, KINDS, NAMES)).axes
    assert first.get_ylim() == second.get_ylim() != apart.get_ylim()


EDGES = {
    "nothing": lambda: by_layer({"a": [NAN, NAN]}, ylabel=""),
    "a gap": lambda: by_layer({"a": [1.0, NAN, 2.0]}, ylabel="", intervals={"a": [[0, 2], [NAN, NAN], [1, 3]]}),
    "one layer": lambda: by_layer({"a": [1.0], "b": [2.0]}, ylabel="", intervals={"a": [[0, 2]], "b": [[1, 3]]}),
    "zeros": lambda: by_layer({"a": [0.0, 0.0]}, ylabel="", sizes=True),
    "wide": lambda: stream_norms({"base": np.geomspace(1, 1e4, 29)},
                                 intervals={"base": np.geomspace(1, 1e4, 58).reshape(29, 2)}),
    "no attention": lambda: written({"attention": [NAN, 1], "feed-forward": [1, 1]},
                                    {"attention": [NAN, 0], "feed-forward": [0, 0]}, expected=0.1),
    "deep": lambda: waterfalls({"base": RNG.normal(size=57)}, [FROM_EMBEDDING] + [ATTENTION, FEED_FORWARD] * 28,
                               ["emb."] + [str(i // 2) for i in range(56)]),
    "nan map": lambda: model_maps({"base": np.full((2, 2), NAN)}, signed=True, marks=np.zeros((2, 2)), marked="m", **MAP),
}


@pytest.mark.parametrize("case", EDGES)
def test_edges_are_drawn(case):
    drawn(EDGES[case]())


def test_a_cell_with_a_colour_has_digits_that_say_why():
    base = np.array([[0.2, -0.1], [0.05, 0.15]])
    figure = model_maps({"base": base, "tuned": base + [[0.003, 0.0], [-0.002, 0.001]]}, ["0", "1"], ["0", "1"],
                        label="nats", title="attribution", xlabel="head", ylabel="layer", signed=True)
    change = [text.get_text() for text in figure.axes[2].texts if text.get_text()[-1:].isdigit()]
    assert [round(float(text), 4) for text in change] == [0.003, 0.0, -0.002, 0.001] and "-0.0000" not in change
