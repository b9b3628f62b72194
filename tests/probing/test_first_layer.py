"""First layers of small arrays worked out by hand, and by plain loops on random ones."""

import numpy as np

from lab.probing.first_layer import lasting

HOLDS = np.array([[0, 1, 1, 1], [1, 0, 1, 1], [1, 1, 1, 1], [0, 0, 0, 0], [0, 1, 1, 0], [0, 0, 0, 1]], dtype=bool)


def test_lasting_by_hand():
    np.testing.assert_array_equal(lasting(HOLDS), [1, 2, 0, np.nan, np.nan, 3])


def test_lasting_is_what_a_loop_finds():
    holds = np.random.default_rng(0).random((200, 6)) < 0.7
    for row, found in zip(holds, lasting(holds), strict=True):
        each = [layer for layer in range(6) if row[layer:].all()]
        assert found == each[0] if each else np.isnan(found)
