"""What a probing study says in words beside its main table: only of what it has, and of a too large probe."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from lab.probing.linear_measure import Readout
from lab.studies import linear_probe_intervals as intervals
from lab.studies import linear_probe_report
from lab.studies.attention_intervals import between
from lab.studies.linear_probe_measured import BASE, TUNED, UNTRAINED, Asked, Found
from lab.tracking.report import table

_MEMORY = [
    "Accuracy on types seen may be memory, which control tasks measure: read selectivity there. It and accuracy on types "
    "never seen come from different splits and are not to be subtracted.",
    "In a wide model a linear probe can learn few types by heart: selectivity near 0 then says little; types never seen "
    "decide."]


def sections(found: Sequence[Found], asked: Sequence[Asked], hidden: int | None) -> list[tuple[str, str]]:
    """Returns what the report says beside its main table.

    Args:
        found: What was measured.
        asked: The tasks.
        hidden: Width of the too large probe, if there is one.
    """
    told = ("task", "question", "classes", "a type is", "a context is", "label follows from",
            "types never seen: tested rows", "types never seen: tested groups", "types seen: tested rows")
    kept = [{name: row[name] for name in told} for row in linear_probe_report.tasks(asked)]
    return [("How to read it", _reading(found)), *_too_large(found, hidden), ("Tasks", table(kept))]


def limits(found: Sequence[Found]) -> list[str]:
    """Returns what may not be concluded from scores that only some runs have."""
    wired = any(UNTRAINED in (one.disjoint or one.shared) for one in found)
    return [*(_MEMORY if any(one.shared for one in found) else ()),
            *(["One draw of first weights stands for the untrained network."] if wired else ())]


def _reading(found: Sequence[Found]) -> str:
    apart = [one for one in found if one.disjoint]
    tuned = any(TUNED in (one.disjoint or one.shared) for one in found)
    of = "base: " if tuned else ""
    words = ["The main table shows each task where cross-validation within training gained most."]
    if tuned:
        words.append("All of it is of the base, but for `tuned`, the tuned model at the same place, and `untrained`.")
    if apart:
        held = ["`permuted labels` (the middle 95 % of accuracies when labels change places between groups)",
                "`most frequent`"]
        if any("disjoint" in one.cues for one in apart):
            held.append("`cues` (position, form of words and token alone, where the label follows from them)")
        if any(UNTRAINED in one.disjoint for one in apart):
            held.append("`untrained` (the same network with first weights, at its own best place)")
        words.append(f"`{of}accuracy, types never seen` is to be held against {', '.join(held[:-1])} and {held[-1]}.")
    if any(one.shared for one in found):
        words.append(f"`{of}accuracy, types seen` is to be held against `control`, fixed random labels of the same types: "
                     "their difference is the selectivity (Hewitt and Liang, 2019).")
    return " ".join(words)


def _too_large(found: Sequence[Found], hidden: int | None) -> list[tuple[str, str]]:
    rows: list[dict[str, Any]] = []
    for one in found:
        if one.wide is None:
            continue
        number = one.best(BASE, np.arange(len(one.places)))
        rows += [{"task": one.name, "place": str(one.places[number]), "probe": probe, **_row(one, told, number)}
                 for probe, told in (("linear", one.shared[BASE]), (f"hidden layer of {hidden}", one.wide))]
    words = ("On types seen, at the place of the main table: a probe that learns random labels of types by heart as well as "
             "the task has little selectivity, and its accuracy says little of the model.")
    return [("The linear and the too large probe", f"{words}\n\n{table(rows)}")] if rows else []


def _row(one: Found, told: Readout, number: int) -> dict[str, Any]:
    assert one.asked.shared is not None
    found = intervals.selectivity(told.hits[number], told.control[number], one.asked.shared.groups)
    return {"accuracy": float(told.hits[number].mean()), "control": float(told.control[number].mean()),
            "selectivity": float(found.value), "its 95 % interval": between(float(found.low), float(found.high))}
