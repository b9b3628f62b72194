import math

import numpy as np

from lab.evaluation.capacity import learned_bits


def test_a_uniform_guess_learned_nothing_and_certainty_learned_everything():
    assert learned_bits(np.full(100, math.log(1024)), 1024) == 0
    assert math.isclose(learned_bits(np.zeros(100), 1024), 1000)


def test_half_of_the_facts_known_for_sure_is_half_of_the_bits():
    nll = np.where(np.arange(10) < 5, 0.0, math.log(16))
    assert math.isclose(learned_bits(nll, 16), 20)


def test_worse_than_a_guess_is_not_negative():
    assert learned_bits(np.full(3, 50.0), 4) == 0
