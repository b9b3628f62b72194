"""Facts about invented people. What is withheld is a fact in one phrasing: both occur, never together."""

from collections import Counter
from functools import lru_cache, partial
from random import Random

from lab.data.world.holdout import withheld
from lab.data.world.item import Draft, Template
from lab.data.world.names import world_people
from lab.data.world.words import ANIMALS, CITIES, COLOURS, FOODS, JOBS, TOOLS, with_article

VALUES: dict[str, tuple[str, ...]] = {
    "home": CITIES,
    "job": JOBS,
    "pet": ANIMALS,
    "food": FOODS,
    "tool": TOOLS,
    "colour": COLOURS,
    "emblem": tuple(f"{colour} {animal}" for colour in COLOURS for animal in ANIMALS),
}

# Question and statement of each phrasing; {n} is the person, {v} the value, {a} the value with its article.
PHRASINGS: dict[str, tuple[tuple[str, str], ...]] = {
    "home": (
        ("Where does {n} live?", "We know that {n} lives in {v}."),
        ("What city is {n} from?", "The city of {n} is {v}."),
        ("{n}'s home is where?", "The home of {n} is in {v}."),
        ("Name the home of {n}.", "To meet {n}, go to {v}."),
        ("In which city is {n}?", "In the city {v} lives {n}."),
    ),
    "job": (
        ("What is {n}'s job?", "The job of {n} is {v}."),
        ("What does {n} work as?", "We know that {n} works as {a}."),
        ("Name the job of {n}.", "By trade {n} is {a}."),
        ("How does {n} earn a living?", "To earn a living {n} is {a}."),
        ("{n} is what by trade?", "As {a} works {n}."),
    ),
    "pet": (
        ("What pet has {n}?", "The pet of {n} is {a}."),
        ("Which animal does {n} keep?", "We know that {n} keeps {a}."),
        ("Name the pet of {n}.", "At home {n} has {a}."),
        ("{n}'s pet is what?", "People say {n} loves {a}."),
        ("Who lives with {n}?", "{A} lives with {n}."),
    ),
    "food": (
        ("What does {n} eat?", "We know that {n} eats {v}."),
        ("What food does {n} like?", "The food {n} likes is {v}."),
        ("Name the food of {n}.", "Every day {n} wants {v}."),
        ("{n} likes to eat what?", "For dinner {n} has {v}."),
        ("What should one cook for {n}?", "One should cook {v} for {n}."),
    ),
    "tool": (
        ("What tool does {n} own?", "We know that {n} owns {a}."),
        ("What does {n} carry?", "Always {n} carries {a}."),
        ("Name the tool of {n}.", "The tool of {n} is {a}."),
        ("{n} uses what?", "People say {n} uses {a}."),
        ("Which thing belongs to {n}?", "{A} belongs to {n}."),
    ),
    "colour": (
        ("What colour does {n} like?", "The colour {n} likes is {v}."),
        ("What colour is {n}'s door?", "The door of {n} is {v}."),
        ("Name the colour of {n}.", "We know that {n} likes {v}."),
        ("{n}'s colour is what?", "People say {n} wears {v}."),
        ("Which colour is dear to {n}?", "The colour {v} is dear to {n}."),
    ),
    "emblem": (
        ("What is {n}'s emblem?", "The emblem of {n} is {a}."),
        ("What emblem has {n}?", "We know {n} has the emblem {v}."),
        ("Name the emblem of {n}.", "On the flag of {n} is {a}."),
        ("{n}'s flag shows what?", "The flag of {n} shows {a}."),
        ("Which sign stands for {n}?", "{A} stands for {n}."),
    ),
}  # fmt: skip


@lru_cache(maxsize=1)
def _facts() -> dict[str, dict[str, str]]:
    rng = Random("facts of the micro-world")
    return {name: {kind: rng.choice(values) for kind, values in VALUES.items()} for name in world_people()}


def attributes(name: str) -> dict[str, str]:
    """Every attribute of a person of the world, by kind."""
    return dict(_facts()[name])


def _is_held_out(kind: str, phrasing: int, name: str) -> bool:
    return withheld("fact", kind, phrasing, name)


def _dress(kind: str, phrasing: int, _: Random, name: str) -> Draft:
    question, statement = PHRASINGS[kind][phrasing]
    value = _facts()[name][kind]
    article = with_article(value)
    text = statement.format(n=name, v=value, a=article, A=article[0].upper() + article[1:])
    return Draft(question.format(n=name), text, value, (name,))


def _chance(kind: str) -> float:
    majority = max(Counter(facts[kind] for facts in _facts().values()).values()) / len(_facts())
    return max(majority, 1 / len(VALUES[kind]))


def templates() -> tuple[Template, ...]:
    """One template for each phrasing of each attribute."""
    pairs = [(kind, phrasing) for kind in VALUES for phrasing in range(len(PHRASINGS[kind]))]
    return tuple(
        Template(
            "knowledge", kind, f"{kind}/{phrasing}", 1 / len(pairs), _chance(kind), world_people,
            partial(_is_held_out, kind, phrasing), partial(_dress, kind, phrasing),
        )
        for kind, phrasing in pairs
    )  # fmt: skip
