"""The figures of a probing study, each with the arrays behind it."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes

from lab.figures.layout import grid, panels
from lab.figures.probe_layers import Line, accuracy_by_layer, difference_by_layer, limits_of, one_legend
from lab.probing.linear_measure import Part, Readout
from lab.probing.linear_scores import Interval, majority
from lab.studies import linear_probe_intervals as intervals
from lab.studies.linear_probe_features import EMBEDDING
from lab.studies.linear_probe_measured import BASE, TUNED, UNTRAINED, Found
from lab.tracking.run import Run

COVERS = "groups"
_TINTS = {BASE: 0, TUNED: 1, "control task": 3, UNTRAINED: 7, "too large probe": 5, "its control task": 4}
_SITES = (0, 1, 2, 3, 4, 5, 6)
_NEVER, _SEEN = "types never seen", "types seen, contexts new"


def file_name(task: str) -> str:
    """Returns a task's name as that of a file."""
    return "".join(letter if letter.isalnum() else "_" for letter in task)


def along(found: Found, site: str) -> tuple[list[int], np.ndarray]:
    """Returns the layers of a site, the embedding first as -1, and the numbers of their places."""
    kept = [(place.layer, number) for number, place in enumerate(found.places) if place.site in (site, EMBEDDING)]
    return [layer for layer, _ in kept], np.array([number for _, number in kept])


def draw(run: Run, found: Sequence[Found], sites: Sequence[str]) -> None:
    """Draws accuracy of every task, selectivity of all, and what training changed."""
    for one in found:
        _accuracy(run, one, sites)
    told = [one for one in found if one.shared]
    if told:
        _selectivity(run, told, sites)
    moved = [one for one in found if one.moved is not None]
    if moved:
        _difference(run, moved, sites)


def _accuracy(run: Run, found: Found, sites: Sequence[str]) -> None:
    rows = [(name, part) for name, part in (("disjoint", found.asked.disjoint), ("shared", found.asked.shared))
            if part is not None]
    figure, axes = grid(len(rows), len(sites), width=4.9, height=3.5)
    arrays: dict[str, np.ndarray] = {}
    for (name, part), line in zip(rows, axes, strict=True):
        for ax, site in zip(line, sites, strict=True):
            _panel(found, name, part, site, ax)
        for model, readout in getattr(found, name).items():
            arrays |= {f"{name}.{model}.hits": readout.hits, f"{name}.{model}.bits": readout.bits,
                       f"{name}.{model}.control": readout.control, f"{name}.{model}.penalty": readout.penalty}
        arrays |= {f"{name}.groups": part.groups, f"{name}.labels": part.tested,
                   f"{name}.training_labels": part.labels[:, part.split.train]}
    for model, null in found.nulls.items():
        arrays |= {f"disjoint.{model}.permuted": null.permuted}
    arrays |= {f"{name}.cues.hits": cues.hits for name, cues in found.cues.items()}
    arrays |= {"places": np.array([str(place) for place in found.places])}
    figure.suptitle(found.name, fontsize=11)
    one_legend(figure)
    run.figure(f"accuracy/{file_name(found.name)}", figure, arrays)


def _panel(found: Found, name: str, part: Part, site: str, ax: Axes) -> None:
    layers, at = along(found, site)
    lines = {}
    for model, readout in getattr(found, name).items():
        lines[_said(model, found)] = _line(intervals.shares(readout.hits[at], part.groups), model)
        if readout.control.shape[1] and model == BASE:
            lines["its control tasks"] = _line(intervals.shares(readout.control[at].mean(1), part.groups), "control task")
    if name == "shared" and found.wide is not None:
        lines["too large probe"] = _line(intervals.shares(found.wide.hits[at], part.groups), "too large probe")
        lines["its control tasks (too large)"] = _line(intervals.shares(found.wide.control[at].mean(1), part.groups),
                                                       "its control task")
    levels = {"most frequent class": majority(part.labels[0, part.split.train], part.tested[0])}
    if name in found.cues:
        levels["position, form and token alone"] = float(found.cues[name].hits.mean())
    null = found.nulls.get(BASE) if name == "disjoint" else None
    accuracy_by_layer(layers, lines, ax, band=None if null is None else np.stack([null.low[at], null.high[at]], 1),
                      references=levels, covers=COVERS, own_legend=False,
                      title=f"{_NEVER if name == 'disjoint' else _SEEN} ({len(np.unique(part.groups))} groups): {site}")


def _said(model: str, found: Found) -> str:
    tuned = TUNED in (found.disjoint or found.shared)
    return {BASE: "base" if tuned else "this model", TUNED: "tuned", UNTRAINED: "untrained network"}[model]


def _line(found: Interval, tint: str) -> Line:
    baseline = tint in (UNTRAINED, "control task", "its control task")
    return Line(found.value, np.stack([found.low, found.high], 1), dashed=baseline, tint=_TINTS[tint])


def _selectivity(run: Run, found: Sequence[Found], sites: Sequence[str]) -> None:
    figure, axes = panels(len(found), columns=3, width=4.4, height=3.3)
    arrays: dict[str, np.ndarray] = {}
    every: list[dict[str, Line]] = []
    for one in found:
        lines: dict[str, Line] = {}
        for number, site in enumerate(sites):
            _, at = along(one, site)
            lines[site] = _selective(one, one.shared[BASE], at, number)
            arrays[f"{one.name}.{site}"] = np.column_stack([lines[site].values, lines[site].ends])
            if one.wide is not None:
                lines[f"{site}, too large probe"] = _selective(one, one.wide, at, number, dashed=True)
        every.append(lines)
    limits = limits_of(line for lines in every for line in lines.values())
    for ax, one, lines in zip(axes, found, every, strict=True):
        difference_by_layer(along(one, sites[0])[0], lines, ax, ylabel="accuracy − control accuracy", title=one.name,
                            zero="as random labels of types", covers=f"{COVERS} and control tasks", limits=limits,
                            own_legend=False)
    one_legend(figure)
    of = "the base" if TUNED in found[0].shared else "this model"
    figure.suptitle(f"Selectivity of {of}: what a probe reads beyond what it could learn by heart\n"
                    "(types seen, contexts new)", fontsize=11)
    run.figure("selectivity", figure, arrays)


def _selective(one: Found, readout: Readout, at: np.ndarray, tint: int, *, dashed: bool = False) -> Line:
    assert one.asked.shared is not None
    found = intervals.selectivity(readout.hits[at], readout.control[at], one.asked.shared.groups)
    return Line(found.value, np.stack([found.low, found.high], 1), dashed=dashed, tint=_SITES[tint])


def _difference(run: Run, found: Sequence[Found], sites: Sequence[str]) -> None:
    figure, axes = grid(len(found), len(sites), width=4.9, height=2.9)
    arrays: dict[str, np.ndarray] = {}
    every = [differences(one) for one in found]
    limits = limits_of(Line(each.value, np.stack([each.low, each.high], 1))
                       for changes in every for each in changes.values())
    for one, changes, line in zip(found, every, axes, strict=True):
        for ax, site in zip(line, sites, strict=True):
            layers, at = along(one, site)
            lines = {name: Line(each.value[at], np.stack([each.low, each.high], 1)[at], tint=number)
                     for number, (name, each) in enumerate(changes.items())}
            difference_by_layer(layers, lines, ax, ylabel="accuracy, tuned − base", covers=COVERS,
                                title=f"{one.name}: {site}", limits=limits, own_legend=False)
        arrays |= {f"{one.name}.{name}": np.column_stack([each.value, each.low, each.high])
                   for name, each in changes.items()}
    figure.suptitle("What training changed, on types never seen (the same rows, splits and groups)", fontsize=11)
    one_legend(figure)
    run.figure("difference", figure, arrays)


def differences(found: Found) -> dict[str, Interval]:
    """Returns accuracy on the tuned model minus on the base [S]: of probes fitted anew, and of the base's probes."""
    assert found.asked.disjoint is not None and found.moved is not None
    groups, base = found.asked.disjoint.groups, found.disjoint[BASE].hits
    return {"probes fitted anew": intervals.differences(found.disjoint[TUNED].hits - base, groups),
            "the base's probes": intervals.differences(found.moved - base, groups)}
