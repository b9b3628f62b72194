"""The 256 categorical syllogisms over plural nouns, valid and invalid ones equally often.

A form is a mood such as EIO (major premise, minor premise, conclusion) and a figure from 1 to 4. Terms may be
empty: "all" does not imply "some", which leaves the fifteen unconditionally valid forms.
"""

from functools import lru_cache
from itertools import permutations, product
from random import Random

from lab.data.world.holdout import withheld
from lab.data.world.item import Draft, Template
from lab.data.world.words import NOUNS

Form = tuple[str, int]

VALID: frozenset[Form] = frozenset(
    (mood, figure)
    for figure, moods in ((1, "AAA EAE AII EIO"), (2, "EAE AEE EIO AOO"), (3, "IAI AII OAO EIO"), (4, "AEE IAI EIO"))
    for mood in moods.split()
)
FORMS: tuple[Form, ...] = tuple(
    ("".join(mood), figure) for mood in product("AEIO", repeat=3) for figure in (1, 2, 3, 4)
)
INVALID: tuple[Form, ...] = tuple(form for form in FORMS if form not in VALID)
_VALID_LIST: tuple[Form, ...] = tuple(form for form in FORMS if form in VALID)

SENTENCES = {
    "A": "all {0} are {1}",
    "E": "no {0} are {1}",
    "I": "some {0} are {1}",
    "O": "some {0} are not {1}",
}


def is_valid(mood: str, figure: int) -> bool:
    """Whether the conclusion of this form follows from its premises whatever the terms mean."""
    return (mood, figure) in VALID


def premises(figure: int, subject: str, middle: str, predicate: str) -> tuple[tuple[str, str], tuple[str, str]]:
    """The ordered terms of the major and the minor premise of a figure."""
    major = (middle, predicate) if figure in (1, 3) else (predicate, middle)
    minor = (subject, middle) if figure in (1, 2) else (middle, subject)
    return major, minor


@lru_cache(maxsize=1)
def _terms() -> list[tuple[str, str]]:
    return list(permutations(NOUNS, 2))


def _is_held_out(case: tuple[str, str]) -> bool:
    return withheld("syllogism", *case)


def _dress(rng: Random, case: tuple[str, str]) -> Draft:
    subject, predicate = case
    others = [noun for noun in NOUNS if noun not in case]
    middle = others[int(rng.random() * len(others))]
    valid = rng.random() < 0.5
    forms = _VALID_LIST if valid else INVALID
    mood, figure = forms[int(rng.random() * len(forms))]
    major, minor = premises(figure, subject, middle, predicate)
    said = [SENTENCES[letter].format(*pair) for letter, pair in zip(mood, (major, minor, case), strict=True)]
    story = f"{said[0].capitalize()}. {said[1].capitalize()}."
    answer = "yes" if valid else "no"
    follows = "follows" if valid else "does not follow"
    return Draft(
        f"{story} So {said[2]}?",
        f"{story} That {said[2]} {follows}.",
        answer,
        (subject, middle, predicate),
        0.5 / (len(others) * len(forms)),
    )


def templates(weight: float) -> tuple[Template, ...]:
    """The one template of syllogisms."""
    return (Template("reasoning", "syllogism", "syllogism", weight, 0.5, _terms, _is_held_out, _dress),)
