"""The parts that suites are made with: slips, exchanged values, even strata."""

from collections import Counter
from random import Random

from lab.data.suites.balance import apart
from lab.data.suites.choosing import even, quotas, take
from lab.data.suites.problem import Problem
from lab.data.suites.recurring import exchanged
from lab.data.suites.slips import near


def problem(kind: str, stratum: str, number: int) -> Problem:
    return Problem(kind, kind, f"{kind} {stratum} {number}?", stratum, ".*", stratum=stratum)


def test_numbers_mistaken_for_one_have_its_digits_and_are_not_it():
    slips = near(47, 3, 52)
    assert {"46", "48", "37", "57", "74", "36", "58", "52"} <= set(slips)
    assert "47" not in slips and "3" not in slips and len(slips) == len(set(slips))
    assert {"1", "3", "5"} <= set(near(2)) and all(int(slip) >= 0 for slip in near(0))


def test_exchanged_values_are_wrong_exactly_as_often_as_they_are_right():
    rng = Random(0)
    right = rng.choices("abcdefgh", weights=range(1, 9), k=200)
    wrong = exchanged(right, 3, "abcdefgh", rng)
    assert all(len({own, *others}) == 4 for own, others in zip(right, wrong, strict=True))
    assert Counter(value for others in wrong for value in others) == {value: 3 * n for value, n in Counter(right).items()}
    together = {tuple(sorted((own, *others))) for own, others in zip(right, wrong, strict=True)}
    assert len(together) > 20, "who stands beside whom is mixed"


def test_values_that_are_too_often_right_get_wrong_ones_from_all_values():
    for own, others in zip("aab", exchanged("aab", 3, "abcdef", Random(0)), strict=True):
        assert len({own, *others}) == 4


def test_strata_are_cut_to_equal_length_and_taken_in_turn():
    many = [problem("k", "yes", i) for i in range(9)] + [problem("k", "no", i) for i in range(5)] + [problem("l", "", 0)]
    problems = even([*many, *many])
    assert Counter((each.kind, each.stratum) for each in problems) == {("k", "yes"): 5, ("k", "no"): 5, ("l", ""): 1}
    taken = [problems[i] for i in take(problems, 8, Random(0))]
    assert Counter(each.kind for each in taken) == {"k": 7, "l": 1}
    assert abs(sum(each.stratum == "yes" for each in taken) - 3.5) == 0.5


def test_quotas_are_equal_as_far_as_there_are():
    assert quotas({"a": 2, "b": 10, "c": 10}, 12) == {"a": 2, "b": 5, "c": 5}


def test_texts_apart_do_not_begin_with_one_another():
    assert apart("42", ["24", "142"]) and not apart("42", ["4"]) and not apart("4", ["42"]) and not apart("4", ["4"])
