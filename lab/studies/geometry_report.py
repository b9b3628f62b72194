"""What the geometry of updates says in words and tables."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from lab.adapters.places import places
from lab.studies.geometry_losses import Ablated
from lab.studies.geometry_measured import THRESHOLDS, Measured
from lab.studies.geometry_pairs import FRAMES, Overlaps

LIMITS = [
    "An intruder dimension is a strong direction that resembles no single direction of the weight; a mixture of two of them "
    "is one as well, and so is nearly every random direction. Only the difference to random directions says anything.",
    "A large or low-rank update is not thereby an important one: only an ablation shows what the model loses without it.",
    "Modules are measured one by one; how they work together is not seen.",
    "Intervals resample layers whole, since modules of one layer are not independent; few layers make them rough.",
]
ONE_TRAINING = "One training: another seed may give another shape."
ABLATED = ["An ablation with a larger loss than the control of equal norm shows that those directions mattered more than "
           "their size; it does not show what they do.",
           "Losses are of the rows that were read, the intervals over those rows only."]
SAME_START = ("Two trainings of one seed, rank and modules began with the same factors A, which move little: that they "
              "overlap in A, and so in what they read, is mostly their common start and nothing learned.")
DENSE = ("A difference of whole weights also holds what rounding to the stored number format changed; beside the weight "
         "only its k strongest directions are held, since all together are the whole weight.")


def limits(found: Sequence[Measured], overlaps: Sequence[Overlaps], ablated: bool) -> list[str]:
    """Returns what may not be concluded."""
    return [*LIMITS, *([ONE_TRAINING] if len(found) == 1 else []), *([DENSE] if found[0].dense else []),
            *([SAME_START] if any(one.pair.same_start for one in overlaps) else []), *(ABLATED if ablated else [])]


def summary_row(found: Measured, epsilon: float) -> dict[str, Any]:
    """Returns one training's row, means over its modules; geometric ones of the amplification."""
    at = np.array([epsilon])
    rows = list(found.modules.values())
    null_name = "effective rank of a Gaussian matrix" if found.dense else "effective rank of random factors"
    return {
        "training": found.trained.label, "run": found.trained.capsule.run_id, "modules": len(rows),
        "effective rank": _mean([one.spectral["effective_rank"] for one in rows]),
        null_name: _mean([one.null_spectral["effective_rank"].mean() for one in rows]),
        "stable rank": _mean([one.spectral["stable_rank"] for one in rows]),
        "rank at 90 %": _mean([one.spectral["rank_90"] for one in rows]),
        "rank at 90 % of the null": _mean([one.null_spectral["rank_90"].mean() for one in rows]),
        "‖Δ‖ / ‖W‖ (%)": 100 * _mean([one.norm / one.weight_norm for one in rows if one.weight_norm]),
        "intruders per module": _mean(found.intruders(at)),
        "intruders of random directions": _mean(found.null_intruders(at)),
        "energy of intruders (share)": _mean(found.energy(at)),
        "energy of random ones (share)": _mean(found.null_energy(at)),
        "amplification factor": _typical([one.strength / one.along for one in rows if one.norm]),
        "of random directions": _typical([one.strength / one.null_along for one in rows if one.norm])}


def metrics(row: Mapping[str, Any], overlaps: Sequence[Overlaps]) -> dict[str, float]:
    """Returns the metrics of a run: those of its first training, and how far pairs overlap."""
    names = {"effective rank": "effective_rank", "stable rank": "stable_rank", "rank at 90 %": "rank_at_90",
             "‖Δ‖ / ‖W‖ (%)": "relative_norm_percent", "intruders per module": "intruders_per_module",
             "intruders of random directions": "null_intruders_per_module",
             "energy of intruders (share)": "intruder_energy_share", "amplification factor": "amplification_factor"}
    found = {f"geometry/{short}": float(row[name]) for name, short in names.items() if np.isfinite(row[name])}
    for one in overlaps[:1]:
        found |= {f"geometry/overlap_{frame}_phi": float(np.nanmean(one.values[frame][..., 0, 0])) for frame in FRAMES}
    return found


def module_rows(found: Measured, epsilon: float) -> list[dict[str, Any]]:
    """Returns one row a module."""
    at = np.array([epsilon])
    where, roles = places(list(found.modules))
    own, null, energy = found.intruders(at)[..., 0], found.null_intruders(at)[..., 0], found.energy(at)[..., 0]
    rows = []
    for name, one in found.modules.items():
        cell = where[name]
        rows.append({
            "layer": cell[0], "module": roles[cell[1]], "effective rank": one.spectral["effective_rank"],
            "of the null": float(one.null_spectral["effective_rank"].mean()), "stable rank": one.spectral["stable_rank"],
            "rank at 90 %": one.spectral["rank_90"],
            "‖Δ‖ / ‖W‖": one.norm / one.weight_norm if one.weight_norm else None,
            "‖Δ‖₂ / ‖W‖₂": float(one.singular_values[0]) / one.weight_top if one.weight_top else None,
            "intruders": float(own[cell]), "intruders of random directions": float(null[cell].mean()),
            "95 % of draws": "{:.3g} to {:.3g}".format(*np.percentile(null[cell], [2.5, 97.5])),
            "energy of intruders (share)": float(energy[cell]),
            "‖PᵀWQ‖": one.along, "of random directions": float(one.null_along.mean()),
            "of the weight's own": one.leading, "amplification factor": one.strength / one.along if one.norm else None})
    return rows


def overlap_rows(found: Sequence[Overlaps]) -> list[dict[str, Any]]:
    """Returns one row a pair and kind of directions: φ of the first direction, and of as many as both have."""
    rows = []
    for one in found:
        for frame, name in FRAMES.items():
            values, null = one.values[frame], one.null[frame]
            least = min(values.shape[2:]) - 1
            rows.append({
                "pair": one.pair.label, "directions": name, "φ(1, 1)": _mean(values[..., 0, 0]),
                "by chance": _mean(one.expected[frame][..., 0, 0]),
                "95 % of draws": _band(null[..., 0, 0]), "all": least + 1, "φ of all": _mean(values[..., least, least]),
                "by chance ": _mean(one.expected[frame][..., least, least]),
                "95 % of draws ": _band(null[..., least, least]),
                "one start": "yes" if one.pair.same_start else "no"})
    return rows


def ablation_rows(found: Ablated) -> list[dict[str, Any]]:
    """Returns one row for the base, the whole adapter, every ablation and its control."""
    rows: list[dict[str, Any]] = [{"adapter": "none (base)"}, {"adapter": "whole", "share of the norm": 1.0}]
    for name, share in found.norms.items():
        rows += [{"adapter": said(found, name), "share of the norm": share, "largest rank": found.ranks[name]},
                 {"adapter": f"whole, shrunk to the norm of: {found.words[name]}", "share of the norm": share}]
    for text, losses in found.losses.items():
        arms = [losses.base, losses.whole]
        arms += [arm[name] for name in found.norms for arm in (losses.ablated, losses.shrunk)]
        for row, nll in zip(rows, arms, strict=True):
            estimate = losses.loss(nll)
            row[f"{text}: loss (nats/token)"] = estimate.value
            row[f"{text}: 95 % interval"] = f"{estimate.low:.4g} to {estimate.high:.4g}"
    return rows


def said(found: Ablated, text: str) -> str:
    """Returns what an ablated adapter is, and that it is the whole one where nothing was there to take away."""
    return found.words[text] + (f" ({found.nothing[text]})" if text in found.nothing else "")


def in_words(found: Measured, row: Mapping[str, Any], k: int, epsilon: float) -> str:
    """Returns one training's shape in sentences."""
    null = row.get("effective rank of random factors", row.get("effective rank of a Gaussian matrix"))
    what = "a Gaussian matrix" if found.dense else "random factors of the same shapes"
    about = f"**{found.trained.label}**: " if found.trained.label else ""
    return (
        f"{about}over {row['modules']} modules the update uses {row['effective rank']:.3g} directions (effective rank; "
        f"{what} would use {null:.3g}), has {row['‖Δ‖ / ‖W‖ (%)']:.3g} % of the weight's norm, and is "
        f"{row['amplification factor']:.3g} times as large as the weight along its own directions (in random ones "
        f"{row['of random directions']:.3g}). Of the {k} strongest directions of a tuned weight "
        f"{row['intruders per module']:.3g} are intruders at ε = {epsilon:g}; the same update in random directions makes "
        f"{row['intruders of random directions']:.3g}.{_further(found, epsilon)}")


def _further(found: Measured, epsilon: float) -> str:
    """Where intruders are more than in random directions above a threshold at which there are none."""
    thresholds = np.array([epsilon, *THRESHOLDS[epsilon < THRESHOLDS]])
    own, null = (np.nanmean(each, axis=(0, 1)) for each in (found.intruders(thresholds), found.null_intruders(thresholds)))
    low, high = np.percentile(null, [2.5, 97.5], axis=0)
    beyond = np.flatnonzero(own > high)
    if own[0] > 0 or not len(beyond):
        return ""
    at = max(beyond, key=lambda index: own[index] - null[:, index].mean())
    return (f" A higher threshold shows a difference: at ε = {thresholds[at]:g}: {own[at]:.3g} per module, of random "
            f"directions {null[:, at].mean():.3g} (95 % of draws {low[at]:.3g} to {high[at]:.3g}).")


def _mean(values: Any) -> float:
    known = np.asarray(values, dtype=float)
    known = known[np.isfinite(known)]
    return float(known.mean()) if known.size else float("nan")


def _typical(values: Any) -> float:
    """The geometric mean: a ratio to a single random number has no mean that could be estimated."""
    known = np.asarray(values, dtype=float)
    return float(np.exp(np.log(known).mean())) if known.size else float("nan")


def _band(null: np.ndarray) -> str:
    """Of means over modules, draw by draw; null [L, modules, N]."""
    means = np.nanmean(null, axis=(0, 1))
    low, high = np.percentile(means, [2.5, 97.5])
    return f"{low:.3g} to {high:.3g}"
