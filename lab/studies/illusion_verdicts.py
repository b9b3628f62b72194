"""The rules that answer what was claimed, from arrays; each can come out either way."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from lab.evaluation.beyond_null import beyond_null
from lab.evaluation.intervals import Estimate, all_alike, of_share, over_items, over_seeds
from lab.studies import illusion_hypotheses as stated_as
from lab.studies.illusion_correlation import FEWEST, Correlation
from lab.studies.rules import exceeds, undecided
from lab.tracking.hypotheses import Hypothesis, Verdict

PER_WEIGHT = "intruders per weight"


@dataclass(frozen=True)
class Counts:
    """Intruders of a matched adapter and whole model; M modules of a layer, N draws, nan where there is no module.

    Attributes:
        seed: Of both trainings.
        whole: Run of the whole model.
        lora: [L, M].
        full: [L, M].
        null: [L, M, N], of the adapter's sizes in random directions.
    """

    seed: int
    whole: str
    lora: np.ndarray
    full: np.ndarray
    null: np.ndarray


@dataclass(frozen=True)
class Evidence:
    """All that the verdicts are read from.

    Attributes:
        counts: Of every match whose losses are near.
        k: Strongest directions that were looked at.
        trainings: Adapters whose intruders and forgetting are correlated.
        by_count: Correlation of intruders and forgetting, None where there is none.
        at_equal_norm: The same at equal norm.
        effects: What scaling did, by hypothesis: bits per byte saved, or the share of learning gone.
        remarks: What stands beside a verdict, by hypothesis.
        why_not: Why nothing was scaled.
    """

    counts: Sequence[Counts]
    k: int
    trainings: int
    by_count: Correlation | None
    at_equal_norm: Correlation | None
    effects: Mapping[str, Estimate] = field(default_factory=dict)
    remarks: Mapping[str, str] = field(default_factory=dict)
    why_not: str = ""


def verdicts(stated: Sequence[Hypothesis], evidence: Evidence) -> list[Verdict]:
    """Returns a verdict on each hypothesis that was stated."""
    return [_ANSWERS[each.name](each, evidence) for each in stated]


def _matched(stated: Hypothesis, evidence: Evidence) -> Verdict:
    if not evidence.counts:
        return _unmatched(stated, PER_WEIGHT)
    found = _per_weight([(one.seed, one.lora - one.full) for one in evidence.counts], -evidence.k, evidence.k)
    lora, full = (float(np.mean([np.nanmean(each) for each in arm])) for arm in (
        [one.lora for one in evidence.counts], [one.full for one in evidence.counts]))
    return exceeds(stated.name, found, threshold=0, unit=PER_WEIGHT, null=stated.null,
                   detail=_joined(f"adapters {lora:.3g}, whole models {full:.3g}", evidence, stated))


def _none_in_full(stated: Hypothesis, evidence: Evidence) -> Verdict:
    unit = f"of weights: {stated_as.ALMOST_NONE:g} minus the share with an intruder"
    if not evidence.counts:
        return _unmatched(stated, unit)
    whole = {one.whole: one.full for one in evidence.counts}  # each once, whatever adapters it is matched with
    each = np.concatenate([values[np.isfinite(values)] for values in whole.values()])
    share = of_share(int((each > 0).sum()), len(each), f"weights (n={len(each)}), as if independent")
    return exceeds(stated.name, _from(stated_as.ALMOST_NONE, share), threshold=0, unit=unit, null=stated.null,
                   detail=_joined(f"{share.value:.3g} of weights have one, {each.mean():.3g} per weight", evidence, stated))


def _beyond_random(stated: Hypothesis, evidence: Evidence) -> Verdict:
    if not evidence.counts:
        return _unmatched(stated, PER_WEIGHT)
    own, null = [one.lora for one in evidence.counts], [one.null for one in evidence.counts]

    def statistic(rows: np.ndarray, draw: int | None) -> float:
        return float(np.mean([np.nanmean(mine[rows] if draw is None else drawn[rows, :, draw])
                              for mine, drawn in zip(own, null, strict=True)]))

    draws = min(each.shape[2] for each in null)
    found = beyond_null(statistic, len(own[0]), draws)
    random = float(np.mean([np.nanmean(each) for each in null]))
    return exceeds(stated.name, replace(found, covers=f"layers (n={len(own[0])}) and {draws} draws"), threshold=0,
                   unit=PER_WEIGHT, null=stated.null,
                   detail=_joined(f"random directions {random:.3g}", evidence, stated))


def _correlated(stated: Hypothesis, evidence: Evidence) -> Verdict:
    found = evidence.by_count if stated.name == stated_as.WITH_FORGETTING else evidence.at_equal_norm
    unit = "rank correlation"
    if found is None:
        few = evidence.trainings < FEWEST
        return undecided(stated.name, unit=unit, null=stated.null, detail=(
            f"{evidence.trainings} adapters ran to their end, at least {FEWEST} are needed; name more rates or ranks" if few
            else "all adapters have the same number of intruders, or the same size, or forgot the same"))
    verdict = exceeds(stated.name, found.estimate, threshold=0, unit=unit, null=stated.null,
                      detail=_joined(f"permutation p = {found.p:.2g}", evidence, stated))
    return verdict if found.p < stated_as.SIGNIFICANT else replace(verdict, outcome="undecided")


def _scaled(stated: Hypothesis, evidence: Evidence) -> Verdict:
    of_learning = stated.name == stated_as.LEARNING_KEPT
    unit = f"of learning: {stated_as.HARDLY:g} minus the share gone" if of_learning else "bits per byte saved"
    if stated.name not in evidence.effects:
        return undecided(stated.name, unit=unit, null=stated.null, detail=evidence.why_not)
    found = evidence.effects[stated.name]
    if of_learning:
        found = _from(stated_as.HARDLY, found)
    return exceeds(stated.name, found, threshold=0, unit=unit, null=stated.null,
                   detail=evidence.remarks.get(stated.name, ""))


def _per_weight(each: Sequence[tuple[int, np.ndarray]], least: float, most: float) -> Estimate:
    """The mean over ranks and weights; over seeds where there are several, else over layers.

    Args:
        each: Seed and [L, M].
        least: The lowest value that a layer can have.
        most: The highest.
    """
    seeds = sorted({seed for seed, _ in each})
    by_seed = [np.mean([np.nanmean(values, axis=1) for seed, values in each if seed == one], axis=0) for one in seeds]
    if len(seeds) > 1:
        means = [float(layers.mean()) for layers in by_seed]
        return over_seeds(means) if np.ptp(means) else _alike(means[0], len(means), least, most, "training seeds")
    layers = by_seed[0]
    covers = "layers of one training of each arm"
    if not np.ptp(layers):
        return _alike(float(layers[0]), len(layers), least, most, covers)
    found = over_items(lambda rows: float(layers[rows].mean()), len(layers))
    return replace(found, covers=f"{covers} (n={len(layers)})")


def _from(most: float, found: Estimate) -> Estimate:
    """How far a number stays below a bound."""
    return Estimate(most - found.value, most - found.high, most - found.low, found.covers)


def _alike(value: float, count: int, least: float, most: float, covers: str) -> Estimate:
    low, high = all_alike(value, count, least=least, most=most)
    return Estimate(value, float(low), float(high), f"{covers} (n={count}), all alike")


def _unmatched(stated: Hypothesis, unit: str) -> Verdict:
    return undecided(stated.name, unit=unit, null=stated.null, detail="no adapter and whole model of one seed ran to "
                     "their end with losses less than a twentieth of what was learned apart; type more rates")


def _joined(text: str, evidence: Evidence, stated: Hypothesis) -> str:
    return "; ".join(part for part in (text, evidence.remarks.get(stated.name, "")) if part)


_ANSWERS: dict[str, Callable[[Hypothesis, Evidence], Verdict]] = {
    stated_as.MATCHED: _matched, stated_as.NONE_IN_FULL: _none_in_full, stated_as.BEYOND_RANDOM: _beyond_random,
    stated_as.WITH_FORGETTING: _correlated, stated_as.AT_EQUAL_NORM: _correlated,
    **dict.fromkeys(stated_as.SCALING, _scaled)}
