"""A word is found where it stands alone and once; anything else has to be said by its characters."""

import pytest

from lab.data.labels_word import characters
from lab.errors import DataError

TEXT = "The cat scattered the cats."


@pytest.mark.parametrize("word, found", [
    ("cat", (4, 7)), ("cats", (22, 26)), (" scattered ", (8, 17)), ("scat", (8, 12)), ([4, 7], (4, 7)), ("[4, 7]", (4, 7))])
def test_a_word_that_is_there_once(word, found):
    assert characters(TEXT, word, "f row 1", "word") == found


@pytest.mark.parametrize("word, times", [("dog", 0), ("at", 3), ("Cat", 0), ("he", 2)])
def test_a_word_that_is_not_there_or_more_than_once(word, times):
    with pytest.raises(DataError, match=f"f row 1, column 'word': '{word}' occurs {times} times in the text"):
        characters(TEXT, word, "f row 1", "word")


@pytest.mark.parametrize("span", [[4, 4], [5, 4], [20, 99], [-1, 3], [3, 4]])
def test_characters_that_are_none(span):
    with pytest.raises(DataError, match=rf"found characters {span[0]} to {span[1]} of a text of 27"):
        characters(TEXT, span, "f row 1", "word")


@pytest.mark.parametrize("cell", [None, 7, "", [1], ["a", "b"]])
def test_a_cell_that_is_no_word(cell):
    with pytest.raises(DataError, match="column 'word': found .*; allowed is a word of the text, or "):
        characters(TEXT, cell, "f row 1", "word")
