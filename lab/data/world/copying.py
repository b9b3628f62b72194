"""Copying and looking up within the prompt: random words and names, so that only the context helps.

What is withheld is the pair of the first two words of a prompt. Any of thousands of names may follow, so that copying
has to be learned for syllables in general and not for a list of words.
"""

from functools import lru_cache
from itertools import permutations
from math import perm
from random import Random

from lab.data.world.holdout import withheld
from lab.data.world.item import Draft, Template
from lab.data.world.names import passing_people
from lab.data.world.words import ANSWER_WORDS, COMMON_WORDS, FEELINGS, FIRST_NAMES, NOUNS, OBJECTS, PLACES, SIZES

OPENERS = tuple(dict.fromkeys(ANSWER_WORDS))
WORDS = tuple(dict.fromkeys((*ANSWER_WORDS, *FIRST_NAMES, *PLACES, *OBJECTS, *NOUNS, *FEELINGS, *SIZES, *COMMON_WORDS)))
LENGTHS = (3, 4, 5, 6, 7, 8, 10, 12, 16)
PAIRS = (3, 4, 5)
REPEATS = (2, 3)
NAME_SHARE = 0.4


@lru_cache(maxsize=1)
def _openings() -> list[tuple[str, str]]:
    return list(permutations(OPENERS, 2))


def _is_held_out(case: tuple[str, str]) -> bool:
    return withheld("copying", *case)


def _sequence(rng: Random, opening: tuple[str, str], length: int) -> tuple[list[str], float]:
    """Different words and names that begin with the opening, and their probability given the opening."""
    named = [rng.random() < NAME_SHARE for _ in range(length - 2)]
    people = passing_people()
    name_count = sum(named)
    word_count = len(named) - name_count
    names = rng.sample(people, name_count)
    # Two more than needed, since the opening may be among them; what is left over is any of the rest, equally likely.
    others = [word for word in rng.sample(WORDS, word_count + 2) if word not in opening]
    words = [*opening, *((names if is_name else others).pop() for is_name in named)]
    chosen = NAME_SHARE ** name_count * (1 - NAME_SHARE) ** word_count
    return words, chosen / (perm(len(people), name_count) * perm(len(WORDS) - 2, word_count))


def _repeat(rng: Random, opening: tuple[str, str]) -> Draft:
    length = LENGTHS[int(rng.random() * len(LENGTHS))]
    times = REPEATS[int(rng.random() * len(REPEATS))]
    words, probability = _sequence(rng, opening, length)
    said = " ".join(words)
    text = "; ".join([said] * times)
    return Draft(f"Repeat: {said}", text, said, tuple(words), probability / (len(LENGTHS) * len(REPEATS)))


def _recall(rng: Random, opening: tuple[str, str]) -> Draft:
    count = PAIRS[int(rng.random() * len(PAIRS))]
    words, probability = _sequence(rng, opening, 2 * count)
    asked = int(rng.random() * count)
    pairs = ", ".join(f"{key}: {value}" for key, value in zip(words[::2], words[1::2], strict=True))
    key, answer = words[2 * asked], words[2 * asked + 1]
    probability /= len(PAIRS) * count
    return Draft(f"{pairs}. {key}?", f"{pairs}, {key}: {answer}", answer, tuple(words), probability)


def templates() -> tuple[Template, ...]:
    """Repeating a whole sequence, and recalling the partner of one word."""
    expected_recall = sum(1 / count for count in PAIRS) / len(PAIRS)
    return (
        Template("copying", "repeat", "repeat", 0.6, 1 / len(_openings()), _openings, _is_held_out, _repeat),
        Template("copying", "recall", "recall", 0.4, expected_recall, _openings, _is_held_out, _recall),
    )
