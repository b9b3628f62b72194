"""The rules that answer what a comparison of attention is asked, from arrays."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from lab.evaluation.beyond_null import RESAMPLES, Rows, beyond_null, over, prompts_first, relative
from lab.evaluation.family_wise import ALPHA, RESOLUTION, family_wise
from lab.evaluation.intervals import Estimate, over_items, over_seeds
from lab.studies.attention_hypotheses import (
    AS_RANDOM,
    MAJORITY,
    NO_AGREEMENT,
    NO_DIRECTIONS,
    NO_LEARNING,
    NO_RANK,
    TOP,
    hypotheses,
)
from lab.studies.rules import exceeds, undecided
from lab.tracking.hypotheses import Verdict


@dataclass(frozen=True)
class Change:
    """What one adapter did to attention, and what random directions of its size do on the same prompts.

    Attributes:
        divergence: [prompts, L, H] nats.
        null: [draws, prompts, L, H] nats, the divergence of the draws.
        direct: [prompts, L, H] nats, by the layer's own weights alone; None if not measured.
        null_direct: [draws, prompts, L, H] nats, the same of the draws.
    """

    divergence: np.ndarray
    null: np.ndarray
    direct: np.ndarray | None = None
    null_direct: np.ndarray | None = None


@dataclass(frozen=True)
class Evidence:
    """All that the verdicts are read from, every array on the same prompts.

    Attributes:
        divergence: [prompts, L, H] nats, of the adapter or model asked about.
        change: The same with its null; None where there is none, as for two full models.
        placebo: Of an adapter trained as long on the base's own data, with its null.
        seeds: Of adapters that differ in nothing but the training seed.
        ranks: Divergence [prompts, L, H] by rank, one mapping per training seed.
    """

    divergence: np.ndarray
    change: Change | None = None
    placebo: Change | None = None
    seeds: Sequence[Change] = ()
    ranks: Sequence[Mapping[int, np.ndarray]] = ()


def verdicts(evidence: Evidence) -> list[Verdict]:
    """Returns a verdict on each hypothesis that the evidence allows, as `hypotheses` states them."""
    stated = hypotheses(
        prompts=len(evidence.divergence), null=evidence.change is not None, placebo=evidence.placebo is not None,
        direct=evidence.change is not None and evidence.change.null_direct is not None, seeds=len(evidence.seeds),
        ranks=sorted(evidence.ranks[0]) if evidence.ranks else ())
    return [_ANSWERS[hypothesis.name](evidence) for hypothesis in stated]


def _most_unchanged(evidence: Evidence) -> Verdict:
    change, prompts = _change(evidence), len(evidence.divergence)
    null = prompts_first(change.null)

    def shares(rows: Rows) -> tuple[float, float]:
        test = family_wise(over(change.divergence, rows), over(null, rows), alpha=ALPHA)
        return float(test.changed.mean()), float((test.pointwise_p < ALPHA - 1e-9).mean())

    called = over_items(lambda rows: shares(rows)[0], prompts, draws=RESAMPLES)
    beyond = over_items(lambda rows: shares(rows)[1], prompts, draws=RESAMPLES)
    low, high = 1 - max(beyond.high, called.value), 1 - min(called.low, called.value)
    heads = change.divergence[0].size
    found = Estimate(1 - called.value, low, high, f"{_of(prompts)} and what lies between the two tests")
    return exceeds(
        "most_heads_unchanged", found, threshold=MAJORITY, unit="share of heads", null=NO_DIRECTIONS,
        detail=f"{round(called.value * heads)} of {heads} heads called by the test for all heads together, "
               f"{round(beyond.value * heads)} beyond 95 % of their own draws, where chance alone puts about "
               f"{ALPHA * heads:.0f}; {_of_placebo(evidence.placebo)}")


def _of_placebo(placebo: Change | None) -> str:
    if placebo is None:
        return "training on nothing new may do the same: only a placebo tells"
    test = family_wise(placebo.divergence, placebo.null, alpha=ALPHA)
    return f"of the placebo's heads the first test calls {int(test.changed.sum())}"


def _later_more(evidence: Evidence) -> Verdict:
    change = _change(evidence)
    assert change.direct is not None and change.null_direct is not None
    direct, null = change.direct, prompts_first(change.null_direct)
    reached = null.mean((0, 1)) > RESOLUTION  # [L, H]; without an adapted module a layer has no change of its own
    layers = np.flatnonzero(reached.any(1))
    name, unit = "later_layers_change_more", "change of ln(direct / null) from the first layer to the last"
    if len(layers) < 3:
        return undecided(name, unit=unit, null=AS_RANDOM,
                         detail=f"{len(layers)} layers changed by weights of their own; a trend needs 3")
    depth = layers / (direct.shape[1] - 1)

    def slope(rows: Rows, draw: int | None) -> float:
        by_head = np.where(reached, relative(direct, null, rows, draw), np.nan)
        return float(np.polyfit(depth, np.nanmean(by_head[layers], axis=1), 1)[0])

    return exceeds(name, beyond_null(slope, *null.shape[:2]), threshold=0, unit=unit, null=AS_RANDOM,
                   detail=f"{len(layers)} layers")


def _concentrated(evidence: Evidence) -> Verdict:
    change = _change(evidence)
    null = prompts_first(change.null)
    top = math.ceil(TOP * change.divergence[0].size)

    def share(rows: Rows, draw: int | None) -> float:
        values = np.sort(over(change.divergence if draw is None else null[:, draw], rows), axis=None)[::-1]
        return float(values[:top].sum() / values.sum()) if values.sum() > 0 else top / values.size

    every = np.arange(len(null))
    return exceeds(
        "change_is_concentrated", beyond_null(share, *null.shape[:2]), threshold=0, unit="share of all divergence",
        null=AS_RANDOM,
        detail=f"the {top} most changed heads hold {share(every, None):.2f} of the divergence, under the null "
               f"{np.mean([share(every, draw) for draw in range(null.shape[1])]):.2f}")


def _more_than_placebo(evidence: Evidence) -> Verdict:
    assert evidence.placebo is not None
    tuned, placebo = (values.mean((1, 2)) for values in (evidence.divergence, evidence.placebo.divergence))
    found = over_items(lambda rows: float((tuned[rows] - placebo[rows]).mean()), len(tuned))
    return exceeds("more_than_placebo", replace(found, covers=f"{_of(len(tuned))}, one training each"), threshold=0,
                   unit="nats per head", null=NO_LEARNING,
                   detail=f"tuned {tuned.mean():.3g}, placebo {placebo.mean():.3g} nats per head"
                          f"{_sizes(evidence.change, evidence.placebo)}")


def _sizes(*changes: Change | None) -> str:
    """What each is beside random directions of its own size: a placebo's update is mostly the smaller one."""
    times = [float(one.divergence.mean() / one.null.mean()) for one in changes
             if one is not None and one.null.mean() > RESOLUTION]
    if len(times) < 2:
        return ""
    return f"; of what random directions of their own sizes make, ×{times[0]:.3g} and ×{times[1]:.3g}"


def _reproducible(evidence: Evidence) -> Verdict:
    changes = [(seed.divergence, prompts_first(seed.null)) for seed in evidence.seeds]
    reached = np.all([null.mean((0, 1)) > RESOLUTION for _, null in changes], axis=0)
    name, unit = "reproducible_over_seeds", "rank correlation over heads, above that of draws"
    if reached.sum() < 4:
        return undecided(name, unit=unit, null=NO_AGREEMENT, detail=f"{reached.sum()} heads changed in every seed")

    def correlation(rows: Rows, draw: int | None) -> float:
        own = [_ranks(relative(*one, rows, None)[reached]) for one in changes]
        other = own if draw is None else [_ranks(relative(*one, rows, draw)[reached]) for one in changes]
        return float(np.mean([own[i] @ other[j] for i in range(len(own)) for j in range(len(own)) if i != j]))

    found = beyond_null(correlation, len(evidence.seeds[0].divergence), min(null.shape[1] for _, null in changes))
    return exceeds(name, found, threshold=0, unit=unit, null=NO_AGREEMENT, detail=(
        f"{len(changes)} training seeds, correlation {correlation(np.arange(len(changes[0][0])), None):.2f}"))


def _grows_with_rank(evidence: Evidence) -> Verdict:
    name, unit = "change_grows_with_rank", "doublings of the divergence per doubling of the rank"
    by_seed = [{rank: values.mean((1, 2)) for rank, values in one.items()} for one in evidence.ranks]
    ranks = sorted(set.intersection(*(set(one) for one in by_seed)))
    unmoved = sorted({rank for one in by_seed for rank in ranks if one[rank].min() <= 0})
    if len(ranks) < 2 or unmoved:
        return undecided(name, unit=unit, null=NO_RANK, detail=(
            f"no divergence at all on a prompt at r={unmoved}" if unmoved else "fewer than 2 ranks in every seed"))

    def slope(one: Mapping[int, np.ndarray], rows: Rows) -> float:
        return float(np.polyfit(np.log2(ranks), [np.log2(one[rank][rows].mean()) for rank in ranks], 1)[0])

    prompts = len(evidence.divergence)
    if len(by_seed) >= 2:
        found = over_seeds([slope(one, np.arange(prompts)) for one in by_seed])
    else:
        found = replace(over_items(lambda rows: slope(by_seed[0], rows), prompts),
                        covers=f"{_of(prompts)}, one training each")
    return exceeds(name, found, threshold=0, unit=unit, null=NO_RANK,
                   detail=f"r={','.join(map(str, ranks))}")


def _ranks(values: np.ndarray) -> np.ndarray:
    """Ranks at mean 0 and length 1, so that a product of two is Spearman's correlation; 0 if all are equal."""
    from scipy.stats import rankdata

    centred = rankdata(values) - (len(values) + 1) / 2
    return centred / max(1.0, float(np.linalg.norm(centred)))


def _change(evidence: Evidence) -> Change:
    assert evidence.change is not None
    return evidence.change


def _of(prompts: int) -> str:
    return f"prompts (n={prompts})"


_ANSWERS: dict[str, Callable[[Evidence], Verdict]] = {
    "most_heads_unchanged": _most_unchanged, "later_layers_change_more": _later_more,
    "change_is_concentrated": _concentrated, "more_than_placebo": _more_than_placebo,
    "reproducible_over_seeds": _reproducible, "change_grows_with_rank": _grows_with_rank}
