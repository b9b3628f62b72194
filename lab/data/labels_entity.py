"""Is who is spoken of still readable at later tokens?"""

from random import Random
from typing import Any

from lab.data.labelled import Labelled
from lab.data.labels_places import Writer
from lab.data.labels_rows import Row, gathered
from lab.data.prompts import Prompt
from lab.data.world.names import FIRST_SYLLABLES, passing_people
from lab.data.world.stories import OPENINGS
from lab.data.world.words import JOBS
from lab.data.world.words import PLACES as TOWN

PLACES = ("last", "name", "first")
CLASSES = 8


def entity(tokenizer: Any, *, count: int, seed: int, place: str) -> Labelled:
    """Returns openings of stories, labelled with the first syllable of the name of whom they are about.

    The syllable is a token of its own. Behind it, it is readable only as far as the model carried it on; nothing is
    known about these people that could tell them apart.

    Args:
        tokenizer: The model's, a fast one.
        count: Rows, at most, and there are 768; whole people are taken, each in every opening.
        seed: Of syllables, people, and the rest of the sentence.
        place: `last`: the token that ends the sentence. `name`: the name's second syllable. `first`: the syllable
            itself, where its token is the label.
    """
    rng, writer = Random(f"entity {seed}"), Writer(tokenizer)
    named = {syllable: [name for name in passing_people() if name.startswith(syllable)] for syllable in FIRST_SYLLABLES}
    usual = len(passing_people()) // len(FIRST_SYLLABLES)
    syllables = rng.sample([syllable for syllable, people in named.items() if len(people) >= usual], CLASSES)
    each = min(usual, max(1, count // (CLASSES * len(OPENINGS))))
    rows, prompts = list[Row](), list[Prompt]()
    for syllable in syllables:
        for person in rng.sample(named[syllable], each):
            for opening, words in enumerate(OPENINGS):
                goal = rng.choice(TOWN)
                text = words.format(n=person, job=rng.choice(JOBS), place=goal)
                placed = writer.tell(f"{person}, opening {opening}", "stories", text)
                at = text.index(person)
                position = {"last": placed.last, "name": placed.token_of(at, at + len(person)),
                            "first": placed.token_of(at, at + len(syllable))}[place]
                rows.append(Row(len(prompts), position, syllable, person, person, goal, opening))
                prompts.append(placed.prompt)
    where = {"last": "the end of the sentence", "name": "the second syllable", "first": "that syllable itself"}[place]
    return gathered(
        rows, prompts, tuple(syllables), name=f"entity@{place}",
        question=f"With which of {CLASSES} syllables does the name of the person in a sentence begin, read at {where}?",
        type_is="a person, by the whole name", context_is="the place where the person goes",
        follows={"last": (), "name": ("token",), "first": ("token",)}[place])
