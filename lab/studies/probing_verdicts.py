"""What the measurement said of each claim about the residual stream."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lab.evaluation.intervals import Estimate
from lab.studies.probing_hypotheses import EVEN, HALF, NOTHING
from lab.studies.probing_intervals import Clusters, estimate
from lab.studies.probing_measure import Measured
from lab.studies.rules import exceeds, undecided
from lab.tracking.hypotheses import Hypothesis, Verdict


@dataclass(frozen=True)
class Evidence:
    """What verdicts are made of.

    Attributes:
        model: The one looked at; of base and tuned the tuned one.
        grouped: Clusters of the questions.
        untrained: [N], growth of the stream of an untrained network, or None.
        base: Where there is a tuned model.
        taught: [N], the questions that training was about: the run's held-out rows, or all where there are none.
        taught_words: What those are.
        taught_grouped: Clusters of them: of one template or of several, unlike all questions together.
    """

    model: Measured
    grouped: Clusters
    untrained: np.ndarray | None = None
    base: Measured | None = None
    taught: np.ndarray | None = None
    taught_words: str = ""
    taught_grouped: Clusters | None = None


def verdicts(evidence: Evidence, stated: Sequence[Hypothesis]) -> list[Verdict]:
    """Returns one verdict for each stated hypothesis of this module."""
    return [_ANSWERS[hypothesis.name](evidence) for hypothesis in stated if hypothesis.name in _ANSWERS]


def part_difference(measured: Measured) -> np.ndarray:
    """Returns [N], what feed-forward adds to the logit difference over all layers minus what attention adds, nats."""
    return measured.parts["feed_forward"].sum(1) - measured.parts["attention"].sum(1)


def feed_forward_share(measured: Measured) -> np.ndarray:
    """Returns [N], feed-forward's share of the lengths of what both add, mean over the layers that have both."""
    return np.asarray(1 - np.nanmean(measured.later["attention_share"], axis=1))


def depth_share(measured: Measured) -> np.ndarray:
    """Returns [N], share of the layers that have run when the answer is first for good; nan where it never is."""
    layers = measured.lens["rank"].shape[1]
    return (measured.first_layer() + 1) / layers


def _decide(name: str, values: np.ndarray, grouped: Clusters, *, threshold: float, unit: str, null: str, detail: str = "",
            none: str = "", limits: tuple[float, float] | None = None) -> Verdict:
    found: Estimate | None = estimate(values, grouped, limits)
    if found is None:
        why = none or "fewer than 5 clusters of questions, over which no interval says anything"
        return undecided(name, unit=unit, null=null, detail=why)
    return exceeds(name, found, threshold=threshold, unit=unit, null=null, detail=detail)


def _grow(evidence: Evidence) -> Verdict:
    beside = ("" if evidence.untrained is None else
              f"; {evidence.untrained.mean():.3g} in an untrained network of this shape")
    growth = evidence.model.growth
    return _decide("norms_grow_with_depth", growth, evidence.grouped, threshold=0, unit="ln length per layer",
                   null="0: no growth", detail=f"by a factor of {np.exp(growth.mean()):.3g} a layer{beside}")


def _grow_more(evidence: Evidence) -> Verdict:
    assert evidence.untrained is not None
    return _decide("norms_grow_more_than_untrained", evidence.model.growth - evidence.untrained, evidence.grouped,
                   threshold=0, unit="ln length per layer", null=NOTHING,
                   detail=f"untrained {evidence.untrained.mean():.3g}")


def _writes(evidence: Evidence) -> Verdict:
    if np.isnan(evidence.model.later["attention_share"]).all():
        return undecided("feed_forward_writes_more", unit="share of length", null=EVEN,
                         detail="no layer has both attention and feed-forward")
    return _decide("feed_forward_writes_more", feed_forward_share(evidence.model), evidence.grouped, threshold=HALF,
                   unit="share of length", null=EVEN)


def _attributes(evidence: Evidence) -> Verdict:
    parts = evidence.model.parts
    return _decide("feed_forward_attributes_more", part_difference(evidence.model), evidence.grouped, threshold=0,
                   unit="nats", null=NOTHING,
                   detail=f"of {parts['total'].mean():.3g} nats: attention {parts['attention'].sum(1).mean():.3g}, "
                          f"feed-forward {parts['feed_forward'].sum(1).mean():.3g}")


def _late(evidence: Evidence) -> Verdict:
    right, layers = evidence.model.right, evidence.model.lens["rank"].shape[1]
    return _decide("answer_appears_late", depth_share(evidence.model), evidence.grouped, threshold=HALF,
                   unit="share of depth", null="0.5: half depth", limits=(1 / layers, 1.0),
                   detail=f"{int(right.sum())} of {len(right)} questions are answered",
                   none=f"the model puts the answer first in {int(right.sum())} of {len(right)} questions, of fewer than 5 "
                        "clusters")


def _raised(evidence: Evidence) -> Verdict:
    tuned, base = evidence.model.parts["total"], _base(evidence).parts["total"]
    return _of_taught(evidence, "training_raised_the_answer", tuned, base,
                      f"base {base[_taught(evidence)].mean():.3g}, tuned {tuned[_taught(evidence)].mean():.3g}")


def _through(evidence: Evidence) -> Verdict:
    changed = {name: float((evidence.model.parts[name] - _base(evidence).parts[name])[_taught(evidence)].sum(1).mean())
               for name in ("attention", "feed_forward")}
    return _of_taught(evidence, "training_wrote_through_feed_forward", part_difference(evidence.model),
                      part_difference(_base(evidence)),
                      f"attention's part changed by {changed['attention']:.3g}, feed-forward's by "
                      f"{changed['feed_forward']:.3g}")


def _of_taught(evidence: Evidence, name: str, tuned: np.ndarray, base: np.ndarray, detail: str) -> Verdict:
    taught = _taught(evidence)
    about = f"{evidence.taught_words} ({int(taught.sum())})"
    assert evidence.taught_grouped is not None
    return _decide(name, (tuned - base)[taught], evidence.taught_grouped, threshold=0, unit="nats", null=NOTHING,
                   detail="; ".join(part for part in (about, detail) if part))


def _moved(evidence: Evidence) -> Verdict:
    base, tuned = _base(evidence).first_layer(), evidence.model.first_layer()
    both, most = int((np.isfinite(base) & np.isfinite(tuned)).sum()), _base(evidence).lens["rank"].shape[1] - 1
    return _decide("training_moved_the_answer_earlier", base - tuned, evidence.grouped, threshold=0, unit="layers",
                   null=NOTHING, limits=(-most, most), detail=f"{both} of {len(base)} questions are answered by both",
                   none=f"both models answer {both} of {len(base)} questions, of fewer than 5 clusters")


def _base(evidence: Evidence) -> Measured:
    assert evidence.base is not None
    return evidence.base


def _taught(evidence: Evidence) -> np.ndarray:
    assert evidence.taught is not None
    return evidence.taught


_ANSWERS = {
    "norms_grow_with_depth": _grow, "norms_grow_more_than_untrained": _grow_more, "feed_forward_writes_more": _writes,
    "feed_forward_attributes_more": _attributes, "answer_appears_late": _late, "training_raised_the_answer": _raised,
    "training_wrote_through_feed_forward": _through, "training_moved_the_answer_earlier": _moved}
