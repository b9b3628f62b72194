"""Short stories about passing people, each with a question that the story answers.

What is withheld is the pair of the thing found and the place where it was found.
"""

from functools import lru_cache
from itertools import product
from random import Random

from lab.data.world.holdout import withheld
from lab.data.world.item import Draft, Template
from lab.data.world.names import passing_people
from lab.data.world.words import ANIMALS, FEELINGS, FOODS, JOBS, OBJECTS, PLACES, SIZES, with_article

OPENINGS = (
    "One day {n} the {job} went to the {place}.",
    "Early one morning {n} the {job} walked to the {place}.",
    "Long ago the {job} {n} came to the {place}.",
)
FINDINGS = (
    "There {n} found a {size} {object}.",
    "Near a tree {n} saw a {size} {object}.",
)
MEETINGS = (
    "Then {an_animal} came by and wanted it, but {n} gave it to {m}.",
    "Because {an_animal} was watching, {n} gave it to {m}.",
)
ENDINGS = (
    "Now {m} was {feeling}, and they ate {food} together.",
    "That made {m} {feeling}. In the evening they ate {food}.",
)
QUESTIONS = (
    ("What did {n} find?", "object", OBJECTS),
    ("Where did {n} go?", "place", PLACES),
    ("What did they eat?", "food", FOODS),
    ("What animal was there?", "animal", ANIMALS),
    ("How did {m} feel?", "feeling", FEELINGS),
    ("What was {n}'s job?", "job", JOBS),
)


@lru_cache(maxsize=1)
def _finds() -> list[tuple[str, str]]:
    return list(product(OBJECTS, PLACES))


def _is_held_out(case: tuple[str, str]) -> bool:
    return withheld("story", *case)


def _dress(rng: Random, case: tuple[str, str]) -> Draft:
    people = passing_people()
    n, m = rng.sample(people, 2)
    filled = {"n": n, "m": m, "object": case[0], "place": case[1]}
    ways = len(people) * (len(people) - 1)
    for place, words in (("job", JOBS), ("size", SIZES), ("animal", ANIMALS), ("feeling", FEELINGS), ("food", FOODS)):
        filled[place] = words[int(rng.random() * len(words))]
        ways *= len(words)
    filled["an_animal"] = with_article(filled["animal"])
    sentences = []
    for phrasings in (OPENINGS, FINDINGS, MEETINGS, ENDINGS):
        sentences.append(phrasings[int(rng.random() * len(phrasings))].format(**filled))
        ways *= len(phrasings)
    question, place, _ = QUESTIONS[int(rng.random() * len(QUESTIONS))]
    story = " ".join(sentences)
    return Draft(f"{story} {question.format(**filled)}", story, filled[place], (n, m), 1 / (ways * len(QUESTIONS)))


def templates() -> tuple[Template, ...]:
    """The one template of stories; chance is that of the most guessable question, averaged over questions."""
    chance = sum(1 / len(words) for _, _, words in QUESTIONS) / len(QUESTIONS)
    return (Template("stories", "story", "story", 1.0, chance, _finds, _is_held_out, _dress),)
