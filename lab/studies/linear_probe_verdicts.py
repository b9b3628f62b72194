"""What a probing study claims before it computes, and how it answers."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from lab.evaluation.intervals import Estimate
from lab.probing.linear_measure import Part
from lab.probing.linear_scores import Interval
from lab.studies import linear_probe_intervals as intervals
from lab.studies.linear_probe_features import EMBEDDING
from lab.studies.linear_probe_measured import BASE, TUNED, UNTRAINED, Asked, Found
from lab.studies.rules import exceeds, undecided
from lab.tracking.hypotheses import Hypothesis, Verdict

BAND, CUES = "permuted labels", "cues alone"
OVER_EMBEDDING, OVER_UNTRAINED, CHANGE = ("of accuracy, layer − embedding", "of accuracy, trained − untrained",
                                          "of accuracy, tuned − base")
KEPT, STAYED = -0.02, -0.05
DETAILED, IN_TABLE = 7, "see the table of places"  # the note has no room for the details of more tasks
BY_CHANCE = f"0, no better than {BAND} or {CUES}"
NO_MORE = "0, no more than in the embedding"
AS_BEFORE = "0, as in the base"
AS_WIRED = "0, as in the untrained network"
MIDDLE, KEEPS, DIRECTIONS, TRAINING = ("attribute_more_readable_in_middle_layers", "training_keeps_what_is_readable",
                                       "directions_stay", "training_makes_readable")
_CHOSEN = "the chosen place"
_DECIDES = "supported if its interval is above 0, refuted if below"


def hypotheses(asked: Sequence[Asked], *, tuned: bool, untrained: bool) -> list[Hypothesis]:
    """Returns what is claimed of these tasks.

    Args:
        asked: Tasks with their splits.
        tuned: Whether a tuned model is compared with its base.
        untrained: Whether an untrained network is probed too.
    """
    apart = [one for one in asked if one.disjoint is not None]
    stated = [Hypothesis(
        readable(one.task.name), f"{one.task.name} is linearly readable in a layer before the last one.",
        f"accuracy at {_CHOSEN} − the higher of cues and the permutation band's upper end: {_DECIDES}", BY_CHANCE)
        for one in apart]
    if _at_name(apart):
        stated.append(Hypothesis(
            MIDDLE, "An attribute is more readable at the name's last token in middle layers than in the embedding.",
            f"accuracy at {_CHOSEN} in all layers but first and last, minus that in the embedding: {_DECIDES}", NO_MORE))
    if untrained and apart:
        stated.append(Hypothesis(
            TRAINING, "Training, not wiring, makes readable what these tasks ask.",
            f"accuracy minus that in the untrained network, each at {_CHOSEN}, mean over tasks: {_DECIDES}", AS_WIRED))
    if tuned and apart:
        stated += [
            Hypothesis(KEEPS, f"Fine-tuning takes away less than {-KEPT:g} of what is readable, on average.",
                       "accuracy, tuned minus base, each at its own chosen place, mean over tasks: "
                       + _DECIDES.replace("0,", f"{KEPT:g},"), AS_BEFORE),
            Hypothesis(DIRECTIONS, f"What is readable stays where it was: the base's probes lose less than {-STAYED:g} on "
                       "the tuned model.",
                       f"the base's probes at {_CHOSEN}: accuracy on the tuned model minus on the base, mean over tasks: "
                       + _DECIDES.replace("0,", f"{STAYED:g},"), AS_BEFORE)]
    return stated


def verdicts(found: Sequence[Found], stated: Sequence[Hypothesis]) -> list[Verdict]:
    """Returns a verdict on each hypothesis that was stated."""
    apart = [one for one in found if one.asked.disjoint is not None]
    by_name: dict[str, Callable[[], Verdict]] = {readable(one.name): lambda one=one: _readable(one)  # type: ignore[misc]
                                                 for one in apart}
    by_name |= {MIDDLE: lambda: _middle(_at_name([one.asked for one in apart]), apart), TRAINING: lambda: _training(apart),
                KEEPS: lambda: _keeps(apart), DIRECTIONS: lambda: _directions(apart)}
    answers = [by_name[one.name]() for one in stated]
    if len(found) <= DETAILED:
        return answers
    return [answer if answer.value is None else replace(answer, detail=IN_TABLE) for answer in answers]


def readable(task: str) -> str:
    """Returns the name of the claim that a task is readable before the last layer."""
    return "readable_before_last_layer_" + "".join(letter if letter.isalnum() else "_" for letter in task)


def _readable(found: Found) -> Verdict:
    part, told, null = _part(found), found.disjoint[BASE], found.nulls[BASE]
    at, best = found.best(BASE, found.early()), found.best(BASE, np.arange(len(found.places)))
    cues = found.cues.get("disjoint")
    above = CUES if cues is not None and cues.hits.mean() > null.high[at] else BAND
    if cues is not None and above == CUES:
        estimate = _over([(told.hits[at] - cues.hits[0], part)])
    else:
        estimate = _above(told.hits[at], null.high[at], part)
    of_cues = "" if cues is None else f"cues {cues.hits.mean():.2f}, "
    detail = (f"{found.places[at]}: accuracy {told.hits[at].mean():.2f}, band to {null.high[at]:.2f}, {of_cues}p "
              f"{null.p[at]:.3g}, for {len(found.places)} places {null.adjusted_p[at]:.3g}; chosen among all layers "
              f"{found.places[best]}: accuracy {told.hits[best].mean():.2f}")
    return exceeds(readable(found.name), estimate, threshold=0, unit=f"of accuracy above {above}",
                   null=f"0, no better than {above}", detail=detail)


def _at_name(asked: Sequence[Asked]) -> str | None:
    return next((one.task.name for one in asked if one.task.name.startswith("attribute:") and
                 one.task.name.endswith("@name")), None)


def _middle(name: str | None, found: Sequence[Found]) -> Verdict:
    one = next(each for each in found if each.name == name)
    layers = sorted({place.layer for place in one.places if place.site != EMBEDDING})
    middle = [number for number, place in enumerate(one.places) if place.layer in layers[1:-1]]
    if not middle:
        return undecided(MIDDLE, unit=OVER_EMBEDDING, null=NO_MORE,
                         detail=f"layers {layers} have no middle; probe three or more")
    at, hits = one.best(BASE, middle), one.disjoint[BASE].hits
    return exceeds(MIDDLE, _over([(hits[at] - hits[0], _part(one))]), threshold=0, unit=OVER_EMBEDDING, null=NO_MORE,
                   detail=f"{name} in {one.places[at]}: {hits[at].mean():.2f}, in the embedding {hits[0].mean():.2f}")


def _training(found: Sequence[Found]) -> Verdict:
    rows, words = [], []
    for one in found:
        every = np.arange(len(one.places))
        own, wired = (one.disjoint[model].hits[one.best(model, every)] for model in (BASE, UNTRAINED))
        rows.append((own - wired, _part(one)))
        words.append(f"{one.name} {own.mean():.2f} − {wired.mean():.2f}")
    return exceeds(TRAINING, _over(rows), threshold=0, unit=OVER_UNTRAINED, null=AS_WIRED, detail=", ".join(words))


def _keeps(found: Sequence[Found]) -> Verdict:
    rows = []
    for one in found:
        # each where its own training rows say it reads best: what moved to another layer is not lost
        tuned, base = (one.disjoint[model].hits[one.best(model, np.arange(len(one.places)))] for model in (TUNED, BASE))
        rows.append((tuned - base, _part(one)))
    return exceeds(KEEPS, _over(rows), threshold=KEPT, unit=CHANGE, null=AS_BEFORE, detail=_by_task(found, rows))


def _directions(found: Sequence[Found]) -> Verdict:
    rows = []
    for one in found:
        assert one.moved is not None
        at = one.best(BASE, np.arange(len(one.places)))
        rows.append((one.moved[at] - one.disjoint[BASE].hits[at], _part(one)))
    return exceeds(DIRECTIONS, _over(rows), threshold=STAYED, unit=CHANGE, null=AS_BEFORE, detail=_by_task(found, rows))


def _by_task(found: Sequence[Found], rows: Sequence[tuple[np.ndarray, Part]]) -> str:
    return ", ".join(f"{one.name} {scores.mean():+.3f}" for one, (scores, _) in zip(found, rows, strict=True))


def _over(rows: Sequence[tuple[np.ndarray, Part]]) -> Estimate:
    """The mean over tasks of mean differences [n]."""
    groups = sum(len(np.unique(part.groups)) for _, part in rows)
    covers = f"tested groups (n={groups}{f' in {len(rows)} tasks' if len(rows) > 1 else ''}), one split"
    return _estimate(intervals.over_tasks([(scores, part.groups) for scores, part in rows]), covers)


def _above(hits: np.ndarray, bar: float, part: Part) -> Estimate:
    """Accuracy above a bar that does not vary."""
    found, covers = intervals.shares(hits, part.groups), f"tested groups (n={len(np.unique(part.groups))}), one split"
    return _estimate(Interval(found.value - bar, found.low - bar, found.high - bar), covers)


def _estimate(found: Interval, covers: str) -> Estimate:
    # equal shares differ by the rounding of their sums, which is no result
    value, low, high = (float(np.round(end, 12)) + 0.0 for end in (found.value, found.low, found.high))
    return Estimate(value, low, high, covers)


def _part(found: Found) -> Part:
    assert found.asked.disjoint is not None
    return found.asked.disjoint
