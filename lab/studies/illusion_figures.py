"""The study's figures into its run, each with the arrays behind it."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from lab.figures.geometry_intruders import intruder_curves
from lab.figures.illusion import against_forgetting, scaled_down
from lab.studies.geometry_measured import THRESHOLDS
from lab.studies.illusion_arms import Match, arm_of, label
from lab.studies.illusion_correlation import FEWEST, correlate, residual_ranks
from lab.studies.illusion_effects import learning_loss, text_saved
from lab.studies.illusion_measured import Looked
from lab.studies.illusion_scaling import ARMS, Scaled
from lab.studies.illusion_tables import CORRELATED
from lab.studies.training_options import compact
from lab.tracking.run import Run


def draw(run: Run, looked: Sequence[Looked], matched: Sequence[Match], scaled: Sequence[Scaled], config: Any) -> None:
    """Draws intruders against the threshold, against forgetting, and what scaling them did.

    Args:
        run: Open.
        looked: Every training that ran to its end.
        matched: Of one seed those are drawn, adapters and their whole model.
        scaled: Adapters whose intruders were scaled.
        config: Of the study.
    """
    near = [one for one in matched if one.near] or matched
    if near:
        _thresholds(run, looked, [one for one in near if one.lora.seed == near[0].lora.seed], config)
    _forgetting(run, looked, config)
    if scaled:
        _scaling(run, scaled, config.factors)


def _thresholds(run: Run, looked: Sequence[Looked], matched: Sequence[Match], config: Any) -> None:
    by_id = {one.trial.run_id: one for one in looked}
    ids = dict.fromkeys([*(one.lora.run_id for one in matched), *(one.full.run_id for one in matched)])
    shown = [by_id[run_id] for run_id in list(ids)[:8]]
    arrays = {"intruders": _over_weights([one.measured.intruders(THRESHOLDS) for one in shown]),
              "null_intruders": _over_weights([one.measured.null_intruders(THRESHOLDS) for one in shown]),
              "energy": _over_weights([one.measured.energy(THRESHOLDS) for one in shown]),
              "null_energy": _over_weights([one.measured.null_energy(THRESHOLDS) for one in shown])}
    names = [f"{arm_of(one.trial)} lr={compact(one.trial.lr)}, loss {one.trial.loss[-1]:.3g}" for one in shown]
    run.figure("intruders_at_matched_loss", intruder_curves(
        THRESHOLDS, *arrays.values(), names=names, k=config.k, epsilon=config.epsilon), {
        **arrays, "thresholds": THRESHOLDS, "names": np.array([label(one.trial) for one in shown])})


def _forgetting(run: Run, looked: Sequence[Looked], config: Any) -> None:
    count, lost, norm = (np.array([pick(one) for one in looked]) for pick in CORRELATED)
    null = np.array([float(np.nanmean(one.null_intruders)) for one in looked])
    arms = [arm_of(one.trial) for one in looked]
    lora = np.array([one.trial.r is not None for one in looked])
    found, partial = correlate(count[lora], lost[lora]), correlate(count[lora], lost[lora], given=norm[lora])
    left = [residual_ranks(values[lora], norm[lora]) for values in (count, lost)]
    figure = against_forgetting(count, null, lost, norm, arms, left[0], left[1], [arm for arm in arms if arm != "full"],
                                count_title=_title(found), partial_title=_title(partial), k=config.k,
                                epsilon=config.epsilon)
    run.figure("intruders_and_forgetting", figure, {
        "intruders": count, "null_intruders": null, "text_lost": lost, "relative_norm": norm, "arms": np.array(arms),
        "points_lost": np.array([one.trial.lost_points[-1] for one in looked]),
        "intruders_left": left[0], "text_lost_left": left[1]})


def _title(found: Any) -> str:
    if found is None:
        return f"no correlation (under {FEWEST}, or alike)"
    low, high = found.estimate.low, found.estimate.high
    return f"ρ = {found.estimate.value:.2f} ({low:.2f} to {high:.2f}), p = {found.p:.2g}"


def _scaling(run: Run, scaled: Sequence[Scaled], factors: Sequence[float]) -> None:
    groups = [("all", list(scaled)), *((label(one.trial), [one]) for one in scaled if len(scaled) > 1)]
    saved, cost = (np.array([[[_ends(of(each, (factor, arm))) for factor in factors] for arm in ARMS] for _, each in groups])
                   for of in (text_saved, learning_loss))
    forgot = np.array([np.mean([one.trial.text_lost[-1] for one in each]) for _, each in groups])
    learned = np.array([np.mean([one.trial.learned[-1] for one in each]) for _, each in groups])
    names = [name if name != "all" else f"all {len(scaled)} adapters" for name, _ in groups]
    run.figure("intruders_scaled", scaled_down(saved, cost, forgot, learned, arms=list(ARMS.values()), factors=factors,
                                               names=names), {
        "saved": saved, "cost": cost, "forgot": forgot, "learned": learned, "factors": np.array(factors),
        "arms": np.array(list(ARMS)), "names": np.array(names)})


def _ends(found: Any) -> tuple[float, float, float]:
    return found.value, found.low, found.high


def _over_weights(each: Sequence[np.ndarray]) -> np.ndarray:
    """[trainings, ...], means over weights of [L, M, ...]."""
    return np.array([np.nanmean(values, axis=(0, 1)) for values in each])
