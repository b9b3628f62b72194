"""Is an attribute of the person spoken of readable, at the person's name or where the answer is about to be said?"""

from collections import Counter
from random import Random
from typing import Any

from lab.data.labelled import Labelled
from lab.data.labels_places import Writer
from lab.data.labels_rows import Row, gathered
from lab.data.prompts import Prompt
from lab.data.world.knowledge import PHRASINGS, attributes
from lab.data.world.names import world_people

KINDS = tuple(kind for kind in PHRASINGS if kind != "emblem")  # of 1024 emblems for 1200 people none is frequent
CLASSES = 8
PLACES = ("last", "name")
PHRASINGS_EACH = 3  # of five: more people than the model is wide, so that not each can have a direction of its own


def common_values(kind: str) -> dict[str, list[str]]:
    """Returns the CLASSES most frequent values of an attribute, most frequent first, with the people who have each."""
    people = [(name, attributes(name)[kind]) for name in world_people()]
    common = [value for value, _ in Counter(value for _, value in people).most_common(CLASSES)]
    return {value: [name for name, has in people if has == value] for value in common}


def attribute(kind: str, tokenizer: Any, *, count: int, seed: int, place: str) -> Labelled:
    """Returns questions about people of the micro-world, labelled with the attribute that is asked for.

    Only people whose value is among the most frequent ones are asked about; each of them in PHRASINGS_EACH phrasings.

    Args:
        kind: One of KINDS.
        tokenizer: The model's, a fast one.
        count: Rows, at most; whole people are taken.
        seed: Of which people.
        place: `name`: the last token of the name; what the question asks may come after it. `last`: the prompt's last
            token, where the answer is next.
    """
    values = common_values(kind)
    rng = Random(f"attribute {kind} {seed}")
    each = max(1, count // (PHRASINGS_EACH * len(values)))
    writer, rows, prompts = Writer(tokenizer), list[Row](), list[Prompt]()
    for value, people in values.items():
        for person in rng.sample(people, min(each, len(people))):
            for phrasing in sorted(rng.sample(range(len(PHRASINGS[kind])), PHRASINGS_EACH)):
                question = PHRASINGS[kind][phrasing][0]
                placed = writer.ask(f"{kind} of {person}, phrasing {phrasing}", "knowledge", question.format(n=person))
                at = question.index("{n}")
                position = placed.last if place == "last" else placed.token_of(at, at + len(person))
                rows.append(Row(len(prompts), position, value, person, person, phrasing, phrasing))
                prompts.append(placed.prompt)
    where = "the last token of the name" if place == "name" else "the last token before the answer"
    return gathered(
        rows, prompts, tuple(values), name=f"attribute:{kind}@{place}",
        question=f"Which {kind} has the person asked about, read at {where}? Among people with one of the "
                 f"{len(values)} most frequent of {len(set(attributes(name)[kind] for name in world_people()))} values.",
        type_is="a person, who has one value for good", context_is="a phrasing of the question",
        follows=("token",) if place == "name" else ())  # a last syllable is shared by few of the people
