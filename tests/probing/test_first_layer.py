"""First layers of small arrays worked out by hand, and by plain loops on random ones."""

import numpy as np
import pytest

from lab.errors import OptionError
from lab.probing.first_layer import answers_win, by_category, chosen, first, lasting, lead, prompt_leads, reaching, summarise

HOLDS = np.array([[0, 1, 1, 1], [1, 0, 1, 1], [1, 1, 1, 1], [0, 0, 0, 0], [0, 1, 1, 0], [0, 0, 0, 1]], dtype=bool)


def test_first_and_lasting_by_hand():
    np.testing.assert_array_equal(first(HOLDS), [1, 0, 0, np.nan, 1, 3])
    np.testing.assert_array_equal(lasting(HOLDS), [1, 2, 0, np.nan, np.nan, 3])


def test_lasting_is_what_a_loop_finds():
    holds = np.random.default_rng(0).random((200, 6)) < 0.7
    for row, found in zip(holds, lasting(holds), strict=True):
        each = [layer for layer in range(6) if row[layer:].all()]
        assert found == each[0] if each else np.isnan(found)


def test_definitions_of_winning():
    found = answers_win(np.array([[-1.0, 2.0, -1.0, 0.5]]), np.array([[9, 1, 4, 2]]))
    assert {name: value.tolist() for name, value in found.items() if name != "top"} == {
        "lasting": [3], "first": [1], "first_top": [1]}
    assert np.isnan(found["top"][0])  # ahead of its foil at the end, of all tokens not
    assert np.isnan(answers_win(np.zeros((1, 2)), np.ones((1, 2)))["first"][0])  # a tie is not won


def test_those_that_never_come_count_as_later_than_all():
    found = summarise(np.array([0, 1, 3, np.nan, np.nan]), 4)
    assert found.count == 5 and found.never == pytest.approx(0.4) and found.median == 3
    assert found.quartiles[0] == 1 and np.isnan(found.quartiles[1])
    np.testing.assert_allclose(found.reached, [0.2, 0.4, 0.4, 0.6])
    assert np.isnan(summarise(np.array([1, np.nan, np.nan]), 4).median)


def test_categories_are_summarised_apart():
    found = by_category(np.array([1.0, 3.0, np.nan, 1.0]), ["sums", "facts", "facts", "sums"], 4)
    assert list(found) == ["sums", "facts"]
    assert (found["sums"].median, found["facts"].median, found["facts"].never) == (1, 3, 0.5)


def test_no_prompt_is_refused():
    with pytest.raises(OptionError, match="there is no prompt, so no first layer"):
        summarise(np.array([]), 4)


def test_a_tie_among_candidates_is_no_choice():
    scores = np.array([[[0.5, 0.2], [0.1, 0.9], [0.4, 0.4]], [[0.0, 1.0], [2.0, 1.0], [0.0, 0.5]]])
    np.testing.assert_array_equal(chosen(scores, np.array([0, 1])), [[True, False, False], [True, False, True]])


def test_a_probe_planted_two_layers_earlier_leads_by_two():
    generator = np.random.default_rng(1)
    right = generator.random((400, 6)) < 0.9
    probe, lens = right & (np.arange(6) >= 1), right & (np.arange(6) >= 3)
    assert (reaching(probe, 0.8), reaching(lens, 0.8)) == (1, 3)
    assert lead(probe, lens, 0.8) == 2 and lead(lens, probe, 0.8) == -2 and lead(lens, lens, 0.8) == 0
    draws = [lead(probe, lens, 0.8, generator.integers(0, 400, 400)) for _ in range(50)]
    assert set(draws) == {2.0}
    assert lead(probe, lens & False, 0.8) == 5  # never in the lens: later than its last layer


def test_leads_of_each_prompt():
    probe = np.array([[1, 1, 1], [0, 0, 1], [0, 0, 0], [0, 0, 0]], dtype=bool)
    lens = np.array([[0, 0, 1], [0, 1, 1], [0, 0, 0], [1, 1, 1]], dtype=bool)
    np.testing.assert_array_equal(prompt_leads(probe, lens), [2, -1, 0, -3])


@pytest.mark.parametrize(("probe", "lens", "threshold", "match"), [
    (HOLDS, HOLDS[:2], 0.5, r"a probe of \(6, 4\) and a lens of \(2, 4\)"),
    (HOLDS[:0], HOLDS[:0], 0.5, r"a probe of \(0, 4\)"),
    (HOLDS, HOLDS, 0.0, "threshold=0.0: allowed is a share above 0"),
])
def test_what_cannot_be_compared_is_refused(probe, lens, threshold, match):
    with pytest.raises(OptionError, match=match):
        lead(probe, lens, threshold)
