"""Logit differences of many patched readings, in as few forward passes as a budget of tokens allows."""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np
import torch

from lab.errors import OptionError
from lab.models.batch import forward, inputs
from lab.models.rows import adapter_rows
from lab.probing.decomposition import Decomposition
from lab.probing.patching import Kept, Patch, Place, keep, patched

TOKENS_AT_ONCE = 4096


@dataclass(frozen=True)
class Reading:
    """A prompt as one of the models reads it.

    Attributes:
        tokens: [T], ids.
        model: An adapter's name, or `lab.models.rows.BASE`; None for a model without adapters.
    """

    tokens: tuple[int, ...]
    model: str | None = None


@dataclass(frozen=True)
class Trial:
    """One forward pass of one row.

    Attributes:
        destination: What is read.
        ids: Two tokens; measured is the logit of the first minus that of the second, after the last token.
        places: What is overwritten; nothing for a clean reading.
        source: Whose activations come there, of equal length.
        instead_of: See `lab.probing.patching.Patch`.
    """

    destination: Reading
    ids: tuple[int, int]
    places: tuple[Place, ...] = ()
    source: Reading | None = None
    instead_of: Reading | None = None

    @property
    def sources(self) -> list[Reading]:
        """Readings that it takes activations from."""
        return [each for each in (self.source, self.instead_of) if each is not None and self.places]


def differences(model: Any, decomposition: Decomposition, trials: Sequence[Trial], *,
                kept: Mapping[Reading, Kept] | None = None, tokens_at_once: int = TOKENS_AT_ONCE) -> np.ndarray:
    """Returns the logit difference of every trial [N], nats, float64.

    Args:
        model: A causal language model in evaluation mode, PEFT or plain.
        decomposition: Of this model or its base.
        trials: In any order. Those of one length share forward passes, with every source as a clean row among them.
        kept: Readings by another model, each from `lab.probing.patching.keep` with one row; they are not run here.
        tokens_at_once: In one forward pass; a patched row and its sources are never parted.

    Raises:
        OptionError: A source is missing or has another length than its destination, or `tokens_at_once` is not positive.
        ModelUnsupported: See `lab.probing.patching.patched`.
    """
    if tokens_at_once < 1:
        raise OptionError(f"tokens_at_once={tokens_at_once}: allowed is 1 or more; type tokens_at_once={TOKENS_AT_ONCE}")
    found = np.full(len(trials), np.nan)
    for members in _batches(trials, kept or {}, tokens_at_once):
        found[members] = _together(model, decomposition, [trials[i] for i in members], kept or {})
    return found


def kept_readings(model: Any, decomposition: Decomposition, readings: Sequence[Reading], sites: Sequence[tuple[int, str]], *,
                  tokens_at_once: int = TOKENS_AT_ONCE) -> dict[Reading, Kept]:
    """Returns what readings hold at sites, on the CPU, each with one row.

    Args:
        model: A causal language model in evaluation mode, PEFT or plain.
        decomposition: Of this model or its base.
        readings: Of any lengths.
        sites: Layer and site of each.
        tokens_at_once: In one forward pass.
    """
    found: dict[Reading, Kept] = {}
    for batch in _clean_batches(readings, tokens_at_once):
        with _rows(model, batch):
            given = inputs(model, torch.tensor([each.tokens for each in batch]))
            kept = {key: values.cpu() for key, values in keep(model, given, decomposition, sites).items()}
        found |= {each: {key: values[i:i + 1].clone() for key, values in kept.items()} for i, each in enumerate(batch)}
    return found


@torch.no_grad()
def said(model: Any, readings: Sequence[Reading], *, tokens_at_once: int = TOKENS_AT_ONCE) -> list[int]:
    """Returns the token that each reading makes most likely next.

    Args:
        model: A causal language model in evaluation mode, PEFT or plain.
        readings: Of any lengths.
        tokens_at_once: In one forward pass.
    """
    found: dict[Reading, int] = {}
    for batch in _clean_batches(readings, tokens_at_once):
        with _rows(model, batch):
            logits = forward(model, inputs(model, torch.tensor([each.tokens for each in batch])), keep_logits=False)
        found |= dict(zip(batch, logits[:, -1].argmax(-1).tolist(), strict=True))
    return [found[reading] for reading in readings]


def _batches(trials: Sequence[Trial], kept: Mapping[Reading, Kept], tokens_at_once: int) -> Iterator[list[int]]:
    for i, trial in enumerate(trials):
        if trial.places and trial.source is None:
            raise OptionError(f"trial {i} has places and no source, so that nothing would be patched; give source=, or no "
                              "places for a clean reading")
        for source in trial.sources:
            if len(source.tokens) != len(trial.destination.tokens):
                raise OptionError(f"trial {i}: a source of {len(source.tokens)} tokens for a destination of "
                                  f"{len(trial.destination.tokens)}; positions have to be the same in both")
    members: list[int] = []
    clean: set[Reading] = set()
    length = changed = 0
    for i in sorted(range(len(trials)), key=lambda i: -len(trials[i].destination.tokens)):
        trial = trials[i]
        wanted, changed = clean | _clean(trial, kept), changed + bool(trial.places)
        if members and (len(trial.destination.tokens) != length or (len(wanted) + changed) * length > tokens_at_once):
            yield members
            members, wanted, changed = [], _clean(trial, kept), int(bool(trial.places))
        length, clean = len(trial.destination.tokens), wanted
        members.append(i)
    if members:
        yield members


def _clean(trial: Trial, kept: Mapping[Reading, Kept]) -> set[Reading]:
    """Readings that have to be rows of their own for a trial."""
    return {each for each in trial.sources if each not in kept} if trial.places else {trial.destination}


def _together(model: Any, decomposition: Decomposition, trials: Sequence[Trial], kept: Mapping[Reading, Kept]) -> np.ndarray:
    clean = list(dict.fromkeys(each for trial in trials for each in sorted(_clean(trial, kept), key=_order)))
    changed = [trial for trial in trials if trial.places]
    readings = [*clean, *(trial.destination for trial in changed)]
    borrowed = list(dict.fromkeys(each for trial in changed for each in trial.sources if each in kept))
    row = {each: number for number, each in enumerate(clean)}
    row |= {each: len(readings) + number for number, each in enumerate(borrowed)}
    patches = [Patch(len(clean) + number, row[trial.source], place,
                     None if trial.instead_of is None else row[trial.instead_of])
               for number, trial in enumerate(changed) if trial.source for place in trial.places]
    given = inputs(model, torch.tensor([each.tokens for each in readings]))
    with _rows(model, readings):
        logits = patched(model, given, decomposition, patches, kept=_stacked([kept[each] for each in borrowed]))[:, -1]
    places = iter(range(len(clean), len(readings)))
    at = torch.tensor([next(places) if trial.places else row[trial.destination] for trial in trials], device=logits.device)
    ids = torch.tensor([trial.ids for trial in trials], device=logits.device)
    values = logits[at].double().gather(1, ids)
    return (values[:, 0] - values[:, 1]).cpu().numpy()


def _clean_batches(readings: Sequence[Reading], tokens_at_once: int) -> Iterator[list[Reading]]:
    for length, alike in groupby(sorted(dict.fromkeys(readings), key=_order), lambda reading: len(reading.tokens)):
        some, size = list(alike), max(1, tokens_at_once // length)
        yield from (some[start:start + size] for start in range(0, len(some), size))


def _order(reading: Reading) -> tuple[int, tuple[int, ...], str]:
    return len(reading.tokens), reading.tokens, reading.model or ""


@contextlib.contextmanager
def _rows(model: Any, readings: Sequence[Reading]) -> Iterator[None]:
    names = [reading.model for reading in readings if reading.model is not None]
    if not names:
        yield
        return
    with adapter_rows(model, names):
        yield


def _stacked(each: Sequence[Kept]) -> Kept | None:
    return {key: torch.cat([one[key] for one in each]) for key in each[0]} if each else None
