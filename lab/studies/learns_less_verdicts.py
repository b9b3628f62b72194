"""The rules that answer what learning less and forgetting less come to."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from lab.adapters.full_rank import UpdateRank
from lab.evaluation.intervals import Estimate
from lab.studies import learns_less_updates as updates
from lab.studies.learns_less_arms import FULL, Tuned
from lab.studies.learns_less_curves import Curve, Curves, combined, saved_at_equal_learning
from lab.studies.learns_less_hypotheses import (
    BITS,
    DOUBLING,
    FEWEST_SEEDS,
    NATS,
    PAPER_SHARE,
    POINTS,
    TIMES,
    middle_rank,
)
from lab.studies.rules import exceeds, undecided
from lab.tracking.hypotheses import Hypothesis, Verdict

FEWEST_DEFINED = 0.9  # of the resamples, for an interval of what some leave undefined


@dataclass(frozen=True)
class Evidence:
    """All that the verdicts are read from.

    Attributes:
        config: Of the study.
        tuned: The arms with their rates.
        curves: By seed and arm, of the trainings at the best rates that ran to their end.
        ranks: By seed, of the full update's matrices.
    """

    config: Any
    tuned: Sequence[Tuned]
    curves: Curves
    ranks: Mapping[int, Sequence[UpdateRank]]

    @property
    def loras(self) -> dict[str, int]:
        """Ranks of the LoRA arms that have a rate, by name."""
        return {one.arm.name: one.arm.r for one in self.tuned if one.arm.r is not None and one.lr is not None}

    @property
    def complete(self) -> dict[int, dict[str, Curve]]:
        """Curves of the seeds of which every arm that has a rate ran to its end."""
        wanted = {one.arm.name for one in self.tuned if one.lr is not None}
        return {seed: arms for seed, arms in self.curves.items() if wanted <= arms.keys()}

    @property
    def remarks(self) -> str:
        """What every verdict about the arms has to add: rates at an edge, arms and seeds left out."""
        said = [f"{one.arm.name}: {one.remark}" for one in self.tuned if one.remark]
        left = sorted(set(self.curves) - set(self.complete))
        if left:
            said.append(f"left out, some arm came apart: seed {', '.join(map(str, left))}")
        return "; ".join(said)


def verdicts(stated: Sequence[Hypothesis], evidence: Evidence) -> list[Verdict]:
    """Returns a verdict on each hypothesis that was stated."""
    return [_ANSWERS[each.name](each, evidence) for each in stated]


def unfinished(stated: Sequence[Hypothesis], detail: str) -> list[Verdict]:
    """Returns verdicts for a study of which trainings are left."""
    return [undecided(each.name, unit="", null=each.null, detail=detail) for each in stated]


def difference(evidence: Evidence, measure: str, names: Sequence[str]) -> Estimate | None:
    """Returns what full did at the last step minus the mean of these LoRA arms; None where no seed has them all.

    Args:
        evidence: Of the study.
        measure: `learned`, `lost` or `text`.
        names: Of LoRA arms.
    """
    seeds = [arms for arms in evidence.curves.values() if {FULL, *names} <= arms.keys()]
    if not seeds or not names:
        return None
    values = np.array([_last(arms[FULL], measure) - np.mean([_last(arms[name], measure) for name in names], axis=0)
                       for arms in seeds])
    return combined(values, least=seeds[0][FULL].least if measure == "lost" else 0.0)


def _against_full(measure: str, unit: str) -> Callable[[Hypothesis, Evidence], Verdict]:
    def judge(stated: Hypothesis, evidence: Evidence) -> Verdict:
        whole = replace(evidence, curves=evidence.complete)
        names = list(evidence.loras)
        found = difference(whole, measure, names)
        if found is None:
            return _nothing(stated, unit, evidence)
        each = [f"{name} {one.value:.3g} ({one.low:.3g} to {one.high:.3g})" for name in names
                if (one := difference(whole, measure, [name])) is not None]
        return _decided(stated, found, len(whole.curves), unit=unit, detail=[f"full minus {', '.join(each)}",
                                                                             evidence.remarks])

    return judge


def _slope(measure: str, unit: str) -> Callable[[Hypothesis, Evidence], Verdict]:
    def judge(stated: Hypothesis, evidence: Evidence) -> Verdict:
        seeds, loras = evidence.complete, evidence.loras
        if not seeds or len(loras) < 2:
            return _nothing(stated, f"{unit} {DOUBLING}", evidence)
        x = np.log2(list(loras.values()))
        weights = (x - x.mean()) / ((x - x.mean())**2).sum()
        values = np.array([sum(weight * _last(arms[name], measure) for weight, name in zip(weights, loras, strict=True))
                           for arms in seeds.values()])
        means = [f"{name} {np.mean([_last(arms[name], measure)[0] for arms in seeds.values()]):.3g}" for name in loras]
        least = next(iter(next(iter(seeds.values())).values())).least if measure == "lost" else 0.0
        return _decided(stated, combined(values, least=least), len(seeds), unit=f"{unit} {DOUBLING}",
                        detail=[", ".join(means), evidence.remarks])

    return judge


def _equal_learning(stated: Hypothesis, evidence: Evidence) -> Verdict:
    seeds = {seed: arms for seed, arms in evidence.complete.items() if FULL in arms}
    if not seeds or not evidence.loras:
        return _nothing(stated, POINTS, evidence)
    by_rank = {name: [saved_at_equal_learning(arms[name], arms[FULL]) for arms in seeds.values()] for name in evidence.loras}
    common = {name: np.array(found) for name, found in by_rank.items() if not any(each is None for each in found)}
    apart = [name for name in by_rank if name not in common]
    remark = (f"no level of learning that {' and '.join(apart)} and full both pass after their first checkpoint, in every "
              "seed: more checkpoints, or fewer steps" if apart else "")
    if not common:
        return undecided(stated.name, unit=POINTS, null=stated.null,
                         detail="; ".join(filter(None, [remark, evidence.remarks])))
    values = np.mean(list(common.values()), axis=0)  # [seeds, D]
    defined = np.isfinite(values).all(0)
    each = [f"{name} {found[:, 0].mean():.3g}" for name, found in common.items()]
    found = combined(values[:, defined], least=next(iter(seeds.values()))[FULL].least)
    verdict = _decided(stated, found, len(seeds), unit=POINTS,
                       detail=[f"full has lost more than {', '.join(each)}", remark, evidence.remarks])
    if defined.mean() < FEWEST_DEFINED:
        return replace(verdict, outcome="undecided", detail=f"in {1 - defined.mean():.0%} of the resamples no level is "
                                                            f"common: too little overlap; {verdict.detail}")
    return verdict


def _of_update(quantity: str, threshold: float, unit: str) -> Callable[[Hypothesis, Evidence], Verdict]:
    def judge(stated: Hypothesis, evidence: Evidence) -> Verdict:
        if not any(evidence.ranks.values()):
            return undecided(stated.name, unit=unit, null=stated.null, detail="no full fine-tune ran to its end")
        middle = middle_rank(evidence.config)
        found = updates.estimate(evidence.ranks, quantity, middle)
        null = f"{updates.null(evidence.ranks, quantity, middle):.3g}: Gaussian matrices of the same shapes"
        verdict = _decided(stated, found, len(evidence.ranks), unit=unit, threshold=threshold, null=null,
                           detail=[updates.in_words(evidence.ranks)])
        if not updates.kept_exactly(evidence.ranks):
            return replace(verdict, outcome="undecided", detail="the tuned weights are kept in less than float32, whose "
                                                                f"rounding alone makes a high rank; {verdict.detail}")
        return verdict

    return judge


def _decided(stated: Hypothesis, found: Estimate, seeds: int, *, unit: str, detail: Sequence[str], threshold: float = 0.0,
             null: str = "") -> Verdict:
    verdict = exceeds(stated.name, found, threshold=threshold, unit=unit, null=null or stated.null,
                      detail="; ".join(filter(None, detail)))
    if seeds >= FEWEST_SEEDS:
        return verdict
    return replace(verdict, outcome="undecided",
                   detail=f"{seeds} training seed, and a claim about training needs {FEWEST_SEEDS}; {verdict.detail}")


def _nothing(stated: Hypothesis, unit: str, evidence: Evidence) -> Verdict:
    return undecided(stated.name, unit=unit, null=stated.null, detail="; ".join(filter(None, [
        "no seed of which every arm that it is about ran to its end", evidence.remarks])))


def _last(curve: Curve, measure: str) -> np.ndarray:
    """At the last step, [D]."""
    return np.asarray(getattr(curve, measure)[:, -1])


_ANSWERS: dict[str, Callable[[Hypothesis, Evidence], Verdict]] = {
    "lora_learns_less": _against_full("learned", NATS), "lora_forgets_less": _against_full("lost", POINTS),
    "lora_forgets_less_text": _against_full("text", BITS), "forgets_less_at_equal_learning": _equal_learning,
    "learning_grows_with_rank": _slope("learned", NATS), "forgetting_grows_with_rank": _slope("lost", POINTS),
    "full_update_high_rank": _of_update("share", PAPER_SHARE, "share of full rank"),
    "full_update_ten_times_lora": _of_update("times", TIMES, "times the LoRA rank"),
    "full_update_below_gaussian": _of_update("below", 0.0, "share of the Gaussian's")}
