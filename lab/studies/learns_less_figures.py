"""The figures of the study: the frontier, the rates tried, and the rank of the full update."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from lab.adapters.places import places
from lab.figures.layout import panels
from lab.figures.learns_less import directions, rates_tried, trajectories
from lab.studies.learns_less_arms import Tuned
from lab.studies.learns_less_curves import Curves
from lab.studies.learns_less_hypotheses import PAPER_SHARE
from lab.studies.learns_less_updates import Ranks
from lab.tracking.run import Run

LEARNED = "learned: fall of the held-out loss (nats/token)"


def draw_frontier(run: Run, tuned: Sequence[Tuned], curves: Curves) -> None:
    """Draws what was lost against what was learned, in points and in bits per byte, at the checkpoints."""
    names = [one.arm.name for one in tuned]
    figure, axes = panels(2, width=5.6, height=4.2)
    arrays: dict[str, np.ndarray] = {}
    for ax, measure, ylabel in zip(axes, ("lost", "text"), ("lost (points of accuracy, mean over suites)",
                                                            "lost (bits/byte of held-out documents)"), strict=True):
        found = {name: [(of_seed[name].learned[0], getattr(of_seed[name], measure)[0]) for of_seed in curves.values()
                        if name in of_seed] for name in names}
        trajectories(found, ax, xlabel=LEARNED, ylabel=ylabel)
    for seed, of_seed in curves.items():
        for name, curve in of_seed.items():
            arrays |= {f"{name}/seed_{seed}/{part}": values for part, values in (
                ("steps", curve.steps), ("learned", curve.learned[0]), ("lost_points", curve.lost[0]),
                ("text_bits_per_byte", curve.text[0]))}
    run.figure("frontier", figure, arrays)


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
