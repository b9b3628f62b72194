"""Documents of random tokens: ordinary tokens only, every length and repeat, and the entropy that counting gives."""

import math
from collections import Counter
from random import Random

import numpy as np
import pytest

from lab.data.tokenizer import SPECIAL_TOKENS, VOCABULARY, train_tokenizer
from lab.data.world.batches import chunk_rows
from lab.data.world.documents import END, MIXTURE
from lab.data.world.random_tokens import (
    LENGTHS,
    RANDOM_SHARE,
    REPEATS,
    ordinary_tokens,
    random_document,
    random_length,
    random_nats,
)


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer()


@pytest.fixture(scope="module")
def ordinary(tokenizer):
    return ordinary_tokens(tokenizer)


def period(document):
    """The shortest stretch of tokens of which a document is whole copies."""
    return next(n for n in range(1, len(document) + 1) if len(document) % n == 0
                and document[:n] * (len(document) // n) == document)  # fmt: skip


def split(row, end):
    """The whole documents of a packed row."""
    documents, start = [], 0
    for stop in np.flatnonzero(row == end):
        documents.append(row[start:stop].tolist())
        start = stop + 1
    return documents


def test_ordinary_tokens_are_all_but_the_special_ones(tokenizer, ordinary):
    assert len(ordinary) == VOCABULARY - len(SPECIAL_TOKENS)
    assert set(range(VOCABULARY)) - set(ordinary) == {tokenizer.token_to_id(token) for token in SPECIAL_TOKENS}


def test_a_document_is_whole_copies_of_every_length_and_token(ordinary):
    rng = Random(0)
    made = [random_document(rng, ordinary) for _ in range(4000)]
    periods = [period(document) for document in made]
    copies = [len(document) // n for document, n in zip(made, periods, strict=True)]
    assert set(periods) == set(LENGTHS) and set(copies) == set(REPEATS)
    assert sum(len(document) + 1 for document in made) / len(made) == pytest.approx(random_length(), rel=0.03)
    counts = Counter(token for document, n in zip(made, periods, strict=True) for token in document[:n])
    assert set(counts) == set(ordinary)
    mean = sum(counts.values()) / len(ordinary)
    squares = sum((counts[token] - mean) ** 2 / mean for token in ordinary)
    # Chi-squared of an even draw: mean and variance are the degrees of freedom and twice them.
    assert abs(squares - len(ordinary) + 1) < 5 * math.sqrt(2 * len(ordinary))


def test_the_entropy_is_the_mean_surprise_of_what_is_drawn(ordinary):
    rng = Random(1)
    # A document's probability is that of its length, its repeats and each token of its first copy.
    surprise = [math.log(len(LENGTHS)) + math.log(len(REPEATS)) + period(random_document(rng, ordinary))
                * math.log(len(ordinary)) for _ in range(4000)]  # fmt: skip
    spread = (LENGTHS[-1] - LENGTHS[0]) / math.sqrt(12) * math.log(len(ordinary)) / math.sqrt(4000)
    assert random_nats(len(ordinary)) == pytest.approx(sum(surprise) / 4000, abs=4 * spread)


def test_the_corpus_holds_the_stated_share_of_them(tokenizer):
    end = tokenizer.token_to_id(END)
    rows = np.concatenate([chunk_rows(tokenizer.to_str(), 512, 0, chunk, MIXTURE, RANDOM_SHARE) for chunk in (0, 1)])
    documents = [document for row in rows for document in split(row, end)]
    # No text of the micro-world is whole copies of 16 tokens or more.
    repeated = [len(document) for document in documents if len(document) > 31 and period(document) < len(document)]
    share = len(repeated) / len(documents)
    assert share == pytest.approx(RANDOM_SHARE, abs=4 * math.sqrt(RANDOM_SHARE / len(documents)))
    assert (sum(repeated) + len(repeated)) / np.count_nonzero(rows) == pytest.approx(0.33, abs=0.02)


def test_a_row_may_begin_with_one_and_hold_one_behind_other_text(tokenizer):
    end = tokenizer.token_to_id(END)
    rows = chunk_rows(tokenizer.to_str(), 512, 0, 0, MIXTURE, RANDOM_SHARE)
    places = Counter(min(at, 1) for row in rows for at, document in enumerate(split(row, end))
                     if len(document) > 31 and period(document) < len(document))  # fmt: skip
    assert places[0] > 10 and places[1] > 10


def test_without_them_the_corpus_is_text_alone(tokenizer):
    end = tokenizer.token_to_id(END)
    rows = chunk_rows(tokenizer.to_str(), 512, 0, 0, MIXTURE, 0.0)
    assert not any(len(document) > 31 and period(document) < len(document) for row in rows for document in split(row, end))
