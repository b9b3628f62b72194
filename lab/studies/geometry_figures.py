"""The figures of the geometry of updates, into their run, each with the arrays behind it."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from lab.figures.geometry_ablation import losses as losses_figure
from lab.figures.geometry_intruders import intruder_curves
from lab.figures.geometry_maps import Map, maps, middle
from lab.figures.geometry_overlap import overlap_curves, overlap_maps
from lab.figures.geometry_ranks import by_rank
from lab.figures.heat import DIVERGING, span
from lab.figures.spectra import singular_values
from lab.studies.geometry_losses import Ablated
from lab.studies.geometry_measured import THRESHOLDS, Measured
from lab.studies.geometry_pairs import FRAMES, Overlaps
from lab.tracking.run import Run


def draw_one(run: Run, found: Measured, *, k: int, epsilon: float, folder: str = "") -> None:
    """Draws one training's spectra, shape, intruders and strength along the weight.

    Args:
        run: Open.
        found: Its geometry.
        k: Strongest directions that were looked at.
        epsilon: Threshold of the maps.
        folder: In front of the figures' names.
    """
    roles = np.array(found.roles)
    spectra = found.spectra()
    run.figure(f"{folder}singular_values", singular_values(spectra, found.roles),
               {"singular_values": spectra, "modules": roles})
    _shape(run, found, folder, roles)
    _intruders(run, found, folder, roles, k, epsilon)
    _along(run, found, folder, roles)


def _shape(run: Run, found: Measured, folder: str, roles: np.ndarray) -> None:
    chance = "Gaussian" if found.dense else "random factors"
    values = {name: found.grid(lambda one, name=name: one.spectral[name]) for name in (  # type: ignore[misc]
        "effective_rank", "stable_rank", "rank_90")}
    null = {name: found.grid(lambda one, name=name: one.null_spectral[name]) for name in values}  # type: ignore[misc]
    size = found.grid(lambda one: one.norm / one.weight_norm if one.weight_norm else np.nan)
    top = found.grid(lambda one: one.singular_values[0] / one.weight_top if one.weight_top else np.nan)
    titles = {"effective_rank": "effective rank", "stable_rank": "stable rank", "rank_90": "directions for 90 % of energy"}
    shown = [Map(values[name], f"{title} (mean of {chance}: {middle(null[name]):.3g})", title)
             for name, title in titles.items()]
    shown += [Map(100 * size, "size: ‖Δ‖ / ‖W‖, Frobenius", "% of the weight's norm", norm=span(100 * size, zero=True)),
              Map(100 * top, "size of the strongest direction: ‖Δ‖₂ / ‖W‖₂", "% of the weight's",
                  norm=span(100 * top, zero=True))]
    run.figure(f"{folder}shape", maps(shown, found.roles), {
        **values, **{f"null_{name}": each for name, each in null.items()}, "relative_frobenius": size,
        "relative_spectral": top, "modules": roles})


def _intruders(run: Run, found: Measured, folder: str, roles: np.ndarray, k: int, epsilon: float) -> None:
    at = np.array([epsilon])
    own, null = found.intruders(at)[..., 0], found.null_intruders(at)[..., 0]
    energy, null_energy = found.energy(at)[..., 0], found.null_energy(at)[..., 0]
    expected = null.mean(-1)
    both = span(own, expected, zero=True)
    shown = [Map(own, f"intruders among the {k} strongest, ε = {epsilon:g}", "intruders", norm=both),
             Map(expected, "in random directions, mean of draws", "intruders", norm=both),
             Map(own - expected, "difference", "intruders more than random", cmap=DIVERGING),
             Map(energy - null_energy.mean(-1), "energy they hold, minus random", f"share of the {k} strongest",
                 cmap=DIVERGING)]
    run.figure(f"{folder}intruders", maps(shown, found.roles), {
        "intruders": own, "null_intruders": null, "energy": energy, "null_energy": null_energy, "modules": roles,
        "cosine": found.grid(lambda one: one.cosine), "top_values": found.grid(lambda one: one.top_values)})


def _along(run: Run, found: Measured, folder: str, roles: np.ndarray) -> None:
    along, leading = found.grid(lambda one: one.along), found.grid(lambda one: one.leading)
    null = found.grid(lambda one: one.null_along)
    norm, expected = found.grid(lambda one: one.strength), null.mean(-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        beside, factor, random = (np.log2(each) for each in (along / expected, norm / along, norm / expected))
        share, by_chance = along**2 / leading**2, (null**2).mean(-1) / leading**2
    shown = [Map(beside, "how strong the weight is along the update's directions,\nbeside random ones: ‖PᵀWQ‖",
                 "doublings of the weight's strength", cmap=DIVERGING),
             Map(100 * share, f"the same, beside the weight's strongest\n(random: {100 * middle(by_chance):.2g} %)",
                 "% of their energy", norm=span(100 * share, zero=True)),
             Map(factor, f"amplification: size of the update over the weight's\nthere, ‖Δ‖ / ‖PᵀWQ‖ "
                 f"(random: {middle(random):+.2g})", "doublings", cmap=DIVERGING)]
    run.figure(f"{folder}along_weight", maps(shown, found.roles), {
        "along": along, "null_along": null, "leading": leading, "strength": norm, "modules": roles})


def draw_intruder_curves(run: Run, found: Sequence[Measured], *, k: int, epsilon: float) -> None:
    """Draws intruders against the threshold, of at most eight trainings."""
    found = found[:8]
    counts = np.array([_over_modules(one.intruders(THRESHOLDS)) for one in found])
    null = np.array([_over_modules(one.null_intruders(THRESHOLDS)) for one in found])
    energy = np.array([_over_modules(one.energy(THRESHOLDS)) for one in found])
    null_energy = np.array([_over_modules(one.null_energy(THRESHOLDS)) for one in found])
    names = [one.trained.label if len(found) > 1 else "observed" for one in found]
    run.figure("intruders_by_threshold", intruder_curves(THRESHOLDS, counts, null, energy, null_energy, names=names, k=k,
                                                         epsilon=epsilon), {
        "thresholds": THRESHOLDS, "intruders": counts, "null_intruders": null, "energy": energy, "null_energy": null_energy,
        "names": np.array(names)})


def draw_ranks(run: Run, rows: Sequence[dict[str, Any]], found: Sequence[Measured]) -> None:
    """Draws what changes with the rank, where there are several.

    Args:
        run: Open.
        rows: Of the table of trainings, see `lab.studies.geometry_report.summary_row`.
        found: The trainings.
    """
    ranks = np.array([one.trained.rank or 0 for one in found])
    if len(set(ranks)) < 2:
        return
    panels = [("directions used", "effective rank", "effective rank of random factors", "effective rank"),
              ("size", "‖Δ‖ / ‖W‖ (%)", None, "‖Δ‖ / ‖W‖ (%)"),
              ("intruder dimensions", "intruders per module", "intruders of random directions", "intruders per module"),
              ("amplification", "amplification factor", "of random directions", "‖Δ‖ / ‖PᵀWQ‖")]
    arrays = {name: np.array([row[name] for row in rows]) for _, own, null, _ in panels for name in (own, null) if name}
    shown = [(title, arrays[own], None if null is None else arrays[null], label) for title, own, null, label in panels]
    run.figure("by_rank", by_rank(ranks, shown), {"ranks": ranks, **{
        name.replace("‖", "").replace("/", "of").replace(" ", "_"): each for name, each in arrays.items()}})


def draw_overlaps(run: Run, found: Sequence[Overlaps]) -> None:
    """Draws how far subspaces overlap: of a kind's largest ranks as maps, and of all its pairs along the diagonal."""
    for kind in dict.fromkeys(one.pair.kind for one in found):
        alike = [one for one in found if one.pair.kind == kind]
        largest = max(alike, key=lambda one: (one.pair.one.rank or 0, one.pair.other.rank or 0))
        pair, expected = largest.pair, {frame: _over_modules(each) for frame, each in largest.expected.items()}
        chance = {frame: float(each[0, 0]) for frame, each in expected.items()}
        of_modules = {frame: _over_modules(each) for frame, each in largest.values.items()}
        if max(each.size for each in of_modules.values()) > 1:
            figure = overlap_maps(of_modules, expected, FRAMES, one=pair.one.label, other=pair.other.label)
            run.figure(f"overlap_{kind}", figure, {
                **largest.values, **{f"expected_{frame}": each for frame, each in largest.expected.items()},
                "modules": np.array(largest.roles)})
        lines = {frame: _lines([_diagonal(_over_modules(one.values[frame])) for one in alike]) for frame in FRAMES}
        null = {frame: _diagonal(_over_modules(largest.null[frame]))[:, :lines[frame].shape[1]] for frame in FRAMES}
        if lines["B"].shape[1] > 1:  # of a single direction the map of modules says it all
            run.figure(f"overlap_{kind}_by_depth", overlap_curves(lines, null, FRAMES, [one.pair.label for one in alike]), {
                **lines, **{f"null_{frame}": each for frame, each in null.items()}})
        first = {frame: largest.values[frame][..., 0, 0] for frame in FRAMES}
        shared = span(*first.values(), *chance.values(), zero=True)
        shown = [Map(first[frame], f"{name} (by chance {chance[frame]:.3f})", f"φ(1, 1), {pair.label}", norm=shared)
             for frame, name in FRAMES.items()]
        run.figure(f"overlap_{kind}_by_module", maps(shown, largest.roles), {**first, "modules": np.array(largest.roles)})


def _lines(each: Sequence[np.ndarray]) -> np.ndarray:
    """[pairs, R], with nan where a pair has fewer directions."""
    most = max(len(line) for line in each)
    return np.array([np.pad(line, (0, most - len(line)), constant_values=np.nan) for line in each])


def draw_ablations(run: Run, found: Ablated) -> None:
    """Draws the losses without parts of an adapter."""
    texts, names = list(found.losses), list(found.norms)

    def of(pick: Any) -> np.ndarray:
        return np.array([[_ends(each.loss(pick(each, name))) for name in names] for each in found.losses.values()])

    arrays = {"ablated": of(lambda each, name: each.ablated[name]), "shrunk": of(lambda each, name: each.shrunk[name]),
              "whole": np.array([_ends(each.loss(each.whole)) for each in found.losses.values()]),
              "base": np.array([_ends(each.loss(each.base)) for each in found.losses.values()])}
    labels = [f"{found.words[name]}\n({found.norms[name]:.0%} of the norm)" for name in names]
    run.figure("ablation", losses_figure(labels, texts, **arrays), {
        **arrays, "norms": np.array(list(found.norms.values())), "names": np.array(names), "texts": np.array(texts)})


def _ends(found: Any) -> tuple[float, float, float]:
    return found.value, found.low, found.high


def _diagonal(values: np.ndarray) -> np.ndarray:
    return np.diagonal(values, axis1=-2, axis2=-1)


def _over_modules(values: np.ndarray) -> np.ndarray:
    """[...], the mean of [L, modules, ...] over the modules there are."""
    return np.asarray(np.ma.masked_invalid(values).mean(axis=(0, 1)).filled(np.nan))
