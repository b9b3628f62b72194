"""The figures of forgetting show the arrays they are given, for one suite and eight, for no change and for great loss."""

import numpy as np
import pytest

from lab.figures.forgetting_accuracy import accuracy_change
from lab.figures.forgetting_answers import answers
from lab.figures.forgetting_calibration import calibration, reliability
from lab.figures.forgetting_drift import drift
from lab.figures.forgetting_flips import flips
from lab.figures.named_rows import broken, p_words

LONG = "leaderboard_mmlu_pro_physics_few_shot_generative"
EDGES = np.concatenate([[0.0], 10 ** np.arange(-8, 2.01, 0.5)])


def drawn(figure):
    figure.canvas.draw()
    return figure


def words(ax):
    return [text.get_text() for text in ax.texts]


def inside(figure):
    """Whether all that is written lies on the figure."""
    renderer = figure.canvas.get_renderer()
    written = [text for ax in figure.axes for text in [*ax.texts, ax.xaxis.label, ax.yaxis.label, *ax.get_yticklabels(),
                                                       ax.title] if text.get_text() and text.get_visible()]
    extents = [text.get_window_extent(renderer) for text in written]
    return all(figure.bbox.x0 <= each.x0 + 1 and each.x1 <= figure.bbox.x1 + 1 for each in extents)


@pytest.mark.parametrize("count", [1, 4, 8])
def test_accuracies_and_lost_points_stand_in_their_rows(count):
    suites, rng = ["math", LONG, "c", "d", "e", "f", "g", "h"][:count], np.random.default_rng(0)
    base, lost = rng.uniform(0.5, 1, count), np.sort(rng.uniform(-5, 60, (count, 3)), 1)[:, [1, 0, 2]]
    chance, p = np.r_[np.full(count - 1, 0.25), np.nan], np.full(count, 0.03)
    figure = drawn(accuracy_change(suites, base, base - lost[:, 0] / 100, chance, lost, p, ["not lost, few flips"] * count))
    left, right = figure.axes
    points = [collection.get_offsets() for collection in left.collections if len(collection.get_offsets()) == count]
    np.testing.assert_allclose(points[-2], np.c_[100 * base, np.arange(count)])
    np.testing.assert_allclose(points[-1], np.c_[100 * base - lost[:, 0], np.arange(count)])
    np.testing.assert_allclose(right.lines[1].get_xdata(), lost[:, 0])
    ends = right.containers[0][2][0].get_segments()
    np.testing.assert_allclose([[row[0][0], row[1][0]] for row in ends], lost[:, 1:])
    band = right.patches[0].get_window_extent()
    np.testing.assert_allclose(right.transData.inverted().transform([[band.x0, 0], [band.x1, 0]])[:, 0], [-2, 2])
    assert words(right)[:count] == ["not lost, few flips\np = 0.03"] * count and inside(figure)


def test_no_loss_leaves_the_band_in_sight():
    figure = drawn(accuracy_change(["a"], [0.9], [0.9], [0.25], [[0, 0, 0]], [1.0], ["not lost, few flips"]))
    low, high = figure.axes[1].get_xlim()
    assert low < -2 and high > 2


def test_flips_stand_to_both_sides_and_no_flip_is_said():
    figure = drawn(flips(["math: a", LONG], [3, 0], [1, 7], [40, 50]))
    (ax,) = figure.axes
    assert [patch.get_width() for patch in ax.patches] == [-3, 0, 1, 7]
    assert words(ax) == ["of 40", "of 50", "3", "1", "7"]
    assert "3 right → wrong, 8 wrong → right, of 90" in ax.get_title("left")
    assert inside(figure)
    (ax,) = drawn(flips(["a", "b"], [0, 0], [0, 0], [40, 50])).axes
    assert words(ax) == ["no answer changed between right and wrong"] and not ax.patches


def test_of_many_kinds_those_that_changed_most_are_drawn():
    lost = np.arange(50)
    (ax,) = drawn(flips([f"kind {n}" for n in range(50)], lost, 0 * lost, 0 * lost + 100)).axes
    assert [label.get_text() for label in ax.get_yticklabels()] == [f"kind {n}" for n in range(20, 50)]
    assert "20 kinds with fewer changes" in ax.get_title("left")


def test_reliability_is_the_share_right_of_each_bin():
    sure, right = np.array([0.31, 0.35, 0.95, 0.97, 0.99, 1.0]), np.array([0, 1, 1, 1, 0, 1], bool)
    ax = reliability({"base": sure}, {"base": right})
    np.testing.assert_allclose(ax.collections[-1].get_offsets(), [[0.33, 0.5], [sure[2:].mean(), 0.75]])
    segments = np.array(ax.containers[0][2][0].get_segments())[:, :, 1]
    np.testing.assert_allclose(segments[1], [0.30064, 0.95441], atol=2e-5)  # Wilson's interval of 3 of 4


def test_calibration_errors_stand_beside_their_null():
    sure = np.linspace(0.3, 1, 20)
    figure = drawn(calibration(["math", LONG], {"base": sure, "tuned": sure}, {"base": sure > 0.5, "tuned": sure > 0.9},
                               {"base": [0.01, 0.02], "tuned": [0.3, 0.4]}, {"base": [0.02, 0.02], "tuned": [0.03, 0.03]},
                               {"base": [0.04, 0.05], "tuned": [0.06, 0.07]}))
    rows = figure.axes[1]
    assert [patch.get_width() for patch in rows.patches] == [0.04, 0.05, 0.06, 0.07]
    dots = [collection.get_offsets()[:, 0].tolist() for collection in rows.collections if len(collection.get_offsets()) == 2]
    assert dots == [[0.01, 0.02], [0.3, 0.4]] and rows.get_xlim()[1] > 0.4 and inside(figure)
    assert "no questions with alternatives" in words(drawn(calibration([], {}, {}, {}, {}, {})).axes[1])


@pytest.mark.parametrize("count", [1, 8])
def test_answers_fill_their_bars(count):
    base, tuned = np.tile([0.9, 0.1, 0.0], (count, 1)), np.tile([0.02, 0.08, 0.9], (count, 1))
    figure = drawn(answers([LONG] * count, base, tuned))
    (ax,) = figure.axes
    found = np.array([[patch.get_x(), patch.get_width()] for patch in ax.patches]).reshape(2, 3, count, 2)
    np.testing.assert_allclose(found[..., 1], 100 * np.stack([base, tuned]).transpose(0, 2, 1))
    np.testing.assert_allclose(found[:, 2].sum(-1), 100)
    assert {"90 %", "10 %", "8 %"} < set(words(ax)) and "2 %" not in words(ax) and inside(figure)
    assert words(drawn(answers([], [], [])).axes[0]) == ["no question was answered freely"]


def test_drift_shows_shares_of_tokens_and_the_mean_of_each_kind():
    counts, null = np.zeros(len(EDGES) - 1), np.zeros(len(EDGES) - 1)
    counts[[3, 9]], null[0] = [30, 10], 40
    figure = drawn(drift(EDGES, counts, null, ["a", LONG], [[0.5, 0.4, 0.6], [1.0, 0.9, 1.2]], [0.1, np.nan], [1e-9, np.nan],
                         bar=0.5))
    left, right = figure.axes
    assert [left.patches[at].get_height() for at in (3, 9, 0)] == [75, 25, 0]
    np.testing.assert_allclose(left.patches[-1].get_data().values[0], 100)
    np.testing.assert_allclose(right.lines[0].get_xdata(), [0.5, 1.0])
    assert words(right)[:2] == ["10 %", "no such token"] and right.get_xscale() == "linear" and inside(figure)
    labels = [text.get_text() for text in right.get_legend().get_texts()]
    assert "rounding alone: at most 1e-09" in labels


def test_means_far_apart_are_on_decades_with_the_null_in_sight():
    counts = np.ones(len(EDGES) - 1)
    right = drawn(drift(EDGES, counts, counts, ["a", "b"], [[0.01, -0.001, 0.02], [5, 3, 7]], [0, 1], [1e-4, 1e-4],
                        bar=0.5)).axes[1]
    assert right.get_xscale() == "log" and right.get_xlim()[0] < 1e-4


@pytest.mark.parametrize(("value", "said"), [(0.0, "no change: exactly 0 for every kind"),
                                             (np.nan, "the base was good at no token")])
def test_no_drift_and_no_token_are_said(value, said):
    counts = np.zeros(len(EDGES) - 1)
    counts[0] = 0 if np.isnan(value) else 9
    kl, rest = np.full((2, 3), value), ([value] * 2, [np.nan] * 2)
    left, right = drawn(drift(EDGES, counts, None, ["a", "b"], kl, *rest, bar=0.5)).axes
    assert words(right) == [said] and (words(left) == [said]) == np.isnan(value)


def test_one_text_has_a_mean_without_an_interval():
    counts = np.ones(len(EDGES) - 1)
    right = drawn(drift(EDGES, counts, None, ["a"], [[12, np.nan, np.nan]], [1], [np.nan], bar=0.5)).axes[1]
    assert right.lines[0].get_xdata() == [12] and words(right)[0] == "100 %"


@pytest.mark.parametrize(("name", "said"), [
    ("math", "math"), (LONG, "leaderboard_mmlu_pro_\nphysics_few_shot_\ngenerative"), ("", ""),
    ("two-step word problems of the world", "two-step word problems\nof the world"),
    (LONG + "_" + LONG, "leaderboard_mmlu_pro_\nphysics_few_shot_\ngenerative_…")])
def test_long_names_are_broken_where_they_can_be(name, said):
    assert broken(name) == said


def test_p_values_are_short():
    assert [p_words(p) for p in (1e-9, 0.0123, 0.05, 0.3, 1.0)] == ["p < 0.001", "p = 0.012", "p = 0.05", "p = 0.30",
                                                                     "p = 1.00"]
