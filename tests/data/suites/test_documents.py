"""Documents: withheld ones of the world, long English ones, none twice."""

from collections import Counter
from pathlib import Path

import pytest

from lab.data.english import PASSAGES
from lab.data.suites import texts
from lab.data.suites.documents import LONG, pieces
from lab.data.world import CATEGORIES, generate
from lab.data.world.documents import END


@pytest.mark.parametrize("language", ["world", "english"])
def test_documents_are_different_and_the_same_for_a_seed(language):
    documents = texts(language)
    assert len(documents) == len({each.text for each in documents}) == len({each.name for each in documents}) == 200
    assert documents == texts(language) != texts(language, seed=1)
    assert all(each.name.startswith(each.kind) for each in documents)


def test_documents_of_the_world_are_withheld_and_of_every_category():
    documents = texts("world", count=600)
    assert Counter(each.kind for each in documents) == dict.fromkeys(CATEGORIES, 100)
    for category in CATEGORIES:
        trained = {item.text for item in generate(category, 4000, 0)}
        parts = [part for each in documents if each.kind == category for part in each.text.split(END)]
        assert len(parts) == len(set(parts)) and not trained & set(parts)


def test_documents_of_the_world_are_of_some_thirty_to_sixty_tokens():
    from transformers import AutoTokenizer

    from lab.models import loading

    tokenizer = AutoTokenizer.from_pretrained(Path(loading.__file__).parent / "embedded")
    for kind in CATEGORIES:
        lengths = [len(tokenizer(each.text)["input_ids"]) for each in texts("world") if each.kind == kind]
        assert 30 <= sum(lengths) / len(lengths) <= 65


def test_english_documents_are_passages_and_long_pieces_of_the_reference():
    documents = texts("english")
    assert {each.text for each in documents if each.kind == "passage"} == set(PASSAGES.values())
    reference = [each.text for each in documents if each.kind == "python reference"]
    assert len(reference) == 200 - len(PASSAGES) and all(LONG * 0.9 <= len(text) <= 2.2 * LONG for text in reference)
    paragraphs = Counter(paragraph for text in reference for paragraph in text.split("\n\n"))
    assert max(paragraphs.values()) == 1, "topics repeat one another; documents do not"


def test_pieces_end_with_paragraphs_and_leave_out_what_was_told_and_what_is_too_long():
    short, long = [f"{i} " + "x" * 400 for i in range(7)], "y" * (LONG + 1)
    told = {short[0]}
    found = list(pieces("\n\n".join([short[0], long, *short[1:]]), told))
    assert found == ["\n\n".join(short[1:4]), "\n\n".join(short[4:7])]
    assert list(pieces("\n\n".join(short), told)) == []
