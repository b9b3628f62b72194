"""What was lost, as rows: by suite, by kind, and every item."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from lab.data.suites.item import SuiteItem
from lab.evaluation.intervals import Estimate
from lab.evaluation.paired import TOLERATED, Change
from lab.evaluation.scores import Ranked
from lab.studies.forgetting_compared import Compared, Questions
from lab.studies.forgetting_verdicts import ALPHA, outcome

SHOWN = 8
_LONGEST = 160  # characters of a question in a table


def suite_rows(found: Compared) -> list[dict[str, Any]]:
    """Returns one row a suite of questions, in points of accuracy."""
    rows = [_row(one.name, one.change, one.p, one.base.chance) for one in found.questions]
    return rows + [_row(one.name, one.change, one.p, None) for one in found.answers]


def _row(name: str, one: Change, p: float, chance: float | None) -> dict[str, Any]:
    return {"suite": name, "items": one.items, "base (%)": round(100 * one.base, 2), "tuned (%)": round(100 * one.tuned, 2),
            "chance (%)": None if chance is None else round(100 * chance, 1), "lost (points)": round(one.estimate.value, 3),
            "95 % interval": interval(one.estimate), "p (Holm)": float(f"{p:.3g}"), "reading": reading(one, p),
            "right→wrong": one.lost, "wrong→right": one.gained,
            "smallest detectable (points)": detectable(one), "test": one.method}


def detectable(one: Change) -> float | None:
    """Returns the smallest loss in points that would be seen, or None where so few clusters could show none."""
    return round(one.detectable, 2) if math.isfinite(one.detectable) else None


def reading(one: Change, p: float) -> str:
    """Returns what a suite's loss means, in two or three words."""
    said = {"supported": "not lost", "refuted": "lost", "undecided": "cannot tell"}[outcome(one.estimate, p, TOLERATED)]
    if said == "not lost" and p < ALPHA and one.estimate.low > 0:
        said = "a little lost"
    if one.estimate.high < 0:
        said = "gained" if p < ALPHA else said
    return f"{said}, {one.words}" if one.words else said


def interval(estimate: Estimate, decimals: int = 2) -> str:
    """Returns the ends of an interval."""
    return f"{estimate.low:.{decimals}f} to {estimate.high:.{decimals}f}"


def kind_rows(found: Compared) -> list[dict[str, Any]]:
    """Returns one row for each kind of question in each suite."""
    rows = []
    for one in found.questions:
        kinds = np.array(one.base.kinds)
        for kind in dict.fromkeys(one.base.kinds):
            at = kinds == kind
            before, after = one.base.correct[at], one.tuned.correct[at]
            rows.append({"suite": one.name, "kind": kind, "items": int(at.sum()), "base (%)": round(100 * before.mean(), 2),
                         "tuned (%)": round(100 * after.mean(), 2), "right→wrong": int((before & ~after).sum()),
                         "wrong→right": int((after & ~before).sum())})
    return rows


def answer_rows(found: Compared) -> list[dict[str, Any]]:
    """Returns one row a suite: what was answered, to the letter and by its form."""
    rows = []
    for one in found.questions:
        if one.said is None or one.answers is None:
            continue
        row: dict[str, Any] = {"suite": one.name, "items": one.answers.items}
        for label, greedy in zip(("base", "tuned"), one.said, strict=True):
            wrong = ~greedy.exact & ~greedy.misformatted
            row |= {f"{label}: right (%)": _percent(greedy.exact), f"{label}: wrong (%)": _percent(wrong),
                    f"{label}: another form (%)": _percent(greedy.misformatted & ~greedy.exact)}
        rows.append(row | {"right answers lost (points)": round(one.answers.estimate.value, 3),
                           "95 % interval": interval(one.answers.estimate)})
    return rows


def text_rows(found: Compared) -> list[dict[str, Any]]:
    """Returns one row for the texts, and one for each of their kinds."""
    rows = []
    for one in found.documents:
        rows.append({"texts": one.name, "documents": one.shift.items, "base (bits/byte)": one.shift.base,
                     "tuned (bits/byte)": one.shift.tuned, "rise (bits/byte)": one.shift.estimate.value,
                     "95 % interval": interval(one.shift.estimate, 4), "p (Holm)": float(f"{one.p:.3g}")})
        kinds = np.array(one.base.kinds)
        for kind in dict.fromkeys(one.base.kinds):
            at = kinds == kind
            bits = [float(scores.nll[at].sum() / np.log(2) / scores.bytes[at].sum()) for scores in (one.base, one.tuned)]
            rows.append({"texts": f"{one.name}: {kind}", "documents": int(at.sum()), "base (bits/byte)": bits[0],
                         "tuned (bits/byte)": bits[1], "rise (bits/byte)": bits[1] - bits[0], "95 % interval": "",
                         "p (Holm)": None})
    return rows


def flipped(one: Questions, items: Sequence[SuiteItem] | None, count: int = SHOWN) -> list[dict[str, Any]]:
    """Returns items that went from right to wrong, those first of which the tuned model is most sure.

    Args:
        one: A suite.
        items: Its questions, or None for a named task, whose questions are not kept.
        count: At most so many.
    """
    at = np.flatnonzero(one.base.correct & ~one.tuned.correct)
    order = at[np.argsort(-one.tuned.probability[at].max(1), kind="stable")][:count]
    return [{"suite": one.name, "item": one.base.names[n], **_asked(items, n),
             "base's pick": _picked(one.base, items, n), "tuned model's pick": _picked(one.tuned, items, n)} for n in order]


def item_rows(found: Compared, asked: dict[str, list[SuiteItem]]) -> list[dict[str, Any]]:
    """Returns every item's scores, so that any later model can be compared item by item.

    Args:
        found: The comparison.
        asked: The lab's own questions by suite.
    """
    rows: list[dict[str, Any]] = []
    for one in found.questions:
        items = asked.get(one.name)
        for n, name in enumerate(one.base.names):
            row = {"suite": one.name, "item": name, "kind": one.base.kinds[n], "cluster": one.base.clusters[n],
                   "right alternative": int(one.base.gold[n]), **(_asked(items, n) or {"question": None, "answer": None})}
            for label, scores in (("base", one.base), ("tuned", one.tuned)):
                row |= {f"{label}: right": bool(scores.correct[n]),
                        f"{label}: log-likelihoods (nats)": [float(x) for x in scores.loglikelihood[n] if np.isfinite(x)]}
            for label, greedy in zip(("base", "tuned"), one.said or (None, None), strict=True):
                row |= {f"{label}: said": greedy.said[n] if greedy else None,
                        f"{label}: right to the letter": bool(greedy.exact[n]) if greedy else None,
                        f"{label}: another form": bool(greedy.misformatted[n]) if greedy else None}
            rows.append(row)
    return rows


def answered_rows(found: Compared) -> list[dict[str, Any]]:
    """Returns every item of named tasks without alternatives, and every text with its loss."""
    rows: list[dict[str, Any]] = [
        {"suite": one.name, "item": name, "base: right": bool(one.base.exact[n]), "tuned: right": bool(one.tuned.exact[n]),
         "base: said": one.base.said[n], "tuned: said": one.tuned.said[n]}
        for one in found.answers for n, name in enumerate(one.base.names)]
    return rows


def document_rows(found: Compared) -> list[dict[str, Any]]:
    """Returns every text with its loss."""
    return [{"suite": one.name, "text": name, "kind": one.base.kinds[n], "bytes": int(one.base.bytes[n]),
             "base (nats)": float(one.base.nll[n]), "tuned (nats)": float(one.tuned.nll[n])}
            for one in found.documents for n, name in enumerate(one.base.names)]


def _percent(share: np.ndarray) -> float:
    return round(100 * float(share.mean()), 2)


def _asked(items: Sequence[SuiteItem] | None, n: int) -> dict[str, Any]:
    if items is None:
        return {}
    question = items[n].question
    return {"question": question if len(question) <= _LONGEST else question[:_LONGEST - 1] + "…", "answer": items[n].answer}


def _picked(scores: Ranked, items: Sequence[SuiteItem] | None, n: int) -> str:
    pick = int(scores.loglikelihood[n].argmax())
    said = items[n].choices[pick] if items is not None else f"alternative {pick + 1}"
    return f"{said} ({scores.probability[n, pick]:.0%})"
