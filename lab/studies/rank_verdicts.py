"""What a sweep over ranks is asked, and the rules that answer."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from lab.evaluation.capacity import learned_bits
from lab.studies.paired import Losses, estimate, left_out, whole
from lab.studies.point_rows import FACTS
from lab.studies.rules import exceeds, undecided
from lab.studies.training_run import Point
from lab.tracking.hypotheses import Hypothesis, Outcome, Verdict

MARGIN = 0.05
UNIT = "nats/token"
NULL = "0: rank makes no difference"


def hypotheses(config: Any) -> list[Hypothesis]:
    """Returns what this sweep has enough points to ask."""
    ranks = sorted(set(config.r))
    stated = []
    if len(ranks) >= 2:
        stated += [
            Hypothesis("loss_falls_with_rank", "At this rate, schedule and budget the held-out loss falls with the rank.",
                       "minus the least-squares slope of the best loss on log2(rank): supported if its 95 % interval "
                       "(over seeds if there are several, else over evaluation rows) lies above 0, refuted if below; "
                       "diverged trainings are left out", NULL),
            Hypothesis("parameters_linear", "Trainable parameters grow linearly with the rank.",
                       "largest relative deviation of parameters / rank from that of the smallest rank: supported if 0, "
                       "else refuted", "0: exactly linear")]
    if len(ranks) >= 3:
        stated.append(Hypothesis(
            "saturates", "The step to the largest rank of the sweep no longer lowers the loss.",
            f"fall of the loss from the second largest to the largest rank, as a share of the fall from the base to the "
            f"best: supported if its 95 % interval lies below {MARGIN:.0%}, refuted if above", f"{MARGIN:.0%}"))
    if len(ranks) >= 2 and config.dataset == FACTS:
        stated.append(Hypothesis(
            "bits_grow_with_rank", "The largest rank learns more bits of the facts than the smallest.",
            "learned bits of the largest minus those of the smallest rank: supported if the 95 % interval lies above 0, "
            "refuted if below", "0: rank makes no difference"))
    return stated


def verdicts(points: Sequence[Point], config: Any) -> list[Verdict]:
    """Returns a verdict on each of `hypotheses(config)`."""
    answers: dict[str, Callable[[Sequence[Point], Any], Verdict]] = {
        "loss_falls_with_rank": _falls, "parameters_linear": _linear, "saturates": _saturates,
        "bits_grow_with_rank": _bits}
    return [answers[hypothesis.name](points, config) for hypothesis in hypotheses(config)]


def _rank(point: Point) -> int | None:
    return point.r


def _ranks(points: Sequence[Point]) -> list[int]:
    """Returns the ranks at which every seed trained to its end."""
    kept = {p.run_id for p in whole(points)}
    lost = {p.r for p in points if p.run_id not in kept}
    return sorted({p.r for p in points if p.r is not None} - lost)


def _falls(points: Sequence[Point], config: Any) -> Verdict:
    ranks = _ranks(points)
    if len(ranks) < 2:
        return undecided("loss_falls_with_rank", unit=UNIT, null=NULL, detail=left_out(points))

    def fall(losses: Losses) -> float:
        return -float(np.polyfit(np.log2(ranks), [losses[r][0] / losses[r][1] for r in ranks], 1)[0])

    found = estimate(points, _rank, ranks, fall)
    assert found is not None
    return exceeds("loss_falls_with_rank", found, threshold=0, unit=f"{UNIT} per doubling of the rank", null=NULL,
                   detail=left_out(points))


def _linear(points: Sequence[Point], config: Any) -> Verdict:
    shares = {p.r: p.parameters / p.r for p in points if p.r}
    first = shares[min(shares)]
    deviation = max(abs(share / first - 1) for share in shares.values())
    return Verdict(name="parameters_linear", outcome="supported" if deviation == 0 else "refuted", value=deviation,
                   unit="relative deviation", interval=None, covers="exact counts", null="0: exactly linear",
                   detail=f"{first:.0f} parameters per unit of rank")


def _saturates(points: Sequence[Point], config: Any) -> Verdict:
    ranks, null = _ranks(points), f"{MARGIN:.0%} of the fall from base to best"
    if len(ranks) < 3:
        return undecided("saturates", unit="share of the fall", null=null, detail=left_out(points))
    before, last = ranks[-2:]
    base = next(iter(points)).trained.base.loss

    def share(losses: Losses) -> float:
        loss = {r: nll / tokens for r, (nll, tokens) in losses.items()}
        return (loss[before] - loss[last]) / max(1e-12, base - min(loss.values()))

    found = estimate(points, _rank, ranks, share)
    assert found is not None
    verdict = exceeds("saturates", found, threshold=MARGIN, unit="share of the fall", null=null,
                      detail="; ".join(filter(None, [f"from r={before} to r={last}", left_out(points)])))
    turned: dict[Outcome, Outcome] = {"supported": "refuted", "refuted": "supported", "undecided": "undecided"}
    return Verdict(**{**verdict.__dict__, "outcome": turned[verdict.outcome]})


def _bits(points: Sequence[Point], config: Any) -> Verdict:
    ranks, null = _ranks(points), "0: rank makes no difference"
    if len(ranks) < 2:
        return undecided("bits_grow_with_rank", unit="bits", null=null, detail=left_out(points))
    smallest, largest = ranks[0], ranks[-1]
    facts = len(points[0].trained.base.nll)

    def gain(losses: Losses) -> float:
        learned = {r: learned_bits(np.full(facts, nll / facts), config.answers) for r, (nll, _) in losses.items()}
        return learned[largest] - learned[smallest]

    found = estimate(points, _rank, [smallest, largest], gain)
    assert found is not None
    return exceeds("bits_grow_with_rank", found, threshold=0, unit="bits", null=null,
                   detail="; ".join(filter(None, [f"r={largest} against r={smallest}", left_out(points)])))
