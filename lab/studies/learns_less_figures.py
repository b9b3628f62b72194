"""The figures of the study: the frontier, the rates tried, and the rank of the full update."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from lab.adapters.places import places
from lab.figures.frontier import frontier
from lab.figures.layout import panels
from lab.figures.learns_less import directions, rates_tried
from lab.studies.learns_less_arms import Tuned
from lab.studies.learns_less_curves import Curve, Curves, combined
from lab.studies.learns_less_hypotheses import PAPER_SHARE
from lab.studies.learns_less_updates import Ranks
from lab.tracking.run import Run

XLABELS = {"lost": "lost (points of accuracy, mean over suites)", "text": "lost (bits/byte of held-out documents)"}


def draw_frontier(run: Run, tuned: Sequence[Tuned], curves: Curves) -> None:
    """Draws what was learned against what was lost, in points and in bits per byte: each arm's mean over seeds."""
    figure, axes = panels(2, width=7.2, height=4.8)
    arms = [one.arm for one in tuned if any(one.arm.name in of_seed for of_seed in curves.values())]
    seeds = {arm.name: [of_seed[arm.name] for of_seed in curves.values() if arm.name in of_seed] for arm in arms}
    for ax, measure in zip(axes, XLABELS, strict=True):
        learned = [np.mean([curve.learned[0] for curve in seeds[arm.name]], axis=0) for arm in arms]
        lost = [np.mean([getattr(curve, measure)[0] for curve in seeds[arm.name]], axis=0) for arm in arms]
        frontier(learned, lost, ax, labels=[arm.name for arm in arms], values=[arm.r for arm in arms],
                 intervals=[_ends(seeds[arm.name], measure) for arm in arms],
                 covers="seeds and items" if len(curves) > 1 else "items, of one seed")
        ax.set_xlabel(f"{XLABELS[measure]}; right is worse")
    run.figure("frontier", figure, {
        f"{name}/seed_{seed}/{part}": values for seed, of_seed in curves.items() for name, curve in of_seed.items()
        for part, values in (("steps", curve.steps), ("learned", curve.learned[0]), ("lost_points", curve.lost[0]),
                             ("text_bits_per_byte", curve.text[0]))})


def _ends(seeds: Sequence[Curve], measure: str) -> np.ndarray:
    """The ends of the interval at each checkpoint, [C, 2]."""
    values = np.array([getattr(curve, measure) for curve in seeds])  # [seeds, D, C]
    found = [combined(values[:, :, at], least=seeds[0].least if measure == "lost" else 0.0) for at in range(values.shape[2])]
    return np.array([(0.0, 0.0) if at == 0 else (one.low, one.high) for at, one in enumerate(found)])


def draw_rates(run: Run, tuned: Sequence[Tuned]) -> None:
    """Draws the loss by which the rates were chosen."""
    found: dict[str, tuple[Any, Any]] = {one.arm.name: (np.array(list(one.losses)), np.array(list(one.losses.values())))
                                         for one in tuned}
    figure, axes = panels(1, width=5.6, height=4.2)
    rates_tried(found, axes[0])
    arrays = {f"{name}/{part}": values for name, pair in found.items()
              for part, values in zip(("rates", "losses"), pair, strict=True)}
    run.figure("rates", figure, arrays)


def draw_update(run: Run, ranks: Ranks) -> None:
    """Draws how many directions the full update has, mean over seeds, beside noise and the base's weights."""
    first = next(iter(ranks.values()))
    at, roles = places([one.name for one in first])
    layers = 1 + max(layer for layer, _ in at.values())
    share, weight = np.full((2, layers, len(roles)), np.nan)
    gaussian = np.full(len(roles), np.nan)
    for each in zip(*ranks.values(), strict=True):
        cell = at[each[0].name]
        share[cell] = np.mean([one.rank_90 / one.full for one in each])
        weight[cell] = each[0].weight_rank_90 / each[0].full
        gaussian[cell[1]] = each[0].null_rank_90.mean() / each[0].full
    figure, axes = panels(1, width=7.6, height=4.6)
    directions(share, weight, gaussian, roles, axes[0], paper=PAPER_SHARE)
    run.figure("full_update", figure, {"share": share, "weight_share": weight, "gaussian_share": gaussian,
                                       "modules": np.array(roles)})
