"""Which of the problems that exist make a suite: kinds equally often, the strata of a kind within one."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from random import Random

from lab.data.suites.problem import Problem


def even(problems: Sequence[Problem]) -> list[Problem]:
    """The problems, fewer where a kind has more of one stratum than of another, each question once."""
    unique = {problem.question: problem for problem in reversed(problems)}
    strata: dict[str, dict[str, list[Problem]]] = defaultdict(lambda: defaultdict(list))
    for problem in reversed(unique.values()):
        strata[problem.kind][problem.stratum].append(problem)
    return [
        problem for cells in strata.values()
        for cell in cells.values() for problem in cell[: min(map(len, cells.values()))]
    ]  # fmt: skip


def take(problems: Sequence[Problem], count: int, rng: Random) -> list[int]:
    """Indices of `count` problems: kinds equally often as far as they have problems, strata of a kind within one.

    Args:
        problems: Even ones.
        count: At most as many as there are.
        rng: Chooses among the problems of a stratum.
    """
    queues = _queues(problems, rng)
    shares = quotas({kind: len(queue) for kind, queue in queues.items()}, count)
    return [index for kind, queue in queues.items() for index in queue[: shares[kind]]]


def quotas(existing: Mapping[str, int], count: int) -> dict[str, int]:
    """How many of each kind make `count` together: equally many, as far as they exist."""
    shares = dict.fromkeys(existing, 0)
    for _ in range(count):
        shares[min((kind for kind in existing if shares[kind] < existing[kind]), key=shares.__getitem__)] += 1
    return shares


def _queues(problems: Sequence[Problem], rng: Random) -> dict[str, list[int]]:
    """The indices of each kind's problems, one stratum after the other in turn."""
    cells: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    for index, problem in enumerate(problems):
        cells[problem.kind][problem.stratum].append(index)
    queues = {}
    for kind, strata in cells.items():
        columns = list(strata.values())
        for column in columns:
            rng.shuffle(column)
        rng.shuffle(columns)
        queues[kind] = [index for row in zip(*columns, strict=True) for index in row]
    return queues
