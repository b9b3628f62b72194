"""The corpus's entropy against counting, and against a model that knows the world."""

import math
from collections import Counter

import pytest

from lab.data.world import generate
from lab.data.world.documents import CHAT_SHARE, SYSTEM_SHARE
from lab.data.world.entropy import corpus_entropy
from lab.data.world.random_tokens import RANDOM_SHARE


def test_the_entropy_of_a_category_is_the_one_counted():
    draws = 60_000
    counts = Counter((item.question, item.text) for item in generate("knowledge", draws, seed=1))
    plug_in = -sum(n / draws * math.log(n / draws) for n in counts.values())
    item = plug_in + (len(counts) - 1) / (2 * draws)  # Miller and Madow (1955)
    forms = -sum(p * math.log(p) for p in (CHAT_SHARE, 1 - CHAT_SHARE))
    turns = -sum(p * math.log(p) for p in (5 / 8, 2 / 8, 1 / 8)) + 12 / 8 * item
    system = -sum(p * math.log(p) for p in (SYSTEM_SHARE, 1 - SYSTEM_SHARE)) + SYSTEM_SHARE * math.log(3)
    found = corpus_entropy(len, mixture={"knowledge": 1.0}, random_share=0.0, samples=1000)
    expected = forms + (1 - CHAT_SHARE) * item + CHAT_SHARE * (turns + system)
    assert found.nats_per_document == pytest.approx(expected, rel=0.01)


def test_nats_per_token_and_its_error():
    found = corpus_entropy(lambda text: 9, samples=500)
    assert found.tokens_per_document == pytest.approx((1 - RANDOM_SHARE) * 10 + RANDOM_SHARE * (72 * 2.5 + 1))
    assert found.nats_per_token == pytest.approx(found.nats_per_document / found.tokens_per_document)
    others = [corpus_entropy(lambda text: 9, samples=500, seed=seed).nats_per_token for seed in range(1, 6)]
    assert max(abs(found.nats_per_token - other) for other in others) < 8 * found.error
    assert corpus_entropy(lambda text: 9, samples=500) == found


def test_random_documents_alone_have_the_entropy_of_their_first_copies():
    found = corpus_entropy(lambda text: 9, random_share=1.0, ordinary=2044, samples=10)
    assert found.nats_per_document == pytest.approx(math.log(113) + math.log(2) + 72 * math.log(2044))
    assert found.tokens_per_document == pytest.approx(181) and found.error == 0


def test_a_share_of_random_documents_adds_their_entropy_and_that_of_the_choice():
    text, mixed = (corpus_entropy(lambda text: 9, random_share=share, ordinary=50, samples=500) for share in (0.0, 0.25))
    alone = math.log(2 * 113) + 72 * math.log(50)
    choice = 0.25 * math.log(4) + 0.75 * math.log(4 / 3)
    assert mixed.nats_per_document == pytest.approx(choice + 0.75 * text.nats_per_document + 0.25 * alone)
