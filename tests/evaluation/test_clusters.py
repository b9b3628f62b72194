import itertools

import numpy as np
import pytest
from scipy import stats

from lab.errors import DataError
from lab.evaluation import clusters
from lab.evaluation.clusters import grouped, sign_flip, sign_flip_counts, standard_error


def all_patterns(sums):
    totals = [abs(np.dot(signs, sums)) for signs in itertools.product((-1, 1), repeat=len(sums))]
    return np.mean(np.array(totals) >= abs(sum(sums)) - 1e-9)


def test_counts_and_scores_agree_with_all_sign_patterns():
    generator = np.random.default_rng(0)
    for _ in range(20):
        sums = generator.integers(-3, 4, 9)
        expected = all_patterns(sums)
        assert sign_flip_counts(sums) == pytest.approx(expected)
        assert sign_flip(0.1 * sums, 0)[0] == pytest.approx(expected)


def test_single_items_give_mcnemars_exact_test():
    for lost, gained in ((5, 0), (9, 2), (3, 3), (60, 31), (0, 0)):
        expected = stats.binomtest(lost, lost + gained).pvalue if lost + gained else 1.0
        assert sign_flip_counts(np.array([1] * lost + [-1] * gained + [0] * 50)) == pytest.approx(expected)


def test_drawn_patterns_come_near_all_of_them_and_repeat():
    sums = np.random.default_rng(1).normal(0.4, 1, 16)
    p, method = sign_flip(sums, 3)
    assert p == pytest.approx(all_patterns(sums), abs=0.015) and sign_flip(sums, 3)[0] == p
    assert "9999 patterns drawn" in method and "all patterns" in sign_flip(sums[:14], 0)[1]


def test_drawn_p_is_never_zero():
    assert sign_flip(np.ones(60), 0)[0] == 1 / (clusters.DRAWS + 1)
    assert sign_flip(np.zeros(60), 0) == (1.0, "nothing changed")


def test_the_standard_error_is_cr2_written_out():
    generator = np.random.default_rng(0)
    names = np.repeat(list("abcde"), [1, 2, 4, 7, 6])
    values, items = generator.normal(size=20), 20
    error, freedom = standard_error(values, np.ones(20), grouped(names, 20))
    residual_maker = np.eye(items) - np.full((items, items), 1 / items)
    variance, columns = 0.0, []
    for name in "abcde":
        mine = names == name
        block = residual_maker[np.ix_(mine, mine)]
        eigenvalues, vectors = np.linalg.eigh(block)
        adjust = (vectors / np.sqrt(eigenvalues)) @ vectors.T
        variance += (np.ones(mine.sum()) @ adjust @ (residual_maker @ values)[mine] / items) ** 2
        columns.append(residual_maker[:, mine] @ adjust @ np.ones(mine.sum()) / items)
    gram = np.array(columns) @ np.array(columns).T
    assert error == pytest.approx(np.sqrt(variance))
    assert freedom == pytest.approx(np.trace(gram) ** 2 / (gram**2).sum())


def test_single_items_give_the_textbooks_standard_error():
    values = np.random.default_rng(0).normal(size=30)
    assert standard_error(values, np.full(30, 2.0), grouped(None, 30)) == pytest.approx((stats.sem(values), 29))


def test_clusters_are_independent_only_if_each_is_one_item():
    assert grouped(None, 3).independent and grouped(["a", "b", "c"], 3).independent
    some = grouped(np.array(["b", "a", "b"]), 3)
    assert not some.independent and some.sums(np.array([1.0, 2.0, 4.0])).tolist() == [2.0, 5.0]


def test_clusters_that_cannot_serve_are_refused():
    with pytest.raises(DataError, match="2 cluster names came for 3 items; give one per item"):
        grouped(["a", "b"], 3)
    with pytest.raises(DataError, match="all 3 items are in the cluster 'a'; an interval needs at least 2"):
        grouped(["a", "a", "a"], 3)
