"""A suite from its seed: problems chosen, wrong alternatives balanced, the right one put at every position equally often."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from random import Random

from lab.data.suites import (
    english_code,
    english_math,
    english_reasoning,
    world_code,
    world_knowledge,
    world_math,
    world_reasoning,
)  # fmt: skip
from lab.data.suites.balance import wrong_ones
from lab.data.suites.checks import check_count, check_known
from lab.data.suites.choosing import even, take
from lab.data.suites.item import LANGUAGES, SUITES, SuiteItem
from lab.data.suites.problem import Problem
from lab.data.suites.recurring import handed_round
from lab.errors import OptionError

MAKERS: dict[tuple[str, str], Callable[[], Iterable[Problem]]] = {
    ("math", "world"): world_math.problems,
    ("reasoning", "world"): world_reasoning.problems,
    ("code", "world"): world_code.problems,
    ("knowledge", "world"): world_knowledge.problems,
    ("math", "english"): english_math.problems,
    ("reasoning", "english"): english_reasoning.problems,
    ("code", "english"): english_code.problems,
}


def build(suite: str, language: str, *, count: int = 800, seed: int = 0) -> list[SuiteItem]:
    """Different questions of a suite in an order that says nothing, the same for the same seed.

    The seed chooses among what exists, and the wrong alternatives; a question keeps its name whatever the seed is.

    Args:
        suite: One of SUITES.
        language: "world" is the micro-world's own wording, of what its pretraining withheld; "english" any model's.
        count: How many items.
        seed: Any integer.

    Raises:
        OptionError: The suite or language is unknown, English knowledge is asked for, or there are not so many items.
    """
    check_known("language", language, LANGUAGES)
    check_known("suite", suite, SUITES)
    if (suite, language) not in MAKERS:
        raise OptionError("suite='knowledge' has no questions in language='english', since facts of the real world are "
                          "not generated; name harness tasks instead, such as tasks=arc_easy,hellaswag")
    names, existing = _existing(suite, language)
    check_count(count, len(existing), f"items of suite={suite!r} in language={language!r}")
    rng = Random(f"suite {suite} {language} {seed}")
    chosen = take(existing, count, rng)
    items = _items(suite, [names[i] for i in chosen], [existing[i] for i in chosen], rng)
    rng.shuffle(items)
    return items


@cache
def _existing(suite: str, language: str) -> tuple[list[str], list[Problem]]:
    """Names and problems of all that a suite chooses from."""
    problems = even(list(MAKERS[suite, language]()))
    numbers: Counter[str] = Counter()
    names = []
    for problem in problems:
        names.append(f"{suite}/{problem.kind}/{numbers[problem.kind]}")
        numbers[problem.kind] += 1
    return names, problems


def _items(suite: str, names: Sequence[str], problems: Sequence[Problem], rng: Random) -> list[SuiteItem]:
    ready = handed_round(problems, dict(world_knowledge.GROUPS), rng)
    wrong = wrong_ones(problems, rng, ready.get)
    places: dict[int, list[int]] = defaultdict(list)
    items = []
    for name, problem, others in zip(names, problems, wrong, strict=True):
        choices = rng.sample(others, len(others))
        size = len(choices) + 1
        places[size] = places[size] or rng.sample(range(size), size)
        gold = places[size].pop()
        choices.insert(gold, problem.answer)
        items.append(SuiteItem(name, suite, problem.kind, problem.template, problem.cluster or problem.template,
                               problem.question, tuple(choices), gold, problem.form))
    return items
