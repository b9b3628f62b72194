"""What the study found, in tables, metrics and words."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from lab.evaluation.intervals import Estimate
from lab.studies import illusion_hypotheses as stated_as
from lab.studies.geometry_measured import THRESHOLDS
from lab.studies.illusion_arms import Match, arm_of, label
from lab.studies.illusion_correlation import spearman
from lab.studies.illusion_effects import forgetting_saved, learning_loss, learning_lost, points_saved, text_saved
from lab.studies.illusion_measured import Looked
from lab.studies.illusion_scaling import ARMS, INTRUDERS, SHRUNK, Scaled
from lab.studies.illusion_verdicts import Evidence
from lab.studies.trials import Trial
from lab.tracking.report import cell

# What is correlated: intruders, forgetting, and the size that is held fixed.
CORRELATED: tuple[Callable[[Looked], float], ...] = (
    lambda one: one.per_weight, lambda one: float(one.trial.text_lost[-1]), lambda one: one.norm)


def trials(trained: Sequence[Trial], looked: Sequence[Looked]) -> list[dict[str, Any]]:
    """Returns one line for each training; of those that diverged the rate alone."""
    by_id = {one.trial.run_id: one for one in looked}
    rows = []
    for trial in sorted(trained, key=lambda one: (one.r is None, one.r or 0, one.lr, one.seed)):
        row: dict[str, Any] = {"arm": arm_of(trial), "lr": trial.lr, "seed": trial.seed}
        if (one := by_id.get(trial.run_id)) is None:
            rows.append({**row, "diverged at step": trial.diverged_at, "run": trial.run_id})
            continue
        low, high = trial.lost_interval[-1]
        rows.append({
            **row, "loss (nats/token)": float(trial.loss[-1]), "learned (nats/token)": float(trial.learned[-1]),
            "text lost (bits/byte)": float(trial.text_lost[-1]), "lost (points)": float(trial.lost_points[-1]),
            "95 % interval": f"{low:.3g} to {high:.3g}", "‖Δ‖ / ‖W‖": one.norm, **_counted(one), "run": trial.run_id})
    return rows


def matches(matched: Sequence[Match], looked: Sequence[Looked]) -> list[dict[str, Any]]:
    """Returns one line for each adapter and one for each whole model that it is matched with."""
    by_id = {one.trial.run_id: one for one in looked}
    rows, seen = [], set()
    for match in matched:
        rows.append({**_line(match.lora, by_id), "whole model": label(match.full), "gap to it (nats/token)": match.gap.value,
                     "95 % interval over rows": f"{match.gap.low:.3g} to {match.gap.high:.3g}",
                     "matched": "yes" if match.near else "no"})
    for match in matched:
        if match.full.run_id not in seen:
            seen.add(match.full.run_id)
            rows.append(_line(match.full, by_id))
    return rows


def thresholds(matched: Sequence[Match], looked: Sequence[Looked]) -> list[dict[str, Any]]:
    """Returns intruders per weight and the energy they hold by threshold, of what is matched, beside random ones."""
    rows = []
    for one in _matched(matched, looked):
        counts, null = one.measured.intruders(THRESHOLDS), one.measured.null_intruders(THRESHOLDS)
        energy, null_energy = one.measured.energy(THRESHOLDS), one.measured.null_energy(THRESHOLDS)
        for at, epsilon in enumerate(THRESHOLDS):
            rows.append({
                "training": label(one.trial), "ε": float(epsilon), "intruders per weight": _mean(counts[..., at]),
                "of random directions": _mean(null[..., at]), "95 % of draws": _band(null[..., at]),
                "energy (share)": _mean(energy[..., at]), "of random directions ": _mean(null_energy[..., at]),
                "95 % of draws ": _band(null_energy[..., at])})
    return rows


def scaling(found: Sequence[Scaled], factors: Sequence[float]) -> list[dict[str, Any]]:
    """Returns one line for each set of adapters, factor and arm: what is saved of forgetting, what is lost of learning."""
    rows = []
    for which, each in [("all", list(found)), *((label(one.trial), [one]) for one in found if len(found) > 1)]:
        for factor in factors if each else ():
            for arm, words in ARMS.items():
                at = (factor, arm)
                rows.append({
                    "adapters": which, "factor": factor, "arm": words, "directions": sum(one.intruders for one in each),
                    "‖Δ‖, share of the whole": float(np.mean([one.norms[at] for one in each])),
                    **_cells("text saved (bits/byte)", text_saved(each, at)),
                    **_cells("forgetting gone (%)", _percent(forgetting_saved(each, at))),
                    **_cells("points saved", points_saved(each, at)),
                    **_cells("learning gone (%)", _percent(learning_lost(each, at))),
                    **_cells("loss added (nats/token)", learning_loss(each, at))})
    return rows


def again(found: Sequence[Scaled]) -> str:
    """Returns how nearly the whole adapters score what was recorded in training."""
    return ("The whole adapters were scored anew on the same items from one loaded base; their loss on documents differs "
            f"from that recorded in training by at most {max(one.drift for one in found):.2g} bits per byte.")


def remarks(looked: Sequence[Looked], matched: Sequence[Match], scaled: Sequence[Scaled], factor: float) -> dict[str, str]:
    """Returns what stands beside the verdicts, by hypothesis."""
    found = {}
    if matched:
        by_id = {one.trial.run_id: one for one in looked}
        each = ", ".join(f"{arm_of(one.lora)} {by_id[one.lora.run_id].per_weight:.3g} (gap {one.gap.value:+.3g} nats per "
                         f"token{'' if one.near else ', not matched and left out'})" for one in matched)
        found[stated_as.MATCHED] = f"by rank: {each}"
    if len(looked) > 2:
        x, y, size = (np.array([pick(one) for one in looked]) for pick in CORRELATED)
        found[stated_as.WITH_FORGETTING] = (f"with whole models {cell(spearman(x, y))}; size and forgetting "
                                            f"{cell(spearman(size, y))}")
        found[stated_as.AT_EQUAL_NORM] = f"with whole models {cell(spearman(x, y, given=size))}"
    if scaled:
        gone = _percent(forgetting_saved(scaled, (factor, INTRUDERS)))
        shrunk = _percent(forgetting_saved(scaled, (factor, SHRUNK)))
        norm = np.mean([one.norms[factor, INTRUDERS] for one in scaled])
        found[stated_as.SAVES] = "the adapters forgot nothing that is sure" if gone is None else (
            f"{gone.value:.3g} % of forgetting gone ({gone.low:.3g} to {gone.high:.3g})")
        found[stated_as.BEYOND_SHRINKING] = f"at {norm:.0%} of the norm" + (
            "" if shrunk is None else f"; shrinking takes away {shrunk.value:.3g} % ({shrunk.low:.3g} to {shrunk.high:.3g})")
    return found


def metrics(looked: Sequence[Looked], matched: Sequence[Match], scaled: Sequence[Scaled], evidence: Evidence,
            factors: Sequence[float]) -> dict[str, float]:
    """Returns the study's numbers by the names of metrics."""
    found: dict[str, float] = {}
    for name, each in (("lora", [one.lora for one in matched]), ("full", [one.full for one in matched])):
        mine = [one for one in looked if one.trial.run_id in {trial.run_id for trial in each}]
        if mine:
            found[f"geometry/{name}_intruders_per_weight"] = float(np.mean([one.per_weight for one in mine]))
    for name, one in (("rank_correlation", evidence.by_count), ("rank_correlation_at_equal_norm", evidence.at_equal_norm)):
        if one is not None:
            found[f"geometry/intruders_forgetting_{name}"] = one.estimate.value
    for factor in factors if scaled else ():
        for arm in ARMS:
            found[f"forgetting/{arm}_times_{factor:g}_saved_bits_per_byte"] = text_saved(scaled, (factor, arm)).value
            found[f"forgetting/{arm}_times_{factor:g}_cost_nats"] = learning_loss(scaled, (factor, arm)).value
    return found


def _line(trial: Trial, by_id: dict[str, Looked]) -> dict[str, Any]:
    one = by_id[trial.run_id]
    return {"training": label(trial), "loss (nats/token)": float(trial.loss[-1]),
            "text lost (bits/byte)": float(trial.text_lost[-1]), "lost (points)": float(trial.lost_points[-1]),
            "‖Δ‖ / ‖W‖": one.norm, **_counted(one)}


def _counted(one: Looked) -> dict[str, Any]:
    null = one.null_intruders
    return {"intruders per weight": one.per_weight, "of random directions": _mean(null), "95 % of draws": _band(null),
            "energy (share)": _mean(one.energy), "of random directions ": _mean(one.null_energy)}


def _matched(matched: Sequence[Match], looked: Sequence[Looked]) -> list[Looked]:
    wanted = {trial.run_id for one in matched for trial in (one.lora, one.full)}
    return [one for one in looked if one.trial.run_id in wanted]


def _cells(name: str, found: Estimate | None) -> dict[str, Any]:
    if found is None:
        return {name: None}
    return {name: found.value, f"{name}: 95 % interval": f"{found.low:.3g} to {found.high:.3g}"}


def _percent(found: Estimate | None) -> Estimate | None:
    return None if found is None else Estimate(100 * found.value, 100 * found.low, 100 * found.high, found.covers)


def _mean(values: np.ndarray) -> float:
    return float(np.nanmean(values))


def _band(null: np.ndarray) -> str:
    """Of means over weights, draw by draw; null [L, M, N]."""
    low, high = np.percentile(np.nanmean(null, axis=(0, 1)), [2.5, 97.5])
    return f"{low:.3g} to {high:.3g}"
