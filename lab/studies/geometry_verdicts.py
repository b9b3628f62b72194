"""The rules that answer what the geometry of an update is asked, from arrays; each about all trainings given."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from lab.evaluation.beyond_null import Rows, beyond_null
from lab.evaluation.intervals import Estimate, over_items, over_seeds
from lab.studies.rules import exceeds, undecided
from lab.tracking.hypotheses import Hypothesis, Verdict


@dataclass(frozen=True)
class Shape:
    """What one training's update is judged by; M modules of a layer, N draws, nan where there is no module.

    Attributes:
        effective_rank: [L, M].
        null_effective_rank: [L, M, N], of random factors of the same shapes.
        intruders: [L, M], at the threshold asked for.
        null_intruders: [L, M, N].
        along: [L, M], ‖PᵀWQ‖.
        null_along: [L, M, N].
        strength: [L, M], ‖Δ‖ along the same directions.
        norm: [L, M], ‖Δ‖.
        weight_norm: [L, M], ‖W‖.
        depth: [L], of each layer, 0 for the model's first and 1 for its last.
        rank: Of the adapter; None for a whole model.
        seed: Of the training.
    """

    effective_rank: np.ndarray
    null_effective_rank: np.ndarray
    intruders: np.ndarray
    null_intruders: np.ndarray
    along: np.ndarray
    null_along: np.ndarray
    strength: np.ndarray
    norm: np.ndarray
    weight_norm: np.ndarray
    depth: np.ndarray
    rank: int | None = None
    seed: int = 0


@dataclass(frozen=True)
class Evidence:
    """All that the verdicts are read from.

    Attributes:
        shapes: One for each training.
        overlap: φ(1, 1) of pairs that differ in the seed, [pairs, L, M]; None where there is no pair.
        null_overlap: [pairs, L, M, N].
        by_seed: Effective rank [L, M] by seed and rank, of trainings that differ in nothing else.
        losses: Interval of each difference of losses, by hypothesis, with a remark; None with the reason where nothing
            was taken away.
    """

    shapes: Sequence[Shape]
    overlap: np.ndarray | None = None
    null_overlap: np.ndarray | None = None
    by_seed: Mapping[int, Mapping[int, np.ndarray]] = field(default_factory=dict)
    losses: Mapping[str, tuple[Estimate | None, str]] = field(default_factory=dict)


def verdicts(stated: Sequence[Hypothesis], evidence: Evidence) -> list[Verdict]:
    """Returns a verdict on each hypothesis that was stated."""
    return [_of_losses(each, evidence) if each.name in evidence.losses else _ANSWERS[each.name](each, evidence)
            for each in stated]


def _fewer_directions(stated: Hypothesis, evidence: Evidence) -> Verdict:
    shapes = [one for one in evidence.shapes if one.rank != 1]
    own, null = ([-_log2(one.effective_rank) for one in shapes], [-_log2(one.null_effective_rank) for one in shapes])
    return _beyond(stated, own, null, unit="halvings of the effective rank", detail=(
        f"effective rank {_mean([one.effective_rank for one in shapes]):.3g}, of the null "
        f"{_mean([one.null_effective_rank for one in shapes]):.3g}"))


def _more_intruders(stated: Hypothesis, evidence: Evidence) -> Verdict:
    own, null = [one.intruders for one in evidence.shapes], [one.null_intruders for one in evidence.shapes]
    return _beyond(stated, own, null, unit="intruders per module",
                   detail=f"{_mean(own):.3g} per module, of random directions {_mean(null):.3g}")


def _aligned(stated: Hypothesis, evidence: Evidence) -> Verdict:
    own, null = ([_log2(one.along) for one in evidence.shapes], [_log2(one.null_along) for one in evidence.shapes])
    return _beyond(stated, own, null, unit="doublings of the weight's strength")


def _exceeds_weight(stated: Hypothesis, evidence: Evidence) -> Verdict:
    factors = [_log2(one.strength) - _log2(one.along) for one in evidence.shapes]
    null = [_log2(one.strength)[..., None] - _log2(one.null_along) for one in evidence.shapes]
    found = over_items(lambda rows: _mean([each[rows] for each in factors]), len(factors[0]))
    own, random = 2 ** _mean(factors), 2 ** _mean(null)
    return exceeds(stated.name, replace(found, covers=_layers(evidence)), threshold=0,
                   null=f"{stated.null}; in random directions {_mean(null):+.3g}",
                   unit="doublings of the update over the weight",
                   detail=f"amplification factor {own:.3g}, in random directions {random:.3g}: {_amplified(own, random)}")


def _amplified(own: float, random: float) -> str:
    """What a factor means beside that of random directions, which differs by the weight's strength there alone."""
    if own > 1 and random > 1:
        chosen = "less so: the weight is stronger there" if random > own else "more so: the weight is weaker there"
        return ("the update is larger than the weight in random directions too, which tells its size; along its own it is "
                f"{chosen}, see `aligned_with_weight`")
    if own > 1:
        return "larger only along its own directions, where the weight is weaker than in random ones"
    if random > 1:
        return "smaller only along its own directions, where the weight is stronger than in random ones"
    return "smaller than the weight in random directions too"


def _deeper(stated: Hypothesis, evidence: Evidence) -> Verdict:
    sizes = [_log2(one.norm) - _log2(one.weight_norm) for one in evidence.shapes]
    depth = evidence.shapes[0].depth

    def slope(rows: Rows) -> float:
        return float(np.mean([_slope(depth[rows], each[rows]) for each in sizes]))

    unit = "doublings of ‖Δ‖ / ‖W‖ from the first layer to the last"
    if not np.isfinite(slope(np.arange(len(depth)))):
        return undecided(stated.name, unit=unit, null=stated.null, detail="too few layers change for a slope")
    drawn = [slope(rows) for rows in _resampled(len(depth))]
    low, high = np.nanpercentile(drawn, [2.5, 97.5])
    return exceeds(stated.name, Estimate(slope(np.arange(len(depth))), float(low), float(high), _layers(evidence)),
                   threshold=0, unit=unit, null=stated.null)


def _seeds_share(stated: Hypothesis, evidence: Evidence) -> Verdict:
    assert evidence.overlap is not None and evidence.null_overlap is not None
    own, null = list(evidence.overlap), list(evidence.null_overlap)
    return _beyond(stated, own, null, unit="φ(1, 1)",
                   detail=f"φ {_mean(own):.3g}, of random directions {_mean(null):.3g}; {len(own)} "
                          f"pair{'s' * (len(own) > 1)} of seeds")


def _grows_with_rank(stated: Hypothesis, evidence: Evidence) -> Verdict:
    by_seed, unit = evidence.by_seed, "doublings of the effective rank per doubling of the rank"
    if not by_seed:
        return undecided(stated.name, unit=unit, null=stated.null,
                         detail="no two of the trainings differ in nothing but the rank")
    ranks = sorted(next(iter(by_seed.values())))
    points = np.log2(ranks)

    def slope(one: Mapping[int, np.ndarray], rows: Rows) -> float:
        return float(np.polyfit(points, [_mean([_log2(one[rank][rows])]) for rank in ranks], 1)[0])

    every = next(iter(by_seed.values()))
    layers = len(every[ranks[0]])
    if len(by_seed) > 1:
        found = over_seeds([slope(one, np.arange(layers)) for one in by_seed.values()])
    else:
        found = replace(over_items(lambda rows: slope(every, rows), layers),
                        covers=f"layers (n={layers}), one training of each rank")
    return exceeds(stated.name, found, threshold=0, unit=unit, null=stated.null, detail=f"r={','.join(map(str, ranks))}")


def _of_losses(stated: Hypothesis, evidence: Evidence) -> Verdict:
    found, detail = evidence.losses[stated.name]
    if found is None:
        return undecided(stated.name, unit="nats/token", null=stated.null, detail=detail)
    return exceeds(stated.name, found, threshold=0, unit="nats/token", null=stated.null, detail=detail)


def _beyond(stated: Hypothesis, own: Sequence[np.ndarray], null: Sequence[np.ndarray], *, unit: str, detail: str = ""
            ) -> Verdict:
    """What the trainings show minus what draws show, over layers and draws; own [L, M] each, null [L, M, N]."""
    draws = min(each.shape[2] for each in null)

    def statistic(rows: Rows, draw: int | None) -> float:
        return _mean([mine[rows] if draw is None else drawn[rows, :, draw] for mine, drawn in zip(own, null, strict=True)])

    found = beyond_null(statistic, len(own[0]), draws)
    several = f" of {len(own)} trainings" if len(own) > 1 else ""
    return exceeds(stated.name, replace(found, covers=f"layers (n={len(own[0])}){several} and {draws} draws"), threshold=0,
                   unit=unit, null=stated.null, detail=detail)


def _slope(depth: np.ndarray, values: np.ndarray) -> float:
    """Of values [L, M] on depth [L], each kind of module around its own mean."""
    y = np.ma.masked_invalid(values)
    x = np.ma.masked_array(np.broadcast_to(depth[:, None], values.shape), y.mask)
    x, y = x - x.mean(0), y - y.mean(0)
    spread = np.ma.filled((x**2).sum(), 0.0)
    return float((x * y).sum() / spread) if spread > 0 else float("nan")


def _resampled(layers: int) -> list[Rows]:
    generator = np.random.default_rng(0)
    return [generator.integers(0, layers, layers) for _ in range(2000)]


def _log2(values: np.ndarray) -> np.ndarray:
    return np.log2(np.where(values > 0, values, np.nan))


def _mean(each: Sequence[np.ndarray]) -> float:
    """Mean over trainings of the mean over modules."""
    means = [float(values[known].mean()) for values in each if (known := np.isfinite(values)).any()]
    return float(np.mean(means)) if means else 0.0


def _layers(evidence: Evidence) -> str:
    several = f" of {len(evidence.shapes)} trainings" if len(evidence.shapes) > 1 else ""
    return f"layers (n={len(evidence.shapes[0].norm)}){several}"


_ANSWERS: dict[str, Callable[[Hypothesis, Evidence], Verdict]] = {
    "fewer_directions_than_chance": _fewer_directions, "more_intruders_than_random": _more_intruders,
    "aligned_with_weight": _aligned, "exceeds_weight_along_it": _exceeds_weight, "deeper_layers_change_more": _deeper,
    "seeds_share_top_direction": _seeds_share, "effective_rank_grows_with_rank": _grows_with_rank}
