import numpy as np

from lab.evaluation.beyond_null import beyond_null, over, prompts_first, relative

PROMPTS, DRAWS, LAYERS, HEADS = 12, 39, 2, 3


def changes(rng, *shape):
    return np.exp(rng.normal(-5, 0.5, (*shape, LAYERS, HEADS)))


def test_resampled_means_equal_plain_indexing():
    rng = np.random.default_rng(0)
    null, rows = changes(rng, DRAWS, PROMPTS), rng.integers(0, PROMPTS, PROMPTS)
    first = prompts_first(null)
    np.testing.assert_allclose(over(first, rows), null[:, rows].mean(1), rtol=1e-12)
    own = changes(rng, PROMPTS)
    expected = np.log(own[rows].mean(0) / null[:, rows].mean((0, 1)))
    np.testing.assert_allclose(relative(own, first, rows, None), expected, rtol=1e-9)
    others = np.delete(null, 3, axis=0)
    expected = np.log(null[3][rows].mean(0) / others[:, rows].mean((0, 1)))
    np.testing.assert_allclose(relative(own, first, rows, 3), expected, rtol=1e-9)


def test_heads_that_nothing_reaches_have_no_relative_change():
    zeros = np.zeros((PROMPTS, LAYERS, HEADS))
    assert (relative(zeros, np.zeros((PROMPTS, DRAWS, LAYERS, HEADS)), np.arange(PROMPTS), None) == 0).all()


def test_the_interval_covers_draws_however_many_prompts_agree():
    """Prompts that all say the same leave the spread of the draws: 95 % of it, not an interval of zero width."""
    draws = np.linspace(-1, 1, 101)
    found = beyond_null(lambda rows, draw: 0.5 if draw is None else draws[draw], prompts=1000, draws=101)
    assert found.value == 0.5 and abs(found.low - (0.5 - 0.95)) < 0.03 and abs(found.high - (0.5 + 0.95)) < 0.03
    assert found.covers == "prompts (n=1000) and random directions (101 draws), not training seeds"


def test_the_interval_covers_prompts_where_draws_agree():
    values = np.random.default_rng(1).normal(0, 1, 400)
    found = beyond_null(lambda rows, draw: values[rows].mean() if draw is None else 0.0, prompts=400, draws=39)
    half = 1.96 * values.std() / 20
    assert abs(found.value - values.mean()) < 1e-12
    assert abs((found.high - found.low) / 2 - half) < 0.15 * half


def test_an_adapter_that_is_a_draw_is_seldom_beyond_the_others():
    rng = np.random.default_rng(2)
    outside = 0
    for _ in range(60):
        sizes = rng.normal(0, 1, DRAWS + 1)
        found = beyond_null(lambda rows, draw, s=sizes: s[0] if draw is None else s[draw + 1], PROMPTS, DRAWS)
        outside += found.low > 0 or found.high < 0
    assert outside <= 9  # 5 % of 60 is 3
