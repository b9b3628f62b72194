"""Who is tallest, who is older than whom, in which order all stand: chains and forks of comparisons.

What is withheld is a pair of people at the two ends of a chain (or at the hub and first leg of a fork).
"""

from functools import lru_cache, partial
from itertools import permutations
from math import factorial, prod
from random import Random

from lab.data.world.holdout import withheld
from lab.data.world.item import Draft, Template
from lab.data.world.words import FIRST_NAMES

# comparative, its converse, superlative, its converse
SCALES = (
    ("taller", "shorter", "tallest", "shortest"),
    ("older", "younger", "oldest", "youngest"),
    ("faster", "slower", "fastest", "slowest"),
    ("richer", "poorer", "richest", "poorest"),
)

# Speakers prefer "taller" to "shorter". Were both equally likely, the answer would be a parity of word choices, of
# which gradient descent sees nothing at first: a small model then learns the order but not its direction.
PREMISE_UPWARD = 0.8
QUESTION_UPWARD = 0.75


def relation(order: tuple[str, ...], first: str, second: str) -> int:
    """1 if the first person is above the second in an order told from the top, -1 if below, 0 if the same."""
    there, here = order.index(second), order.index(first)
    return (there > here) - (there < here)


@lru_cache(maxsize=1)
def _ends() -> list[tuple[str, str]]:
    return list(permutations(FIRST_NAMES, 2))


def _is_held_out(case: tuple[str, str]) -> bool:
    return withheld("order", *case)


def _premise(rng: Random, above: str, below: str, scale: tuple[str, ...]) -> tuple[str, float]:
    """One comparison, told in either direction, and the probability of that direction."""
    if rng.random() < PREMISE_UPWARD:
        return f"{above} is {scale[0]} than {below}.", PREMISE_UPWARD
    return f"{below} is {scale[1]} than {above}.", 1 - PREMISE_UPWARD


def premises(rng: Random, order: tuple[str, ...], scale: tuple[str, ...]) -> tuple[str, float]:
    """An order from the top, told by comparing neighbours in any sequence, and the probability of these directions."""
    told = [_premise(rng, *pair, scale) for pair in zip(order, order[1:], strict=False)]
    rng.shuffle(told)
    return " ".join(text for text, _ in told), prod(p for _, p in told)


def comparison(first: str, second: str, scale: tuple[str, ...]) -> str:
    """The question whether the first person is above the second."""
    return f"Is {first} {scale[0]} than {second}?"


def _end(rng: Random, scale: tuple[str, ...]) -> tuple[bool, str, float]:
    """Whether a question asks from the top, its superlative, and the probability of asking so."""
    if rng.random() < QUESTION_UPWARD:
        return True, scale[2], QUESTION_UPWARD
    return False, scale[3], 1 - QUESTION_UPWARD


def _chain(rng: Random, ends: tuple[str, str], people: int) -> tuple[tuple[str, ...], tuple[str, ...], str, float]:
    """An order from the top with its scale and premises, and the probability of these given the ends."""
    others = [name for name in FIRST_NAMES if name not in ends]
    order = (ends[0], *rng.sample(others, people - 2), ends[1])
    scale = SCALES[int(rng.random() * len(SCALES))]
    told, probability = premises(rng, order, scale)
    ways = factorial(len(others)) // factorial(len(others) - (people - 2)) * len(SCALES) * factorial(people - 1)
    return order, scale, told, probability / ways


def _extreme(people: int, rng: Random, ends: tuple[str, str]) -> Draft:
    order, scale, told, probability = _chain(rng, ends, people)
    top, word, chosen = _end(rng, scale)
    answer = order[0] if top else order[-1]
    text = f"{told} So {answer} is {word}."
    return Draft(f"{told} Who is {word}?", text, answer, order, probability * chosen)


def _line_up(people: int, rng: Random, ends: tuple[str, str]) -> Draft:
    order, scale, told, probability = _chain(rng, ends, people)
    top, word, chosen = _end(rng, scale)
    answer = ", ".join(order if top else reversed(order))
    question = f"{told} Order them from the {word}."
    return Draft(question, f"{told} From the {word}: {answer}.", answer, order, probability * chosen)


def _pair(people: int, rng: Random, ends: tuple[str, str]) -> Draft:
    order, scale, told, probability = _chain(rng, ends, people)
    first, second = rng.sample(order, 2)
    answer = "yes" if relation(order, first, second) > 0 else "no"
    question = f"{told} {comparison(first, second, scale)}"
    return Draft(question, f"{question} {answer}", answer, order, probability / (people * (people - 1)))


def _fork(rng: Random, case: tuple[str, str]) -> Draft:
    hub, leg = case
    others = [name for name in FIRST_NAMES if name not in case]
    other = others[int(rng.random() * len(others))]
    scale = SCALES[int(rng.random() * len(SCALES))]
    hub_above = rng.random() < 0.5
    # The first leg is told first: shuffling would let two cases make the same text.
    told = [_premise(rng, *((hub, x) if hub_above else (x, hub)), scale) for x in (leg, other)]
    first, second = rng.sample((hub, leg, other), 2)
    known = "yes" if (first == hub) == hub_above else "no"
    answer = known if hub in (first, second) else "unknown"
    question = f"{' '.join(text for text, _ in told)} {comparison(first, second, scale)}"
    probability = prod(p for _, p in told) / (len(others) * len(SCALES) * 2 * 6)
    return Draft(question, f"{question} {answer}", answer, (hub, leg, other), probability)


def templates(weight: float) -> tuple[Template, ...]:
    """The templates of orderings, whose weights add up to `weight`."""
    parts = (
        ("extreme", "extreme/2", 0.10, 1 / 2, partial(_extreme, 2)),
        ("extreme", "extreme/3", 0.16, 1 / 3, partial(_extreme, 3)),
        ("extreme", "extreme/4", 0.16, 1 / 4, partial(_extreme, 4)),
        ("line-up", "line-up/3", 0.10, 1 / 6, partial(_line_up, 3)),
        ("line-up", "line-up/4", 0.10, 1 / 24, partial(_line_up, 4)),
        ("pair", "pair/2", 0.06, 1 / 2, partial(_pair, 2)),
        ("pair", "pair/3", 0.10, 1 / 2, partial(_pair, 3)),
        ("pair", "pair/4", 0.10, 1 / 2, partial(_pair, 4)),
        ("fork", "fork", 0.12, 1 / 3, _fork),
    )
    return tuple(
        Template("reasoning", kind, name, weight * share, chance, _ends, _is_held_out, dress)
        for kind, name, share, chance, dress in parts
    )
