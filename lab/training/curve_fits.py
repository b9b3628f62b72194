"""A decay law with a floor, fitted to held-out losses, with intervals that allow for correlated noise.

The intervals invert a test: a floor (or shape) stays in the interval if, were it the truth, block-bootstrap noise
around the best curve with that value would often make the free fit win by as much as it did (the grid bootstrap,
Hansen 1999). Percentiles of refitted floors do worse: floor, exponent and slow noise trade against one another.
Coverage of the nominal 95 % intervals is simulated by `benchmarks/curve_coverage.py`.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from lab.training.curve_laws import POWER, Design, Law, LawFit, fit_law
from lab.training.curve_noise import Noise, draw_noise, weigh_noise
from lab.training.curves import too_few

POINTS_NEEDED = 8
FLOOR_NOT_IDENTIFIED = "floor not identified"
WIDEST_SHARE = 0.25
_HALVINGS = 9


@dataclass(frozen=True)
class FloorFit:
    """One law fitted to a held-out curve, or, in `problem`, the reason it was not (the other fields are then None).

    Losses are nats per token; `amplitude` and `shape` belong to steps as counted by the run: the power law's exponent,
    the exponential's time constant in steps. The intervals cover the noise along this one curve, no other seeds.
    The floor is identified if its interval spans at most a quarter of the last loss.
    """

    law: Law
    points: int
    level: float
    problem: str = ""
    fit: LawFit | None = None
    noise: Noise | None = None
    floor: float | None = None
    floor_interval: tuple[float, float] | None = None
    shape: float | None = None
    shape_interval: tuple[float, float] | None = None
    amplitude: float | None = None
    floor_identified: bool = False

    @property
    def words(self) -> str:
        """What may be said about the floor."""
        if self.floor is None or self.floor_interval is None:
            return self.problem
        low, high = self.floor_interval
        span = f"{self.level:.0%} interval {low:.3g} to {high:.3g} nats per token"
        return f"floor {self.floor:.3g}, {span}" if self.floor_identified else f"{FLOOR_NOT_IDENTIFIED} ({span})"


@dataclass(frozen=True)
class _Test:
    """The bootstrap test of one held value; the same noise for every value, so that p changes smoothly with it."""

    design: Design
    steps: np.ndarray
    losses: np.ndarray
    drawn: np.ndarray  # (draws, N)
    exact: float  # residual sum of squares below which a fit counts as exact: losses are float32

    def of_floor(self, floor: float) -> float:
        """p-value of a floor."""
        null = self.design.best(self.losses, floor=floor)
        return self._p(null, lambda series: self.design.rss_at_floor(series, floor).min(axis=1))

    def of_shape(self, index: int) -> float:
        """p-value of the shape at this place of the law's grid."""
        null = self.design.best(self.losses, shape_index=index)
        return self._p(null, lambda series: self.design.linear(series)[2][:, index])

    def _p(self, null: LawFit, held: Callable[[np.ndarray], np.ndarray]) -> float:
        series = np.concatenate([self.losses[None], null.at(self.steps) + self.drawn])  # (1 + draws, N)
        free = np.maximum(self.design.linear(series)[2].min(axis=1), self.exact)
        gain = (held(series) - free) / free
        return float((gain >= gain[0]).mean())


def _last_accepted(p_value: Callable[[float], float], best: float, bound: float, alpha: float) -> float:
    if p_value(bound) > alpha:
        return bound
    inside, outside = best, bound
    for _ in range(_HALVINGS):
        middle = (inside + outside) / 2
        if p_value(middle) > alpha:
            inside = middle
        else:
            outside = middle
    return (inside + outside) / 2


def _shape_interval(test: _Test, best: float, alpha: float) -> tuple[float, float]:
    shapes = test.design.shapes
    nearest = int(np.abs(np.log(shapes / best)).argmin())
    places = [
        round(_last_accepted(lambda place: test.of_shape(round(place)), nearest, bound, alpha))
        for bound in (0, len(shapes) - 1)
    ]
    return min(float(shapes[places[0]]), best), max(float(shapes[places[1]]), best)


def fit_floor(
    steps: np.ndarray, losses: np.ndarray, *, seed: int, law: Law = POWER, level: float = 0.95, draws: int = 400
) -> FloorFit:
    """The law fitted to held-out losses after step 0, with intervals for its floor and its shape.

    Args:
        steps: (N,) rising; points at or before step 0 (the bare base) are left out.
        losses: (N,) nats per token, finite.
        seed: Of the bootstrap.
        law: `POWER` or `EXPONENTIAL`.
        level: Of the intervals.
        draws: Bootstrap series for every value tried.
    """
    steps, losses = np.asarray(steps, dtype=np.float64), np.asarray(losses, dtype=np.float64)
    steps, losses = steps[steps > 0], losses[steps > 0]
    short = too_few(len(steps), POINTS_NEEDED)
    if short:
        return FloorFit(law, len(steps), level, problem=short)
    fit, alpha = fit_law(law, steps, losses), 1 - level
    residuals = losses - fit.at(steps)
    noise = weigh_noise(residuals, fit.tangents(steps))
    drawn = draw_noise(residuals, noise, draws, np.random.default_rng(seed))
    exact = len(losses) * (1e-6 * float(np.ptp(losses) or 1.0)) ** 2
    test = _Test(Design(law, steps), steps, losses, drawn, exact)
    low, high = (_last_accepted(test.of_floor, fit.floor, bound, alpha) for bound in (0.0, float(losses.max())))
    shape_interval = _shape_interval(test, fit.shape, alpha)
    scale = fit.last_step if law.shape_in_steps else 1.0
    return FloorFit(
        law,
        len(steps),
        level,
        fit=fit,
        noise=noise,
        floor=fit.floor,
        floor_interval=(min(low, fit.floor), max(high, fit.floor)),
        shape=fit.shape * scale,
        shape_interval=(shape_interval[0] * scale, shape_interval[1] * scale),
        amplitude=law.amplitude_in_steps(fit.amplitude, fit.shape, fit.last_step),
        floor_identified=high - low <= WIDEST_SHARE * float(losses[-1]),
    )
