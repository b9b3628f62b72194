"""A probing task holds what no probe could be fitted to away, and says what its controls need."""

import numpy as np
import pytest

from lab.data.labelled import Labelled
from lab.data.prompts import Prompt
from lab.errors import DataError

PROMPTS = [Prompt("one", "test", "a b c", [7, 8, 9], ["a", "b", "c"]), Prompt("two", "test", "a", [7], ["a"])]


def task(label, classes=("no", "yes"), **columns):
    rows = len(label)
    given = {"prompt": [0] * rows, "position": [0] * rows, "type": [0] * rows, "group": [0] * rows,
             "context": [0] * rows, "template": [0] * rows, "label": label, **columns}
    return Labelled(name="test", question="?", prompts=PROMPTS, classes=classes, type_is="t", context_is="c",
                    **{name: np.array(column, dtype=np.int64) for name, column in given.items()})


def test_the_token_that_is_read():
    assert task([0, 1, 1], prompt=[0, 0, 1], position=[1, 2, 0]).token.tolist() == [8, 9, 7]


def test_majority_is_the_share_of_the_largest_class():
    assert task([0, 1, 1, 1]).majority == 0.75


def test_a_type_decides_only_where_all_its_rows_have_one_label():
    assert task([0, 0, 1], type=[0, 0, 1]).type_decides
    assert not task([0, 1, 1], type=[0, 0, 1]).type_decides


def test_a_type_recurs_where_it_has_two_contexts():
    # type 0 twice in one context, type 1 in two, type 2 once
    assert task([0, 1, 0, 1, 0], type=[0, 0, 1, 1, 2], context=[0, 0, 1, 2, 0]).recurring == 1


def test_no_rows():
    with pytest.raises(DataError, match="test: holds no rows; a probe needs at least two of each class"):
        task([])


def test_labels_of_one_class():
    with pytest.raises(DataError, match="every one of its 3 labels is 'yes'; a probe needs two classes or more"):
        task([1, 1, 1])


def test_fewer_rows_than_classes():
    with pytest.raises(DataError, match="2 rows came for 3 classes.*give more rows or fewer classes"):
        task([0, 1], classes=("a", "b", "c"))


@pytest.mark.parametrize("broken", [
    {"position": [0, 3]}, {"position": [-1, 0]}, {"prompt": [1, 1], "position": [0, 1]}, {"label": [0, 2]},
    {"type": [0]}], ids=["past the end", "before the start", "shorter prompt", "no such class", "another length"])
def test_rows_that_point_nowhere_are_a_fault_of_ours(broken):
    with pytest.raises(AssertionError):
        task(**{"label": [0, 1], **broken})


def test_an_unknown_cue_is_a_fault_of_ours():
    with pytest.raises(AssertionError, match="weather"):
        Labelled(name="test", question="?", prompts=PROMPTS, classes=("a", "b"), type_is="t", context_is="c",
                 follows=("weather",), **{name: np.array([0, 1]) * (name == "label") for name in
                                          ("prompt", "position", "label", "type", "group", "context", "template")})
