"""Figures of lenses draw what they are given and survive what runs really give."""

import warnings

import numpy as np
import pytest

from lab.figures.lens_layers import answers_won, lens_by_category, lens_difference, lens_error
from lab.figures.lens_positions import MOST, lens_positions

NAN = float("nan")


def drawn(made):
    figure = made if hasattr(made, "savefig") else made.figure
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure.canvas.draw()
    return figure


def test_answers_accumulate_and_those_that_never_win_are_never_counted():
    figure = answers_won({"knowledge": {"base": [0, 1, 2, NAN]}}, 3)
    (line,) = [line for line in drawn(figure).axes[0].lines if line.get_label().startswith("base")]
    assert list(line.get_xdata()) == [0, 1, 2] and list(line.get_ydata()) == [0.25, 0.5, 0.75]
    assert line.get_label() == "base: 75% in the end"


@pytest.mark.parametrize(("layers", "half"), [(6, 2), (4, 1), (28, 13)])
def test_half_depth_is_where_half_of_the_layers_have_run(layers, half):
    ax = answers_won({"knowledge": {"base": [0]}}, layers).axes[0]
    assert [line.get_xdata()[0] for line in ax.lines if line.get_linestyle() == ":"] == [half]


def test_categories_share_a_scale():
    figure = lens_by_category({"a": {"base": [0.0, 1]}, "b": {"base": [-5.0, 9]}}, counts={"a": 1, "b": 2}, ylabel="nats")
    one, two = drawn(figure).axes
    assert one.get_ylim() == two.get_ylim() and two.get_title(loc="left") == "b (2 questions)"


def test_no_change_is_said():
    ax = lens_difference({"a": [0.0, 0.0]}, ylabel="nats")
    drawn(ax)
    assert "no change" in ax.texts[0].get_text()
    ax = lens_difference({"a": [0.0, 1e-6]}, ylabel="nats", title="tuned lens")
    assert not ax.texts and ax.get_title(loc="left") == "tuned lens"
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["0: tuned as base", "a"]


def test_lenses_are_told_apart_by_name_and_line():
    titles = {made.get_suptitle() for made in (
        lens_by_category({"a": {"base": [0.0, 1]}}, counts={"a": 1}, ylabel="nats", title=title)
        for title in ("one", "two"))}
    assert titles == {"one", "two"}
    lines = lens_error({"a": [1.0, 0], "b": [1.0, 0]}, {"a": [1.0, 0], "b": [1.0, 0]}).axes[0].lines
    looks = {(line.get_linestyle(), line.get_marker()) for line in lines if line.get_label() in "ab"}
    assert len(looks) == 2


def test_cells_that_say_the_answer_are_framed_and_long_prompts_show_their_end():
    said = [["a"] * 40, ["a"] * 39 + ["$x$"]]
    figure = drawn(lens_positions(np.full((2, 40), 0.5), said, [f"t{i}" for i in range(40)], answer="$x$"))
    ax = figure.axes[0]
    assert [(round(p.get_x() + 0.47), round(p.get_y() + 0.45)) for p in ax.patches] == [(MOST - 1, 1)]
    labels = [label.get_text() for label in ax.get_xticklabels()]
    assert labels[0] == f"t{40 - MOST}" and labels[-1] == "t39" and f"first {40 - MOST} are left out" in ax.get_xlabel()


EDGES = {
    "one category, intervals": lambda: lens_by_category({"a": {"base": [NAN, 1.0]}}, counts={"a": 1}, ylabel="nats", zero="",
                                                        intervals={"a": {"base": [[NAN, NAN], [0, 2]]}}),
    "never": lambda: answers_won({"a": {"base": [NAN], "tuned": []}}, 2),
    "error": lambda: lens_error({"logit lens": np.linspace(9, 0, 29)}, {"logit lens": np.linspace(3, 0, 29)}),
    "one token": lambda: lens_positions([[NAN], [1.0]], [["中"], [""]], ["a"]),
}


@pytest.mark.parametrize("case", EDGES)
def test_edges_are_drawn(case):
    drawn(EDGES[case]())
