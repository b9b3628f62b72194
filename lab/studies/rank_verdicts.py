"""What a sweep over ranks is asked, and the rules that answer."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from lab.evaluation.intervals import Estimate, over_items, over_seeds
from lab.studies.point_rows import FACTS
from lab.studies.rules import exceeds, undecided
from lab.studies.training_run import Point
from lab.tracking.hypotheses import Hypothesis, Verdict

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


def _whole(points: Sequence[Point]) -> list[Point]:
    return [p for p in points if p.trained.diverged_at is None and p.trained.best_step]


def _left_out(points: Sequence[Point]) -> str:
    lost = [f"r={p.r} seed={p.seed}" for p in points if p not in _whole(points)]
    return f"left out, diverged: {', '.join(lost)}" if lost else ""


def _estimate(points: Sequence[Point], ranks: Sequence[int], statistic: Callable[[dict[int, tuple[float, float]]], float]
              ) -> Estimate | None:
    """Returns the interval of a statistic of {rank: (nll, tokens)}, over seeds where at least two have every rank.

    Losses are sums over rows, so that a resampled set of rows gives the same weighting as the loss itself.
    """
    by_seed: dict[int, dict[int, Point]] = {}
    for point in _whole(points):
        if point.r in ranks:
            by_seed.setdefault(point.seed, {})[point.r] = point
    complete = [chosen for _, chosen in sorted(by_seed.items()) if len(chosen) == len(ranks)]
    if not complete:
        return None

    def of(chosen: dict[int, Point], rows: np.ndarray) -> float:
        return statistic({r: (float(p.trained.best.nll[rows].sum()), float(p.trained.best.tokens[rows].sum()))
                          for r, p in chosen.items()})

    items = len(complete[0][ranks[0]].trained.best.nll)
    if len(complete) >= 2:
        return over_seeds([of(chosen, np.arange(items)) for chosen in complete])
    return over_items(lambda rows: of(complete[0], rows), items)


def _ranks(points: Sequence[Point]) -> list[int]:
    """Returns the ranks at which every seed trained to its end."""
    lost = {p.r for p in points if p not in _whole(points)}
    return sorted({p.r for p in points if p.r is not None} - lost)


def _falls(points: Sequence[Point], config: Any) -> Verdict:
    ranks = _ranks(points)
    if len(ranks) < 2:
        return undecided("loss_falls_with_rank", unit=UNIT, null=NULL, detail=_left_out(points))

    def fall(losses: dict[int, tuple[float, float]]) -> float:
        return -float(np.polyfit(np.log2(ranks), [losses[r][0] / losses[r][1] for r in ranks], 1)[0])

    estimate = _estimate(points, ranks, fall)
    assert estimate is not None
    return exceeds("loss_falls_with_rank", estimate, threshold=0, unit=f"{UNIT} per doubling of the rank", null=NULL,
                   detail=_left_out(points))


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
        return undecided("saturates", unit="share of the fall", null=null, detail=_left_out(points))
    before, last = ranks[-2:]
    base = next(iter(points)).trained.base.loss

    def share(losses: dict[int, tuple[float, float]]) -> float:
        loss = {r: nll / tokens for r, (nll, tokens) in losses.items()}
        return (loss[before] - loss[last]) / max(1e-12, base - min(loss.values()))

    estimate = _estimate(points, ranks, share)
    assert estimate is not None
    verdict = exceeds("saturates", estimate, threshold=MARGIN, unit="share of the fall", null=null,
                      detail="; ".join(filter(None, [f"from r={before} to r={last}", _left_out(points)])))
    turned = {"supported": "refuted", "refuted": "supported", "undecided": "undecided"}
    return Verdict(**{**verdict.__dict__, "outcome": turned[verdict.outcome]})


def _bits(points: Sequence[Point], config: Any) -> Verdict:
    from lab.evaluation.capacity import learned_bits

    ranks, null = _ranks(points), "0: rank makes no difference"
    if len(ranks) < 2:
        return undecided("bits_grow_with_rank", unit="bits", null=null, detail=_left_out(points))
    smallest, largest = ranks[0], ranks[-1]
    facts = len(points[0].trained.base.nll)

    def gain(losses: dict[int, tuple[float, float]]) -> float:
        learned = {r: learned_bits(np.full(facts, nll / facts), config.answers) for r, (nll, _) in losses.items()}
        return learned[largest] - learned[smallest]

    estimate = _estimate(points, [smallest, largest], gain)
    assert estimate is not None
    return exceeds("bits_grow_with_rank", estimate, threshold=0, unit="bits", null=null,
                   detail="; ".join(filter(None, [f"r={largest} against r={smallest}", _left_out(points)])))
