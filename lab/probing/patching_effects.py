"""What patches of single places do to an answer, both ways, and what the same patches of unrelated prompts do.

Two readings answer differently. Sufficiency: how much of the source's answer does one place of the source bring into the
destination? Necessity: how much of it does the source lose with that place of the destination?
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lab.probing.decomposition import Decomposition
from lab.probing.patching import Kept, Place
from lab.probing.patching_trials import TOKENS_AT_ONCE, Reading, Trial, differences

SUFFICIENCY, NECESSITY = "sufficiency", "necessity"
DIRECTIONS = (SUFFICIENCY, NECESSITY)
CHANGE, SWAP = "change", "swap"


@dataclass(frozen=True)
class Contrast:
    """Two readings of equal length that answer differently.

    Attributes:
        source: Such as the tuned model's.
        destination: Such as the base's.
        ids: What the source says next and what the destination says.
        roles: Token positions by name; a role may be empty.
        unrelated: Sources and destinations of other contrasts of the same length and roles, for the null.
    """

    source: Reading
    destination: Reading
    ids: tuple[int, int]
    roles: Mapping[str, tuple[int, ...]]
    unrelated: tuple[tuple[Reading, Reading], ...] = ()


@dataclass(frozen=True)
class Cell:
    """Places that are patched together, the same in every contrast.

    Attributes:
        site: Of `lab.probing.patching.PATCHED`.
        layers: Indices.
        role: Which positions; None for all.
        head: Which, at the site `head`.
    """

    site: str
    layers: tuple[int, ...]
    role: str | None = None
    head: int | None = None

    def places(self, roles: Mapping[str, tuple[int, ...]]) -> tuple[Place, ...]:
        """Returns what is patched in a contrast; nothing where its role has no positions."""
        positions = None if self.role is None else roles[self.role]
        return tuple(Place(self.site, layer, positions, self.head) for layer in self.layers) if positions != () else ()


@dataclass(frozen=True)
class Measured:
    """One direction; P contrasts, C sets of cells, N unrelated contrasts, all nats.

    Attributes:
        clean: [P], logit difference of the reading that is patched.
        effect: [P, C], how far a patch moves it: up for sufficiency, down for necessity; nan where there is no position.
        null: [P, N, C], the same for the patches of unrelated contrasts.
    """

    clean: np.ndarray
    effect: np.ndarray
    null: np.ndarray


def measure(model: Any, decomposition: Decomposition, contrasts: Sequence[Contrast], cells: Sequence[Sequence[Cell]],
            direction: str, *, null: str = CHANGE, kept: Mapping[Reading, Kept] | None = None,
            tokens_at_once: int = TOKENS_AT_ONCE) -> Measured:
    """Returns the effects of patching each set of cells in one direction.

    The null says what separates a place that carries this answer from one that is merely fragile. With `change`, what
    source and destination of an unrelated contrast differ by is added in the place of this one's own difference: as
    natural and about as large, and it says nothing of this answer. With `swap` the unrelated source's (or, for necessity,
    destination's) activations overwrite the place; that also takes away whatever else the place holds of this prompt, so
    for necessity it destroys an answer wherever it is, and is no null there.

    Args:
        model: Which reads the destinations (for necessity the sources).
        decomposition: Of it or its base.
        contrasts: P of them.
        cells: C sets, each patched together.
        direction: `SUFFICIENCY` or `NECESSITY`.
        null: `CHANGE` or `SWAP`.
        kept: See `lab.probing.patching_trials.differences`.
        tokens_at_once: Likewise.
    """
    sign = 1.0 if direction == SUFFICIENCY else -1.0
    draws = max((len(each.unrelated) for each in contrasts), default=0)
    trials, at = [], []
    for p, contrast in enumerate(contrasts):
        pairs = [_turned((contrast.source, contrast.destination), direction),
                 *(_turned(pair, direction) for pair in contrast.unrelated)]
        own = pairs[0][1]
        trials.append(Trial(own, contrast.ids))
        at.append((p, 0, -1))
        for c, some in enumerate(cells):
            places = tuple(dict.fromkeys(place for cell in some for place in cell.places(contrast.roles)))
            if not places:
                continue
            for n, (source, destination) in enumerate(pairs):
                beside = destination if n and null == CHANGE else None
                trials.append(Trial(own, contrast.ids, places, source, beside))
                at.append((p, n, c))
    found = np.full((len(contrasts), draws + 1, len(cells) + 1), np.nan)
    found[tuple(np.array(at).T)] = differences(model, decomposition, trials, kept=kept, tokens_at_once=tokens_at_once)
    clean = found[:, 0, -1]
    effect = sign * (found[:, :, :-1] - clean[:, None, None])
    return Measured(clean, effect[:, 0], effect[:, 1:])


def _turned(pair: tuple[Reading, Reading], direction: str) -> tuple[Reading, Reading]:
    """Where activations come from and where they go."""
    return pair if direction == SUFFICIENCY else (pair[1], pair[0])
