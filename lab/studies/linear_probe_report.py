"""What a probing study says in tables, metrics and words."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from lab.models.loading import Base
from lab.probing.linear_measure import Readout
from lab.probing.linear_scores import Interval, balanced, interval, majority, resampled
from lab.studies import linear_probe_intervals as intervals
from lab.studies import opening
from lab.studies.attention_intervals import between
from lab.studies.linear_probe_features import EMBEDDING
from lab.studies.linear_probe_figures import differences, file_name
from lab.studies.linear_probe_measured import BASE, TUNED, UNTRAINED, Asked, Found

Row = dict[str, Any]
ONE_SPLIT = "95 % interval over groups"


def facts(base: Base, asked: Sequence[Asked]) -> dict[str, Any]:
    """Returns what a run records of the model and the tasks."""
    return {**opening.facts(base), "tasks.names": ", ".join(one.task.name for one in asked),
            "tasks.rows": sum(len(one.task) for one in asked),
            "tasks.prompts": sum(len(one.task.prompts) for one in asked)}


def tasks(asked: Sequence[Asked]) -> list[Row]:
    """Returns a row a task: what it asks and what its splits leave."""
    rows = []
    for one in asked:
        task = one.task
        row = {"task": task.name, "question": task.question, "rows": len(task), "classes": len(task.classes),
               "a type is": task.type_is, "types": len(np.unique(task.type)), "a context is": task.context_is,
               "groups": len(np.unique(task.group)), "most frequent class (share)": task.majority,
               "label follows from": ", ".join(task.follows) or "nothing"}
        for name, part, why in (("types never seen", one.disjoint, task.no_disjoint),
                                ("types seen", one.shared, task.no_shared)):
            row |= {f"{name}: fitted rows": None if part is None else len(part.split.train),
                    f"{name}: tested rows": None if part is None else len(part.split.test),
                    f"{name}: tested groups": None if part is None else len(np.unique(part.groups)),
                    f"{name}: not asked": why}
        rows.append(row)
    return rows


def places(found: Sequence[Found]) -> list[Row]:
    """Returns a row for every task, model and place, with every score and its null."""
    return [_place(one, model, number) for one in found for model in (one.disjoint or one.shared)
            for number in range(len(one.places))]


def _place(one: Found, model: str, number: int) -> Row:
    place = one.places[number]
    row: Row = {"task": one.name, "model": model, "site": place.site,
                "layer": None if place.site == EMBEDDING else place.layer}
    if one.asked.disjoint is not None:
        part, told, null = one.asked.disjoint, one.disjoint[model], one.nulls[model]
        found = intervals.shares(told.hits[number], part.groups)
        gain = interval(told.bits[number], resampled(part.groups))
        row |= {"accuracy, types never seen (share)": float(found.value), "its " + ONE_SPLIT: _span(found),
                "permutation band, low": float(null.low[number]), "permutation band, high": float(null.high[number]),
                "p": float(null.p[number]), "adjusted p": float(null.adjusted_p[number]),
                "most frequent class (share)": majority(part.labels[0, part.split.train], part.tested[0]),
                "cues alone (share)": _cues(one, "disjoint"),
                "balanced accuracy (share)": float(balanced(told.hits[number], part.tested[0])),
                "gain (bits)": float(gain.value), "gain, " + ONE_SPLIT: _span(gain),
                "gain in cross-validation (bits)": float(told.held_out_bits[number]), "penalty": float(told.penalty[number])}
    if one.asked.shared is not None:
        part, told = one.asked.shared, one.shared[model]
        found = intervals.shares(told.hits[number], part.groups)
        row |= {"accuracy, types seen (share)": float(found.value), "accuracy, types seen, " + ONE_SPLIT: _span(found)}
        if told.control.shape[1]:
            row |= {"control accuracy (share)": float(told.control[number].mean()), **_selective(one, number, model)}
    return row


def _selective(one: Found, number: int, model: str) -> Row:
    found = _selectivity(one, one.shared[model], number)
    row: Row = {"selectivity (share)": float(found.value), "selectivity, 95 % interval": _span(found)}
    if model == BASE and one.wide is not None:
        wide = _selectivity(one, one.wide, number)
        row |= {"selectivity of the too large probe (share)": float(wide.value),
                "selectivity of the too large probe, 95 % interval": _span(wide)}
    return row


def _selectivity(one: Found, told: Readout, number: int) -> Interval:
    assert one.asked.shared is not None
    return intervals.selectivity(told.hits[number], told.control[number], one.asked.shared.groups)


def main(found: Sequence[Found]) -> list[Row]:
    """Returns a row a task at the place that cross-validation chose among all, for the report."""
    rows = []
    for one in found:
        number = one.best(BASE, np.arange(len(one.places)))
        full = _place(one, BASE, number)
        of = "base: " if TUNED in (one.disjoint or one.shared) else ""
        row: Row = {"task": one.name, "place": str(one.places[number])}
        if one.asked.disjoint is not None:
            row |= {f"{of}accuracy, types never seen": full["accuracy, types never seen (share)"],
                    "95 % interval": full["its " + ONE_SPLIT],
                    "permuted labels": f"{full['permutation band, low']:.2f} to {full['permutation band, high']:.2f}",
                    "most frequent": full["most frequent class (share)"], "cues": full["cues alone (share)"],
                    "untrained": _at_best(one, UNTRAINED), f"{of}gain (bits)": full["gain (bits)"],
                    "adjusted p": full["adjusted p"]}
            if TUNED in one.disjoint:
                row["tuned"] = float(one.disjoint[TUNED].hits[number].mean())
        if one.asked.shared is not None:
            row |= {f"{of}accuracy, types seen": full["accuracy, types seen (share)"],
                    "control": full["control accuracy (share)"], f"{of}selectivity": full["selectivity (share)"],
                    "its 95 % interval": full["selectivity, 95 % interval"]}
        rows.append(row)
    keys = dict.fromkeys(key for row in rows for key in row)
    return [{key: row.get(key) for key in keys} for row in rows]


def changes(found: Sequence[Found]) -> list[Row]:
    """Returns a row for every task and place: tuned minus base, of probes fitted anew and of the base's probes."""
    rows = []
    for one in found:
        if one.moved is None:
            continue
        by_kind = differences(one)
        for number, place in enumerate(one.places):
            row: Row = {"task": one.name, "site": place.site, "layer": None if place.site == EMBEDDING else place.layer,
                        "base accuracy (share)": float(one.disjoint[BASE].hits[number].mean()),
                        "tuned accuracy (share)": float(one.disjoint[TUNED].hits[number].mean())}
            for kind, each in by_kind.items():
                row |= {f"tuned − base, {kind} (share)": float(each.value[number]),
                        f"{kind}, 95 % interval": between(each.low[number], each.high[number], "+.3f")}
            rows.append(row)
    return rows


def summary(found: Sequence[Found]) -> dict[str, float]:
    """Returns the metrics of a study: each task at the place that cross-validation chose."""
    values: dict[str, float] = {}
    for one in found:
        number = one.best(BASE, np.arange(len(one.places)))
        name = f"probing/{file_name(one.name)}"
        if one.asked.disjoint is not None:
            values |= {f"{name}_accuracy_share": float(one.disjoint[BASE].hits[number].mean()),
                       f"{name}_null_upper_share": float(one.nulls[BASE].high[number]),
                       f"{name}_gain_bits": float(one.disjoint[BASE].bits[number].mean())}
            if TUNED in one.disjoint:
                values[f"{name}_tuned_accuracy_share"] = float(one.disjoint[TUNED].hits[number].mean())
        if one.asked.shared is not None:
            told = one.shared[BASE]
            values[f"{name}_selectivity_share"] = float(_selectivity(one, told, number).value)
            if one.wide is not None:
                values[f"{name}_too_large_selectivity_share"] = float(_selectivity(one, one.wide, number).value)
    return values


def _at_best(one: Found, model: str) -> float | None:
    if model not in one.disjoint:
        return None
    return float(one.disjoint[model].hits[one.best(model, np.arange(len(one.places)))].mean())


def _cues(one: Found, split: str) -> float | None:
    return float(one.cues[split].hits.mean()) if split in one.cues else None


def _span(found: Interval) -> str | None:
    return between(float(found.low), float(found.high))
