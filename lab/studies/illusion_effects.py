"""What scaling intruders did to forgetting and to learning, beside the controls, with intervals over the same items.

Every number is of all scaled adapters together: the same documents, questions and rows are drawn for all of them.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from math import hypot, log

import numpy as np

from lab.evaluation.intervals import Estimate, over_groups, over_items
from lab.studies.illusion_scaling import Scaled

Place = tuple[float, str]  # factor and arm


def text_saved(found: Sequence[Scaled], at: Place, beside: Place | None = None) -> Estimate:
    """Returns the bits per byte by which documents cost less than under the whole adapter, or than in another arm.

    Args:
        found: Adapters.
        at: The arm.
        beside: The other arm; none for the whole adapter.
    """
    after = _summed(found, lambda one: one.arms[at].text_nll)
    before = _summed(found, lambda one: (one.arms[beside] if beside else one.whole).text_nll)
    size = log(2) * len(found) * found[0].trial.text_bytes
    estimate = over_items(lambda rows: float((before - after)[rows].sum() / size[rows].sum()), len(size))
    return _covering(estimate, found, f"documents (n={len(size)})")


def forgetting_saved(found: Sequence[Scaled], at: Place) -> Estimate | None:
    """Returns the share of forgetting that is gone, by the loss of documents, or None if it is not known to be above 0.

    The sum over adapters of what documents cost more than under the base, before and after.
    """
    base = _summed(found, lambda one: one.trial.text_nll[0])
    before = _summed(found, lambda one: one.whole.text_nll) - base
    after = _summed(found, lambda one: one.arms[at].text_nll) - base
    return _share(before, after, found, f"documents (n={len(base)})")


def learning_lost(found: Sequence[Scaled], at: Place) -> Estimate | None:
    """Returns the share of what was learned that is gone, by the loss of held-out rows, or None if nothing was learned."""
    base = _summed(found, lambda one: one.trial.row_nll[0])
    before = base - _summed(found, lambda one: one.whole.row_nll)
    after = base - _summed(found, lambda one: one.arms[at].row_nll)
    return _share(before, after, found, f"held-out rows (n={len(base)})")


def learning_loss(found: Sequence[Scaled], at: Place) -> Estimate:
    """Returns the held-out nats per trained token that an arm costs more than the whole adapter."""
    tokens = len(found) * found[0].trial.row_tokens
    more = _summed(found, lambda one: one.arms[at].row_nll - one.whole.row_nll)
    return _covering(over_items(lambda rows: float(more[rows].sum() / tokens[rows].sum()), len(more)), found,
                     f"held-out rows (n={len(more)})")


def points_saved(found: Sequence[Scaled], at: Place) -> Estimate:
    """Returns the percentage points of accuracy that an arm has more than the whole adapter, mean over suites.

    Clusters of questions are resampled in each suite; the suites are independent, so their half-widths add up as squares
    (MOVER; Zou and Donner, 2008).
    """
    clusters = found[0].trial.clusters
    each = []
    for suite, groups in clusters.items():
        gained = np.mean([one.arms[at].correct[suite] - one.whole.correct[suite].astype(float) for one in found], axis=0)
        each.append([100 * float(end) for end in over_groups(gained, groups)])
    values, lows, highs = np.array(each).T
    value, below, above = float(values.mean()), hypot(*(values - lows)), hypot(*(highs - values))
    items = sum(map(len, clusters.values()))
    return _covering(Estimate(value, value - below / len(each), value + above / len(each), ""), found,
                     f"questions (n={items})")


def _share(before: np.ndarray, after: np.ndarray, found: Sequence[Scaled], covers: str) -> Estimate | None:
    """1 - after / before, items resampled."""
    if over_items(lambda rows: float(before[rows].sum()), len(before)).low <= 0:
        return None
    estimate = over_items(lambda rows: float(1 - after[rows].sum() / before[rows].sum()), len(before))
    return _covering(estimate, found, covers)


def _summed(found: Sequence[Scaled], pick: Callable[[Scaled], np.ndarray]) -> np.ndarray:
    return np.sum([pick(one) for one in found], axis=0)


def _covering(estimate: Estimate, found: Sequence[Scaled], items: str) -> Estimate:
    return replace(estimate, covers=f"{items} of {len(found)} adapter{'s' * (len(found) > 1)}, not training seeds")
