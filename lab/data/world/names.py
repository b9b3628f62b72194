"""Invented names of two syllables, each syllable one token, shared out so that new people stay new.

Codas meet onsets in pairs that occur inside no syllable, so byte-pair merges never cross the seam.
"""

from functools import lru_cache
from random import Random

WORLD_PEOPLE = 1200
PASSING_PEOPLE = 4096

FIRST_SYLLABLES = tuple(onset + rime for onset in "BDFGJKLMNPRSTVWZ" for rime in
                        ("al", "em", "ir", "ov", "ub", "ax", "ez", "og"))  # fmt: skip
SECOND_SYLLABLES = tuple(onset + rime for onset in "dfhjklmnprstvwyz" for rime in
                         ("an", "ek", "in", "os", "ut", "ay", "eth", "uf"))  # fmt: skip


@lru_cache(maxsize=1)
def _shuffled() -> tuple[str, ...]:
    names = [first + second for first in FIRST_SYLLABLES for second in SECOND_SYLLABLES]
    names.remove("Dublin")  # a city here
    Random("names of the micro-world").shuffle(names)
    return tuple(names)


@lru_cache(maxsize=1)
def world_people() -> tuple[str, ...]:
    """The people whose facts pretraining teaches."""
    return _shuffled()[:WORLD_PEOPLE]


@lru_cache(maxsize=1)
def passing_people() -> tuple[str, ...]:
    """People who appear in stories, about whom nothing lasting is said."""
    return _shuffled()[WORLD_PEOPLE : WORLD_PEOPLE + PASSING_PEOPLE]


@lru_cache(maxsize=1)
def new_people() -> tuple[str, ...]:
    """People whom pretraining never mentions: the subjects of facts learned later."""
    return _shuffled()[WORLD_PEOPLE + PASSING_PEOPLE :]
