"""What drift comes to: means with intervals over documents, a histogram, and where a model changed its mind most."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from lab.data.token_labels import token_labels
from lab.evaluation.drift import Drift
from lab.evaluation.intervals import Estimate, all_alike, over_items

CONTEXT = 8  # tokens
EDGES = np.concatenate([[0.0], 10 ** np.arange(-8, 2.01, 0.5)])  # nats; the first bin holds what is all but zero


@dataclass(frozen=True)
class Reading:
    """Drift over some positions of several documents.

    Attributes:
        documents: How many have such a position.
        positions: How many there are.
        kl: Mean of KL(base ‖ tuned), nats per token; nan without positions, its interval nan with one document.
        changed: Share of positions at which the most probable token is another one.
        tuned_probability: Mean probability that the tuned model gives the token that follows.
        base_probability: Likewise of the base.
    """

    documents: int
    positions: int
    kl: Estimate
    changed: Estimate
    tuned_probability: float
    base_probability: float


@dataclass(frozen=True)
class Change:
    """A position with its words.

    Attributes:
        document: Name of the document.
        kind: Of the document.
        position: Index of the last token read.
        context: The last tokens read, as text.
        following: The token as the text goes on.
        base_probability: Of the token that follows.
        tuned_probability: Likewise.
        base_says: The base's most probable token.
        base_says_probability: By the base.
        tuned_says: The tuned model's.
        tuned_says_probability: By the tuned model.
        kl: Nats.
    """

    document: str
    kind: str
    position: int
    context: str
    following: str
    base_probability: float
    tuned_probability: float
    base_says: str
    base_says_probability: float
    tuned_says: str
    tuned_says_probability: float
    kl: float


def read(drift: Drift, where: np.ndarray) -> Reading:
    """Returns the drift over chosen positions, documents resampled whole.

    Args:
        drift: Of one pair of models.
        where: [N] bool, such as `drift.good`, all, or those of one kind.
    """
    counts = np.bincount(drift.document[where], minlength=len(drift.documents)).astype(float)
    there, total = counts > 0, int(where.sum())
    kl = _mean(drift.kl, drift, where, counts, there)
    changed = _mean(drift.changed, drift, where, counts, there)
    if changed.value in (0.0, 1.0) and there.sum() > 1 and drift.kl[where].any():  # resampling would show no doubt at all
        low, high = all_alike(changed.value, int(there.sum()), least=0.0, most=1.0)
        changed = Estimate(changed.value, float(low), float(high), changed.covers)
    now, before = ((float(p[where].mean()) if total else np.nan) for p in (drift.tuned_probability, drift.base_probability))
    return Reading(int(there.sum()), total, kl, changed, now, before)


def _mean(values: np.ndarray, drift: Drift, where: np.ndarray, counts: np.ndarray, there: np.ndarray) -> Estimate:
    """The mean over positions, with an interval over the documents that have one."""
    covers = f"documents (n={int(there.sum())}), not training seeds"
    if not there.any():
        return Estimate(np.nan, np.nan, np.nan, covers)
    sums = np.bincount(drift.document[where], weights=values[where].astype(float), minlength=len(counts))[there]
    sizes = counts[there]
    found = over_items(lambda rows: float(sums[rows].sum() / sizes[rows].sum()), len(sums))
    ends = (found.low, found.high) if len(sums) > 1 else (np.nan, np.nan)
    return Estimate(found.value, *ends, covers)


def by_kind(drift: Drift) -> dict[str, Reading]:
    """Returns the drift over base-good positions of each kind of document, kinds in the order in which they come."""
    kinds = dict.fromkeys(one.kind for one in drift.documents)
    return {kind: read(drift, drift.good & (drift.kinds == kind)) for kind in kinds}


def histogram(values: np.ndarray) -> np.ndarray:
    """Returns how many values fall between `EDGES`, [bins]; values beyond the last count into the last bin.

    Args:
        values: Nats, not negative.
    """
    return np.histogram(np.clip(values, 0, EDGES[-1]), EDGES)[0]


def largest(drift: Drift, tokenizer: Any, *, count: int = 10, per_document: int = 2) -> list[Change]:
    """Returns where the base was good and the tuned model now differs most, most first; none where KL is 0.

    Args:
        drift: Of one pair of models.
        tokenizer: Theirs, a fast one.
        count: How many places.
        per_document: At most so many of one document, so that one that went wrong does not fill the list.

    Raises:
        DataError: The tokenizer does not say how it spells.
    """
    found: list[Change] = []
    taken = np.zeros(len(drift.documents), int)
    order = np.argsort(np.where(drift.good, -drift.kl, np.inf), kind="stable")
    for index in order[:int((drift.good & (drift.kl > 0)).sum())]:
        if len(found) == count:
            break
        if taken[drift.document[index]] < per_document:
            taken[drift.document[index]] += 1
            found.append(_change(drift, tokenizer, int(index)))
    return found


def _change(drift: Drift, tokenizer: Any, index: int) -> Change:
    document, position = drift.documents[drift.document[index]], int(drift.position[index])
    before = document.ids[max(0, position + 1 - CONTEXT):position + 1].tolist()
    ids = [int(each[index]) for each in (drift.following, drift.base_top, drift.tuned_top)]
    following, base_says, tuned_says = (token_labels(tokenizer, [one])[0] for one in ids)
    return Change(document.name, document.kind, position, tokenizer.decode(before), following,
                  float(drift.base_probability[index]), float(drift.tuned_probability[index]), base_says,
                  float(drift.base_top_probability[index]), tuned_says, float(drift.tuned_top_probability[index]),
                  float(drift.kl[index]))
