"""Cues are told apart as values, and values that training lacks say nothing."""

import numpy as np
import torch

from lab.probing.linear_cues import cue_features


def test_values_become_columns_and_unknown_ones_nothing():
    found = cue_features({"template": np.array([4, 7, 4, 9])}, [0, 1, 2])
    assert found.tolist() == [[[1, 0], [0, 1], [1, 0], [0, 0]]]


def test_many_positions_come_in_steps_and_as_they_are():
    position = np.arange(200)
    found = cue_features({"position": position}, position)
    assert found.shape == (1, 200, 17) and torch.equal(found[0, :, 0], torch.arange(200).double())
    assert found[0, :, 1:].sum(1).unique().tolist() == [1] and found[0, :, 1:].sum(0).unique().tolist() == [12, 13]
