"""Every figure of attention draws whatever a measurement returns, says what it shows, and survives what runs really give."""

import warnings

import numpy as np
import pytest
import torch

from lab.figures.attention_grids import base_tuned_difference, head_grid, statistics_grids
from lab.figures.attention_induction import ablation
from lab.figures.attention_layers import change_by_category, change_by_layer
from lab.figures.attention_maps import attention_map, compare_maps
from lab.figures.attention_null import change_against_null, null_maximum, ratio_grid
from lab.figures.attention_ranks import change_by_rank
from lab.figures.attention_spread import distribution, distributions

NAN = float("nan")
RNG = np.random.default_rng(0)


def exact(*shape):
    """64ths, which bfloat16 holds exactly, so that every form of them is the same picture."""
    return RNG.integers(1, 64, shape) / 64


HEADS, OTHER, MARKS = exact(3, 2), exact(3, 2), RNG.random((3, 2)) < 0.5
PROMPTS, LAYERS, MAP, SPAN = exact(5, 3, 2), exact(3), np.tril(exact(4, 4)), np.array([[0.0, 2.0]] * 3)
TOKENS = ["<|im_start|>", " $x$", "\n", "中"]
DRAWN = {
    "grid": lambda a: head_grid(a(HEADS), "first_token", uniform=a(OTHER), marks=MARKS),
    "difference": lambda a: head_grid(a(HEADS - OTHER), "entropy", difference=True),
    "row": lambda a: base_tuned_difference(a(HEADS), a(OTHER), "distance", uniform=0.5, marks=MARKS),
    "statistics": lambda a: statistics_grids({"entropy": a(HEADS), "induction": a(OTHER)}),
    "map": lambda a: attention_map(a(MAP), TOKENS, title="layer 3, head 2"),
    "maps": lambda a: compare_maps(a(MAP[None]), a(np.tril(MAP.T + MAP)[None]), TOKENS, [(3, 2)], divergence=a(LAYERS[:1])),
    "layers": lambda a: change_by_layer({"direct": a(LAYERS)}, intervals={"direct": a(SPAN)},
                                        nulls={"direct": (a(LAYERS / 2), a(LAYERS))}),
    "categories": lambda a: change_by_category(a(HEADS), ["facts", "code", "copying"]),
    "spread": lambda a: distribution({"base": a(HEADS), "tuned": a(OTHER)}, "recent", uniform=a(OTHER)),
    "spreads": lambda a: distributions({"entropy": a(PROMPTS)}, {"entropy": a(PROMPTS / 2)}, over="prompts"),
    "maximum": lambda a: null_maximum(a(LAYERS[0]), a(HEADS), threshold=0.5, note="p = 0.025"),
    "scatter": lambda a: change_against_null(a(HEADS), a(OTHER), marks=MARKS),
    "ratio": lambda a: ratio_grid(a(HEADS), a(OTHER), marks=MARKS),
    "ranks": lambda a: change_by_rank(a(np.array([1.0, 4, 8])), a(LAYERS), seeds=a(np.zeros(3)), intervals=a(SPAN),
                                      null_mean=a(LAYERS / 2), null_upper=a(LAYERS)),
    "ablation": lambda a: ablation(a(LAYERS[0]), a(LAYERS[1]), a(HEADS), vocabulary=64, heads=2, intact_interval=a(SPAN[0])),
}
EDGES = {
    "grid, nan": lambda: head_grid(np.full((3, 2), NAN), "duplicate_token", uniform=NAN),
    "grid, one": lambda: head_grid([[0.5]], "entropy"),
    "grid, zeros": lambda: base_tuned_difference(np.zeros((2, 2)), np.zeros((2, 2)), "divergence"),
    "row, nan": lambda: base_tuned_difference([[NAN, 1]], [[NAN, 2]], "duplicate_token"),
    "map, one token": lambda: attention_map([[1.0]], ["a"]),
    "map, long": lambda: attention_map(np.tril(RNG.random((100, 100))), ["token"] * 100),
    "maps, one model": lambda: compare_maps(MAP[None], None, TOKENS, [(0, 0)]),
    "maps, alike": lambda: compare_maps(MAP[None], MAP[None], TOKENS, [(0, 0)], divergence=[0.0]),
    "layers, zero": lambda: change_by_layer({"direct": [0, 0]}, intervals={"direct": [[0, 0]] * 2},
                                            nulls={"direct": ([0, 0], [0, 0])}),
    "layers, decades": lambda: change_by_layer({"direct": [1e-5, 1e-2, NAN], "inherited": [0, 1e-4, 1e-3]},
                                               intervals={"direct": [[-1e-6, 1e-4], [0, 1], [NAN, NAN]]},
                                               covers="9 prompts"),
    "layers, one": lambda: change_by_layer({"direct": [1.0]}, nulls={"direct": ([0.5], [0.7])}),
    "layers, nan": lambda: change_by_layer({"direct": [NAN, NAN]}),
    "categories, zero": lambda: change_by_category([[0, 0]], ["facts"]),
    "spread, nan": lambda: distribution({"base": [NAN]}, "duplicate_token"),
    "spreads, one model": lambda: distributions({"entropy": np.where(PROMPTS > 0.5, PROMPTS, NAN)},
                                                uniform={"entropy": 0.2}),
    "maximum, zero": lambda: null_maximum(0.0, np.zeros(39)),
    "maximum, same": lambda: null_maximum(0.5, [0.5] * 3),
    "maximum, decades": lambda: null_maximum(0.5, [1e-3, 2e-3]),
    "maximum, none": lambda: null_maximum(0.5, []),
    "scatter, zero": lambda: change_against_null(np.zeros((2, 2)), np.zeros((2, 2)), marks=np.zeros((2, 2))),
    "scatter, some": lambda: change_against_null([[0, 1e-3]], [[1e-4, 1e-4]], marks=[[False, True]]),
    "ratio, zero": lambda: ratio_grid([[0.0]], [[0.0]]),
    "ratio, alike": lambda: ratio_grid([[1.0, 0.0]], [[1.0, 1.0]]),
    "ranks, zero": lambda: change_by_rank([1, 2], [0, 0]),
    "ranks, one": lambda: change_by_rank([8], [1e-3]),
    "ranks, decades": lambda: change_by_rank([1, 8, 1, 8], [0, 1e-2, 1e-4, NAN], seeds=[0, 0, 1, 1]),
    "ablation, nan": lambda: ablation(0.1, 2.0, [NAN], vocabulary=64, heads=1),
}


def as_tensor(dtype):
    return lambda values: torch.tensor(np.asarray(values), dtype=dtype, requires_grad=True)


def picture(drawn):
    figure = getattr(drawn, "figure", drawn)
    figure.set_dpi(40)
    figure.canvas.draw()
    return np.asarray(figure.canvas.buffer_rgba())


@pytest.mark.parametrize("name", DRAWN)
def test_tensors_with_gradients_and_bfloat16_give_the_same_picture_as_arrays(name):
    wanted = picture(DRAWN[name](np.asarray))
    assert len(np.unique(wanted.reshape(-1, 4), axis=0)) > 10
    for dtype in (torch.float64, torch.bfloat16):
        np.testing.assert_array_equal(picture(DRAWN[name](as_tensor(dtype))), wanted)


@pytest.mark.parametrize("name", EDGES)
def test_edge_cases_are_drawn_without_a_warning(name):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        drawn = EDGES[name]()
        picture(drawn)
    figure = getattr(drawn, "figure", drawn)
    for ax in figure.axes:
        assert ax.get_label() == "<colorbar>" or (ax.get_xlabel() and ax.get_ylabel())


def words(ax):
    legend = ax.get_legend()
    return " ".join([t.get_text() for t in ax.texts] + [t.get_text() for t in (legend.get_texts() if legend else [])])


@pytest.mark.parametrize("name", ["layers, zero", "maximum, zero", "scatter, zero", "ratio, zero", "ranks, zero"])
def test_an_update_of_zero_says_so(name):
    assert "exactly 0" in words(EDGES[name]())


def test_zeros_among_others_are_marked_on_a_logarithmic_scale():
    ax = EDGES["layers, decades"]()
    assert ax.get_yscale() == "log" and "exactly 0" in words(ax)
    feet = next(line for line in ax.lines if line.get_marker() == "v")
    assert np.round(feet.get_xdata()).tolist() == [0]
    assert "95 % interval over 9 prompts" in words(ax)


def test_seeds_of_a_rank_are_seen_apart():
    ax = EDGES["ranks, decades"]()
    places = [line.get_xdata() for line in ax.lines if str(line.get_label()).startswith("seed")]
    assert len(places) == 2 and (places[0] < places[1]).all()


def test_every_draw_of_the_null_is_a_dot_at_its_value():
    draws = [1.0, 1.001, 2.0, 3.0]
    dots = null_maximum(4.0, draws).collections[0].get_offsets()
    np.testing.assert_allclose(sorted(dots[:, 0]), draws)
    assert sorted(dots[:, 1]) == [1, 1, 1, 2]


def test_heads_beyond_the_null_are_named_and_ringed():
    ax = change_against_null([[1.0, 2.0], [9.0, 1.0]], np.ones((2, 2)), marks=[[0, 0], [1, 0]], marked="beyond")
    assert "1.0" in [t.get_text() for t in ax.texts] and "beyond: 1 of 4 heads" in words(ax)
    np.testing.assert_array_equal(ax.collections[1].get_offsets(), [[1.0, 9.0]])


def test_another_adapter_may_stand_in_the_place_of_the_null():
    ax = change_against_null([[1.0, 2.0, NAN]], [[2.0, 1.0, NAN]], names=("this", "placebo"), diagonal="equal", unit="nats")
    assert (ax.get_ylabel(), ax.get_xlabel()) == ("this: nats", "placebo: nats") and words(ax) == "equal"
    assert ax.get_title(loc="left") == ""


def test_a_ratio_is_read_as_a_multiple():
    ax = ratio_grid([[4.0, 0.5, 0.0]], [[1.0, 1.0, 1.0]])
    assert [t.get_text() for t in ax.texts] == ["×4", "×0.5", "–"]
    assert ax.images[0].get_clim() == (-2, 2)


def test_distributions_are_over_heads_or_over_prompts():
    values = np.arange(12.0).reshape(2, 3, 2)
    values[0, 0, 0] = NAN
    heads, prompts = (distributions({"entropy": values}, over=over).axes[0].lines[0].get_xdata()
                      for over in ("heads", "prompts"))
    np.testing.assert_allclose(np.unique(heads[np.isfinite(heads)]), [4, 5, 6, 7, 8])
    np.testing.assert_allclose(np.unique(prompts[np.isfinite(prompts)]), [3.0, 8.5])
    with pytest.raises(ValueError, match="over='heads' or over='prompts'"):
        distributions({"entropy": values}, over="layers")


def test_guessing_and_the_number_of_draws_are_on_the_ablation():
    ax = DRAWN["ablation"](np.asarray)
    assert "guessing: ln 64 = 4.16" in words(ax) and "6 draws" in words(ax)
    assert ax.get_ylabel() == "loss on the second copy (nats/token)"
