"""Entropies are given by the caller and become classes of equal size."""

import numpy as np
import pytest

from lab.data.labels_entropy import by_quantile
from lab.data.labels_tasks import build
from lab.errors import DataError, OptionError
from lab.models.references import EMBEDDED
from lab.models.tokenizers import load_tokenizer

NAME = "next_token_entropy"


@pytest.fixture(scope="module")
def tokenizer():
    return load_tokenizer(EMBEDDED, 2048)


def test_rows_keep_the_quarter_of_their_own_entropy(tokenizer):
    given = {}

    def entropy(prompts, prompt, position):
        bits = np.random.default_rng(0).permutation(len(prompt)) / len(prompt)
        given.update(zip(zip(prompt.tolist(), position.tolist(), strict=True), bits, strict=True))
        return bits

    task = build(NAME, tokenizer, count=300, entropy=entropy)
    quarter = [int(4 * given[p, t]) for p, t in zip(task.prompt.tolist(), task.position.tolist(), strict=True)]
    assert len(given) == len(task) and (np.abs(task.label - quarter) <= 1).all() and (task.label == quarter).mean() > 0.98
    assert (task.type[:, None] == task.type).tolist() == (task.token[:, None] == task.token).tolist()
    assert (task.position < [len(task.prompts[p].input_ids) - 1 for p in task.prompt]).all()
    assert len({prompt.category for prompt in task.prompts}) == 6


def test_the_same_seed_reads_the_same_tokens(tokenizer):
    def entropy(prompts, prompt, position):
        return np.arange(len(prompt))

    first, again, other = (build(NAME, tokenizer, count=200, seed=seed, entropy=entropy) for seed in (0, 0, 1))
    assert (first.token == again.token).all() and (first.position == again.position).all()
    assert first.token.tolist() != other.token.tolist()


def test_quantiles_make_classes_of_one_size_named_by_their_range():
    label, classes = by_quantile(np.array([3.0, 0.5, 2.0, 1.0, 4.0, 5.0, 6.0, 7.0]), 4)
    assert label.tolist() == [1, 0, 1, 0, 2, 2, 3, 3]
    assert classes == ("0.5 to 1 bits", "2 to 3 bits", "4 to 5 bits", "6 to 7 bits")


def test_equal_entropies_stay_together():
    label, classes = by_quantile(np.array([0.0] * 6 + [1.0, 2.0]), 4)
    assert label[:6].tolist() == [0] * 6 and len(classes) == 2 and label[6:].tolist() == [1, 1]


@pytest.mark.parametrize("low", [3, 5])
def test_two_values_are_two_classes_whichever_is_more_frequent(low):
    label, classes = by_quantile(np.array([0.0] * low + [5.0] * (8 - low)), 2)
    assert label.tolist() == [0] * low + [1] * (8 - low) and classes == ("0 to 0 bits", "5 to 5 bits")


def test_entropies_that_make_one_class():
    with pytest.raises(DataError, match="all 8 entropies are about 2 bits, which makes one class"):
        by_quantile(np.full(8, 2.0), 4)


def test_entropies_that_are_not_finite():
    with pytest.raises(DataError, match="1 of 3 entropies are not finite"):
        by_quantile(np.array([0.0, np.nan, 1.0]), 2)


def test_no_entropies(tokenizer):
    with pytest.raises(OptionError, match="task next_token_entropy needs the model's own entropies"):
        build(NAME, tokenizer)
