"""The probing tasks of the micro-world by name."""

import difflib
from collections.abc import Callable
from functools import partial
from typing import Any

from lab.data import labels_attribute, labels_brackets, labels_carry, labels_entity, labels_entropy, labels_order
from lab.data.labelled import Labelled
from lab.data.labels_entropy import Entropy
from lab.errors import OptionError

COUNT = 1000
SMALLEST = 100  # rows; with fewer, a class has too few in a fold of a cross-validation

_ENTROPY = "next_token_entropy"
_Task = tuple[str, tuple[str, ...], Callable[..., Labelled]]
_TASKS: dict[str, _Task] = {
    **{f"attribute:{kind}": (f"the {kind} of the person asked about", labels_attribute.PLACES,
                             partial(labels_attribute.attribute, kind)) for kind in labels_attribute.KINDS},
    "entity": ("who a sentence is about", labels_entity.PLACES, labels_entity.entity),
    "carry": ("whether the units of a sum carry", labels_carry.PLACES, labels_carry.carry),
    "bracket_depth": ("how many brackets are open in a program", labels_brackets.PLACES, labels_brackets.bracket_depth),
    "order": ("whether one person is above another by premises", labels_order.PLACES, labels_order.order),
    _ENTROPY: ("how many bits the model's next-token distribution has", labels_entropy.PLACES,
               labels_entropy.next_token_entropy),
}  # fmt: skip


def tasks() -> dict[str, str]:
    """Returns what each task asks, in a line that names where it can be read; the first place is the default."""
    return {name: f"{what}, at {' or '.join(f'@{place}' for place in places)}"
            for name, (what, places, _) in _TASKS.items()}


def needs_entropy(name: str) -> bool:
    """Returns whether the labels of a task come from the model's own outputs."""
    return name.partition("@")[0] == _ENTROPY


def check(name: str) -> tuple[str, str]:
    """Returns the task and the place that a name such as `carry` or `carry@equals` stands for.

    Raises:
        OptionError: There is no such task, or it cannot be read there.
    """
    task, _, place = name.partition("@")
    if task not in _TASKS:
        near = difflib.get_close_matches(task, _TASKS, n=3, cutoff=0.5)
        meant = f", did you mean {' or '.join(near)}?" if near else ";"
        raise OptionError(f"task {name} is unknown{meant} allowed are "
                          f"{', '.join(_TASKS)}, each with @place behind it if wanted")
    places = _TASKS[task][1]
    if place and place not in places or name.endswith("@"):
        raise OptionError(f"task {name}: it is read at {' or '.join(places)}; type {task}@{places[0]}")
    return task, place or places[0]


def build(name: str, tokenizer: Any, *, count: int = COUNT, seed: int = 0, entropy: Entropy | None = None) -> Labelled:
    """Returns a task of the micro-world, the same for the same arguments.

    Args:
        name: One of `tasks()`, with `@place` for another place than the first.
        tokenizer: The model's, a fast one.
        count: Rows, about; each task says how it rounds.
        seed: Of everything drawn.
        entropy: Gives next-token entropies in bits; for the task that asks for them.

    Raises:
        OptionError: The name or the count is not allowed, or the entropies are missing.
        DataError: The tokenizer reports no offsets, or the entropies make no two classes.
    """
    task, place = check(name)
    if count < SMALLEST:
        raise OptionError(f"count={count}: allowed is {SMALLEST} or more; type count={COUNT}")
    make = _TASKS[task][2]
    if not needs_entropy(task):
        return make(tokenizer, count=count, seed=seed, place=place)
    if entropy is None:
        raise OptionError(f"task {name} needs the model's own entropies, and none were given; give entropy=, or choose "
                          "another task")
    return make(tokenizer, count=count, seed=seed, place=place, entropy=entropy)
