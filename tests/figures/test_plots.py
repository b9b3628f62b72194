"""Every plot labels its axes, returns them, and survives what runs really give it."""

import warnings

import numpy as np
import pytest
import torch

from lab.figures.curves import curve_fit, overlay
from lab.figures.heat import heat_map
from lab.figures.layout import panels
from lab.figures.ranks import learned_bits_by_rank, loss_by_rank
from lab.figures.rates import rate_curve, rate_rank
from lab.figures.spectra import singular_values
from lab.figures.training import accuracy_by_category, loss_curve, series, training_panel

NAN = float("nan")
STEPS = [1, 2, 3]
PLOTS = {
    "loss": lambda ax: loss_curve(STEPS, [3.0, 2.0, NAN], [0, 3], [3.0, 1.0], ax, smooth=[3, 2, 2], spikes=[2],
                                  diverged_at=3),
    "loss, empty": lambda ax: loss_curve([], [], [], [], ax),
    "loss, one point": lambda ax: loss_curve([1], [2.0], [0], [3.0], ax),
    "series": lambda ax: series(STEPS, [1.0, 10.0, NAN], ax, ylabel="speed (tokens/s)", log=True, diverged_at=2),
    "series, nan": lambda ax: series(STEPS, [NAN] * 3, ax, ylabel="speed (tokens/s)"),
    "accuracy": lambda ax: accuracy_by_category([0, 10], {"code": [0.1, 0.9], "copying": [NAN] * 2}, {"code": 0.1}, ax),
    "accuracy, none": lambda ax: accuracy_by_category([], {}, None, ax),
    "ranks": lambda ax: loss_by_rank([10, 10, 40, 40], [2.0, 2.2, 1.0, NAN], [1, 1, 4, 4], ax,
                                     intervals=[[1.9, 2.3], [NAN, NAN]], base_loss=3.0, covers="seeds"),
    "ranks, one": lambda ax: loss_by_rank([10], [2.0], [1], ax),
    "ranks, nan": lambda ax: loss_by_rank([10, 40], [NAN, NAN], [1, 4], ax),
    "bits": lambda ax: learned_bits_by_rank([1, 4], [100, 900], ax, intervals=[[50, 150], [800, 990]], total=1000,
                                            parameters=[100, 400]),
    "bits, one": lambda ax: learned_bits_by_rank([8], [0.0], ax, total=1000, parameters=[100]),
    "bits, nan": lambda ax: learned_bits_by_rank([1, 4], [NAN, NAN], ax, total=1000),
    "rates": lambda ax: rate_curve([1e-3, 3e-3, 1e-2], [2.0, 1.0, NAN], ax, best=2e-3, interval=(1e-3, 4e-3),
                                   fit_rates=[1e-3, 3e-3], fit_loss=[2.0, 1.0]),
    "rates, log": lambda ax: rate_curve([1e-3, 3e-3, 1e-2], [2.0, 0.01, NAN], ax, log_loss=True, label="r=1"),
    "rates, one": lambda ax: rate_curve([1e-3], [2.0], ax),
    "rates, nan": lambda ax: rate_curve([1e-3, 1e-2], [NAN, np.inf], ax),
    "fit": lambda ax: curve_fit(STEPS, [3.0, 2.0, 1.5], {"power law": (STEPS, [3.0, 2.0, 1.4])}, ax, floor=(0.0, 50.0),
                                predicted_from=3, known_floor=0.5),
    "fit, empty": lambda ax: curve_fit([], [], {}, ax),
    "overlay": lambda ax: overlay([(STEPS, [3.0, 2.0, NAN]), ([], [])], ax, labels=["r=1", "r=4"], diverged=[3, None]),
    "overlay, nan": lambda ax: overlay([(STEPS, [NAN] * 3)], ax, labels=["r=1"]),
}


@pytest.mark.parametrize("name", PLOTS)
def test_axes_come_back_labelled_and_can_be_drawn(name):
    figure, axes = panels(1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert PLOTS[name](axes[0]) is axes[0]
        figure.canvas.draw()
    assert axes[0].get_xlabel() and axes[0].get_ylabel()
    assert PLOTS[name](None).figure is not figure


def texts(ax):
    legend = ax.get_legend()
    return [text.get_text() for text in ax.texts] + ([t.get_text() for t in legend.get_texts()] if legend else [])


def test_units_are_on_the_axes():
    assert PLOTS["loss"](None).get_ylabel() == "loss (nats/token)"
    assert PLOTS["bits"](None).get_ylabel() == "learned (bits)"


def test_tensors_with_gradients_are_drawn():
    losses = torch.tensor([3.0, 2.0, 1.0], requires_grad=True)
    ax = loss_curve(torch.arange(3), losses, [0], losses[:1])
    np.testing.assert_array_equal(ax.lines[0].get_ydata(), [3, 2, 1])


def test_base_divergence_and_spikes_are_marked():
    shown = texts(PLOTS["loss"](None))
    assert {"held-out, bare base", "diverged at step 3", "spike"} <= set(shown)


def test_every_rank_is_named_and_divergence_marked_once():
    shown = texts(PLOTS["ranks"](None))
    assert {"r=1", "r=4", "single seed", "bare base"} <= set(shown)
    assert shown.count("diverged") == 1


def test_means_are_over_the_seeds_that_did_not_diverge():
    ax = PLOTS["ranks"](None)
    means = next(line for line in ax.lines if line.get_label() == "mean over seeds")
    np.testing.assert_allclose(means.get_ydata(), [2.1, 1.0])


def test_references_of_learned_bits_are_labelled_also_where_they_do_not_fit():
    assert {"1,000 bits in the data", "2 bits per trainable parameter"} <= set(texts(PLOTS["bits"](None)))
    far = learned_bits_by_rank([8], [500], total=1000, parameters=[100_000])
    assert "2 bits per trainable parameter: 200,000 or more" in texts(far)
    assert far.get_ylim()[1] < 2000


def test_a_floor_that_is_not_identified_does_not_flatten_the_curve():
    assert PLOTS["fit"](None).get_ylim()[1] < 5


def test_up_to_eight_runs_are_named_and_more_get_a_colour_bar():
    curves = [(STEPS, [3.0, 2.0, 1.0 + i]) for i in range(9)]
    few = overlay(curves[:8], labels=[f"r={i}" for i in range(8)])
    assert [text for text in texts(few) if text.startswith("r=")] == [f"r={i}" for i in range(8)]
    many = overlay(curves, labels=[f"r={i}" for i in range(9)], values=[2**i for i in range(9)], value_name="rank")
    assert texts(many) == [] and many.figure.axes[1].get_ylabel() == "rank"


def test_accuracies_are_named_at_their_ends():
    assert "code 0.90" in texts(PLOTS["accuracy"](None))


def test_a_training_panel_fills_four_axes_and_says_what_is_missing():
    history = {"train/loss/steps": STEPS, "train/loss/values": [3, 2, 1], "train/grad_norm/steps": STEPS,
               "train/grad_norm/values": [9.0, 1.0, 1.0], "eval/loss/steps": [0, 3], "eval/loss/values": [3, 1]}
    _, axes = panels(4)
    assert training_panel(axes, history, diverged_at=3) is axes
    assert [ax.get_title(loc="left") for ax in axes] == ["Loss", "Learning rate", "Gradient norm", "Speed"]
    assert texts(axes[1]) == ["nothing was logged"] and axes[2].get_yscale() == "log"
    with pytest.raises(ValueError, match="4 axes and was given 2"):
        training_panel(axes[:2], history)


@pytest.mark.parametrize(("layers", "rank"), [(6, 8), (28, 16), (6, 1), (1, 4), (80, 64)])
def test_spectra_have_one_panel_for_every_module_at_any_depth(layers, rank):
    modules = [f"m{i}" for i in range(7)]
    values = np.random.default_rng(0).random((layers, 7, rank))
    values[0, 3], values[:, 4], values[:, 5] = NAN, 0, NAN
    figure = singular_values(values, modules)
    figure.canvas.draw()
    assert [ax.get_title(loc="left") for ax in figure.axes[:7]] == modules
    assert texts(figure.axes[4]) == ["no update (all values 0)"] and texts(figure.axes[5]) == ["no such module"]
    assert figure.axes[0].get_ylabel() == "singular value"
    assert figure.axes[0].get_ylim() == figure.axes[6].get_ylim()
    width, height = figure.get_size_inches()
    assert width <= 14 and height <= 7


def test_cells_carry_numbers_while_they_are_few():
    few = heat_map([[1.0, NAN], [2.0, 3.0]], ["a", "b"], ["c", "d"], label="loss (nats/token)", missing="diverged")
    assert texts(few) == ["1", "diverged", "2", "3"]
    many = heat_map(np.ones((28, 7)), [str(i) for i in range(28)], [f"m{i}" for i in range(7)], label="effective rank")
    assert texts(many) == []


def test_the_best_rate_of_every_rank_is_framed():
    ax = rate_rank([[2.0, 1.0, NAN], [NAN, NAN, NAN]], [1e-3, 3e-3, 1e-2], [1, 4])
    assert [tuple(np.round(np.array(patch.get_xy()) + 0.47)) for patch in ax.patches] == [(1, 0)]
    assert [label.get_text() for label in ax.get_xticklabels()] == ["0.001", "0.003", "0.01"]
