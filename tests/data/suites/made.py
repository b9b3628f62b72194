"""Suites that several tests look at, each built once."""

from functools import cache

from lab.data.suites import SuiteItem, build


@cache
def made(suite: str, language: str, seed: int = 0) -> list[SuiteItem]:
    """A suite of 800 items."""
    return build(suite, language, seed=seed)
