"""From one configuration with lists to the points of its grid."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from typing import Any


def points(config: Any, swept: Sequence[str]) -> list[Any]:
    """Returns one configuration per combination of the swept values and seed, seeds fastest.

    `points(Config(r=(1, 4), seed=0, seeds=2), ["r"])` gives r=1 seed 0, r=1 seed 1, r=4 seed 0, r=4 seed 1; each has
    tuples of one value and `seeds=1`, so it is a complete configuration of a single run.

    Args:
        config: A frozen dataclass with the swept fields as tuples, and the fields `seed` and `seeds`.
        swept: Names of the tuple fields.
    """
    values = [[(value,) for value in getattr(config, name)] for name in swept]
    return [replace(config, **dict(zip(swept, combination, strict=True)), seed=seed, seeds=1)
            for combination in product(*values)
            for seed in range(config.seed, config.seed + config.seeds)]
