"""Attention maps show no key after its query, small weights beside a sink, and real tokens."""

import numpy as np
import pytest

from lab.figures.attention_maps import attention_map, compare_maps
from lab.figures.attention_tokens import token_label

WEIGHTS = np.tril(np.ones((4, 4))) / np.arange(1, 5)[:, None]
TOKENS = ["<|im_start|>", " $x$ $y$", "\n", "中"]


def test_keys_after_the_query_are_blank_and_others_keep_their_weights():
    shown = attention_map(WEIGHTS + np.triu(np.ones((4, 4)), 1), TOKENS).images[0].get_array()
    np.testing.assert_array_equal(shown.mask, np.triu(np.ones((4, 4), dtype=bool), 1))
    np.testing.assert_array_equal(shown.compressed(), WEIGHTS[np.tril_indices(4)])


def test_queries_are_down_keys_across_and_the_scale_says_it_follows_roots():
    ax = attention_map(WEIGHTS, TOKENS, title="layer 3, head 2")
    assert ax.get_xlabel().startswith("key") and ax.get_ylabel().startswith("query")
    bar = ax.images[0].colorbar.ax
    assert bar.get_ylabel() == "attention weight\n(colour follows its square root)"
    assert ax.images[0].norm(0.25) == 0.5
    assert [t.get_text() for t in bar.get_yticklabels()] == ["0", "0.062", "0.25", "0.56", "1"]


def test_tokens_are_texts_not_formulas():
    labels = attention_map(WEIGHTS, TOKENS).get_xticklabels()
    assert [label.get_text() for label in labels] == ["<|im_start|>", "␣$x$␣$y$", "↵", "U+4E2D"]
    assert not any(label.get_parse_math() for label in labels)


@pytest.mark.parametrize(("token", "label"), [("a" * 30, "a" * 11 + "…"), ("", "∅"), ("\t\r", "⇥\\r"), ("\ufffd", "�"),
                                              ("\ud800", "U+D800"), ("\x00", "U+0000"), ("é", "é")])
def test_odd_tokens_have_labels(token, label):
    assert token_label(token) == label


def test_many_tokens_are_thinned_with_their_positions():
    ax = attention_map(np.tril(np.ones((256, 256))), [f"t{i}" for i in range(256)])
    labels = [label.get_text() for label in ax.get_yticklabels()]
    assert len(labels) <= 28 and labels[:2] == ["t0 0", "t10 10"]
    assert "every 10th" in ax.get_ylabel()


def test_on_long_texts_a_few_keys_that_hold_all_do_not_darken_the_rest():
    weights = np.tril(np.full((64, 64), 0.01))
    weights[5, 3] = 1.0
    ax = attention_map(weights, ["a"] * 64)
    assert ax.images[0].get_clim() == (0, 0.01)
    assert ax.images[0].colorbar.ax.get_yticklabels()[-1].get_text() == "≥ 0.01"
    short = attention_map(weights[:20, :20], ["a"] * 20)
    assert short.images[0].get_clim() == (0, 1)


def test_base_and_tuned_share_a_scale_and_the_difference_names_the_divergence():
    tuned = np.eye(4)
    figure = compare_maps(WEIGHTS[None] / 2, tuned[None], TOKENS, [(3, 2)], divergence=[0.0123])
    base, other, change = (ax for ax in figure.axes if ax.images)
    assert base.images[0].get_clim() == other.images[0].get_clim() == (0, 1)
    low, high = change.images[0].get_clim()
    assert low == -high == -np.abs(tuned - WEIGHTS / 2).max()
    assert base.get_title(loc="left") == "layer 3, head 2: base"
    assert change.get_title(loc="left") == "tuned − base: divergence 0.0123 nats"


def test_a_map_that_does_not_fit_its_tokens_is_an_error():
    with pytest.raises(ValueError, match=r"shape \(4, 4\) does not fit 3 tokens"):
        attention_map(WEIGHTS, TOKENS[:3])
