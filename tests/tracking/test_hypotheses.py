"""Hypotheses and verdicts refuse what could not be read afterwards."""

import pytest

from lab.errors import TrackingError
from lab.tracking.hypotheses import Hypothesis, Verdict, check_answered, check_stated


def claim(name: str) -> Hypothesis:
    return Hypothesis(name, "statement", "rule", "null")


def verdict(name: str, **changes: object) -> Verdict:
    values = {"outcome": "supported", "value": 1.0, "unit": "nats", "interval": (0.5, 1.5), "covers": "items"}
    return Verdict(name, **{**values, "null": "0", **changes})  # type: ignore[arg-type]


def test_only_three_outcomes() -> None:
    with pytest.raises(TrackingError, match="verdict a: outcome true; allowed: supported, refuted, undecided"):
        verdict("a", outcome="true")


@pytest.mark.parametrize("changes", [{"value": float("nan")}, {"interval": (0.0, float("inf"))}])
def test_only_finite_numbers(changes: dict) -> None:
    with pytest.raises(TrackingError, match="verdict a: value .*allowed: finite numbers, or None"):
        verdict("a", **changes)


def test_nothing_measured_is_a_verdict_too() -> None:
    assert verdict("a", outcome="undecided", value=None, interval=None).value is None


def test_names_are_different_and_fit_a_tag() -> None:
    check_stated([claim("falls"), claim("rank_16-beyond")])
    with pytest.raises(TrackingError, match="hypothesis falls is stated twice"):
        check_stated([claim("falls"), claim("falls")])
    for name in ("a b", "a/b", ""):
        with pytest.raises(TrackingError, match="allowed: letters, digits, - and _"):
            check_stated([claim(name)])


def test_each_hypothesis_has_exactly_one_verdict() -> None:
    stated = [claim("a"), claim("b")]
    check_answered(stated, [verdict("b"), verdict("a")])
    for names in (["a"], ["a", "b", "b"], ["a", "b", "c"], []):
        with pytest.raises(TrackingError, match="stated were a, b: each needs exactly one"):
            check_answered(stated, [verdict(name) for name in names])
    with pytest.raises(TrackingError, match="verdicts for a; stated were no hypotheses"):
        check_answered([], [verdict("a")])
