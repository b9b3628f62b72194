"""The packed corpus: whole documents, and the same rows for any number of workers."""

from itertools import islice

import numpy as np
import pytest

from lab.data.tokenizer import train_tokenizer
from lab.data.world import batches
from lab.data.world.batches import pack, token_batches
from lab.data.world.documents import documents


@pytest.fixture(scope="module")
def serialized():
    return train_tokenizer().to_str()


def first_batches(serialized, count, **arguments):
    stream = token_batches(serialized, length=128, **arguments)
    made = [batch.copy() for batch in islice(stream, count)]
    stream.close()
    return np.stack(made)


def test_rows_hold_whole_documents_in_order_where_they_fit():
    rows = pack([[1, 1, 1], [2, 2], [3, 3, 3], [4], [5, 5, 5, 5, 5, 5]], 5, 0)
    assert rows.tolist() == [[1, 1, 1, 2, 2], [3, 3, 3, 4, 0], [5, 5, 5, 5, 5]]
    assert rows.dtype == np.uint16


def test_nothing_of_a_chunk_is_cut_but_its_unfinished_last_row():
    made = [[i] * (3 + i % 5) for i in range(1, 60)]
    rows = pack(made, 16, 0)
    found = np.unique(rows[rows > 0], return_counts=True)
    assert all(count == 3 + i % 5 for i, count in zip(*found, strict=True))
    assert len(found[0]) >= len(made) - 8


def test_batches_follow_from_the_seed_for_any_number_of_workers(serialized, monkeypatch):
    here = first_batches(serialized, 3, rows=4, seed=0)
    assert (first_batches(serialized, 3, rows=4, seed=0, workers=2) == here).all()
    assert (first_batches(serialized, 3, rows=4, seed=1) != here).any()


def test_batches_of_any_size_are_the_same_rows(serialized, monkeypatch):
    monkeypatch.setattr(batches, "DOCUMENTS_PER_CHUNK", 64)
    monkeypatch.setattr(batches, "LOOK_AHEAD", 8)
    small = first_batches(serialized, 12, rows=2, seed=0).reshape(24, 128)
    large = first_batches(serialized, 3, rows=8, seed=0).reshape(24, 128)
    assert (small == large).all()


def test_a_document_ends_with_its_token_and_padding_is_rare(serialized):
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_str(serialized)
    rows = first_batches(serialized, 2, rows=64, seed=0)
    assert (rows == 0).mean() < 0.05
    first = tokenizer.decode(rows[0, 0].tolist(), skip_special_tokens=False).split("<|endoftext|>")[0]
    assert first in set(islice(documents(64, 0, 0), 64))
