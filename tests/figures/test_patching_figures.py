"""Figures of patches: what they show is what they were given."""

import numpy as np

from lab.figures.patching_maps import patch_maps
from lab.figures.patching_ranking import by_ranking

WORDS = {"layers": [0, 2], "total": 4.0, "title": "Sufficiency", "xlabel": "tokens", "null_title": "unrelated"}


def grids(figure):
    return [ax for ax in figure.axes if ax.get_ylabel() == "layer"]


def test_effects_stand_above_their_null_on_one_scale():
    own = {"post_ffn": [[1.0, -0.001], [np.nan, 3.0]], "delta_ffn": [[0.5, 0.0], [0.0, 0.0]]}
    null = {"post_ffn": np.zeros((2, 2)), "delta_ffn": [[-0.5, 0.0], [0.0, 0.0]]}
    figure = patch_maps(own, null, ["subject", "last"], marks={"post_ffn": [[True, False], [False, True]]}, marked="beyond",
                        **WORDS)
    axes = grids(figure)
    assert [ax.get_title(loc="left") for ax in axes] == ["post_ffn", "delta_ffn", "null, post_ffn", "null, delta_ffn"]
    assert {ax.images[0].get_clim() for ax in axes} == {(-3.0, 3.0)}
    np.testing.assert_array_equal(np.ma.filled(axes[0].images[0].get_array(), np.nan), [[1, 0], [np.nan, 3]])
    written = [text.get_text() for text in axes[0].texts]
    assert written[:4] == ["1.00", "0.00", "–", "3.00"] and "● 2" in written
    assert [label.get_text() for label in axes[0].get_yticklabels()] == ["0", "2"]
    assert "null: unrelated\n● beyond" in figure.get_suptitle()


def test_small_effects_keep_a_digit():
    figure = patch_maps({"head": [[0.012, -0.0001], [0, 0]]}, {"head": np.zeros((2, 2))}, ["0", "1"], **WORDS)
    assert [text.get_text() for text in grids(figure)[0].texts][:2] == ["0.012", "0.000"]
    own, null = grids(figure)  # one site and its null stand side by side
    assert own.get_position().y0 == null.get_position().y0 and own.get_position().x0 < null.get_position().x0


def test_tokens_are_named_one_by_one_until_there_are_too_many():
    for count, shown in ((5, 5), (100, 34)):
        values = {"post_ffn": np.zeros((2, count))}
        figure = patch_maps(values, values, [f"$t{n} " for n in range(count)], tokens=True, **WORDS)
        labels = [label.get_text() for label in grids(figure)[0].get_xticklabels()]
        assert len(labels) == shown and labels[0] == "$t0␣" and labels[1] == ("$t1␣" if count == 5 else "$t3␣")


def test_every_ranking_is_a_line_with_its_interval_beside_the_whole():
    values = {"patching": [[2.0, 1.0, 3.0], [4.0, 3.5, 4.5]], "norm": [[1.0, 0.0, 1.5], [3.0, 2.0, 4.0]]}
    ax = by_ranking(values, total=5.0, covers="prompts (n=8)", pool=48)
    lines = {container.get_label(): container for container in ax.containers}
    assert lines.keys() == {"patching", "norm"}
    np.testing.assert_array_equal(lines["patching"][0].get_ydata(), [2, 4])
    ends = [segment[:, 1].tolist() for segment in lines["norm"][2][0].get_segments()]
    assert ends == [[0.0, 1.5], [2.0, 4.0]]
    assert "48" in ax.get_xlabel() and "nats" in ax.get_ylabel() and "n=8" in ax.get_legend().get_title().get_text()
    whole, = (line for line in ax.lines if line.get_label() == "everything patched")
    assert list(whole.get_ydata()) == [5.0, 5.0] and not ax.texts
